#include "edge/rpc/listen_addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "edge/rpc/server.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/metrics.h"

namespace waybill::rpc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Another process's listener. Every address of 127/8 is this machine's; ::1 only where there is IPv6.
class Listener {
 public:
  explicit Listener(const std::string& host, bool reuse = true) {
    sockaddr_in6 v6 = {};
    sockaddr_in v4 = {};
    const bool is_v6 = inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1;
    inet_pton(AF_INET, host.c_str(), &v4.sin_addr);
    v6.sin6_family = AF_INET6;
    v4.sin_family = AF_INET;
    auto* address = is_v6 ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
    socklen_t size = is_v6 ? sizeof(v6) : sizeof(v4);
    fd_ = socket(address->sa_family, SOCK_STREAM, 0);
    const int on = reuse ? 1 : 0;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd_, address, size) != 0 || listen(fd_, 8) != 0 || getsockname(fd_, address, &size) != 0) return;
    port_ = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { close(fd_); }
  uint16_t port() const { return port_; }  // 0: there is no such address here

 private:
  int fd_ = -1;
  uint16_t port_ = 0;
};

// One that was free a moment ago.
uint16_t FreePort() { return Listener("127.0.0.1").port(); }

TEST(FreeAddresses, AreAllOfThemOrAnErrorThatNamesTheOneThatIsTaken) {
  for (const bool reuse : {false, true}) {
    const Listener other("127.0.0.2", reuse);
    const auto one = FreeAddresses({"127.0.0.1"}, other.port());
    ASSERT_TRUE(one.ok()) << one.status();
    EXPECT_THAT(*one, ElementsAre(fmt::format("127.0.0.1:{}", other.port())));
    const auto both = FreeAddresses({"127.0.0.1", "127.0.0.2"}, other.port());
    EXPECT_EQ(both.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(both.status().message()),
                AllOf(HasSubstr(fmt::format("127.0.0.2:{}", other.port())), HasSubstr("in use")));
  }
}

TEST(FreeAddresses, LeaveOutWhatThisMachineDoesNotHave) {
  const uint16_t port = FreePort();
  const auto addresses = FreeAddresses({"192.0.2.1", "127.0.0.1"}, port);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(*addresses, ElementsAre(fmt::format("127.0.0.1:{}", port)));
  const auto none = FreeAddresses({"192.0.2.1"}, port);
  EXPECT_EQ(none.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("192.0.2.1"));
}

TEST(FreeAddresses, GiveAllOfThemTheSameFreePort) {
  const auto addresses = FreeAddresses({"127.0.0.1", "127.0.0.2"}, 0);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_EQ(addresses->size(), 2u);
  const std::string port = (*addresses)[0].substr((*addresses)[0].rfind(':') + 1);
  EXPECT_NE(port, "0");
  EXPECT_EQ((*addresses)[1], "127.0.0.2:" + port);
  const auto one = FreeAddresses({"127.0.0.1"}, 0);
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_THAT(*one, ElementsAre("127.0.0.1:0"));  // gRPC takes it, and nobody between
}

TEST(ListenAddresses, LeaveToGrpcWhatIsNotHostAndPort) {
  for (const std::string listen : {"unix:/tmp/waybill.sock", "ipv4:127.0.0.1:7410", "localhost", "localhost:http", ":1",
                                   "localhost:70000", "localhost:", "::1:7410", ""}) {
    const auto addresses = ListenAddresses(listen);
    ASSERT_TRUE(addresses.ok()) << listen << ": " << addresses.status();
    EXPECT_THAT(*addresses, ElementsAre(listen));
  }
}

TEST(ListenAddresses, AreTheNumbersOfAName) {
  const uint16_t port = FreePort();
  const auto addresses = ListenAddresses(fmt::format("localhost:{}", port));
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(*addresses, ::testing::Contains(fmt::format("127.0.0.1:{}", port)));
  EXPECT_THAT(std::string(ListenAddresses("no-such-host.invalid:7410").status().message()),
              HasSubstr("no-such-host.invalid"));
}

absl::Status StartOn(const std::string& address) {
  ServerOptions options;
  options.address = address;
  Metrics metrics;
  return Server(options, metrics).Start();
}

TEST(RpcServer, DoesNotListenOnPartOfAName) {
  const Listener other("127.0.0.1");
  const std::string name = fmt::format("localhost:{}", other.port());
  const absl::Status status = StartOn(name);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(name), HasSubstr(fmt::format("127.0.0.1:{}", other.port()))));
}

TEST(RpcServer, DoesNotListenOnIpv4AloneForEverything) {
  const Listener other("::1");
  ASSERT_NE(other.port(), 0) << "the tests need IPv6 on the loopback interface";
  const absl::Status status = StartOn(fmt::format("[::]:{}", other.port()));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("in use"));
}

TEST(RpcServer, ListensOnEveryAddressOfAName) {
  ServerOptions options;
  options.address = "localhost:0";
  Metrics metrics;
  Server server(options, metrics);
  ASSERT_TRUE(server.Start().ok());
  EXPECT_GT(server.port(), 0);
}

}  // namespace
}  // namespace waybill::rpc

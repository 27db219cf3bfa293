#include "edge/http/lookup.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "boost/asio/post.hpp"
#include "fmt/format.h"

namespace waybill::http {
namespace {

using ::testing::UnorderedElementsAre;

// A name server on loopback that answers as its names say, by RFC 1035.
class NameServer {
 public:
  struct Name {
    std::string a, aaaa;  // none: no such record
    bool silent = false;  // nothing is answered
    bool only_by_tcp = false;
  };

  explicit NameServer(std::map<std::string, Name> names) : names_(std::move(names)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    tcp_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(tcp_, reinterpret_cast<sockaddr*>(&any), size), 0);
    getsockname(tcp_, reinterpret_cast<sockaddr*>(&any), &size);
    listen(tcp_, 8);
    udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(udp_, reinterpret_cast<sockaddr*>(&any), size), 0);
    port_ = ntohs(any.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~NameServer() {
    eventfd_write(stop_, 1);
    thread_.join();
    for (const int fd : {tcp_, udp_, stop_}) close(fd);
  }

  std::string address() const { return fmt::format("127.0.0.1:{}", port_); }
  int asked() const { return asked_; }

 private:
  void Serve() {
    for (;;) {
      pollfd fds[] = {{stop_, POLLIN, 0}, {udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
      poll(fds, 3, -1);
      if (fds[0].revents != 0) return;
      std::array<char, 512> question;
      if (fds[1].revents != 0) {
        sockaddr_in from{};
        socklen_t size = sizeof from;
        const ssize_t bytes =
            recvfrom(udp_, question.data(), question.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
        if (auto answer = Answer({question.data(), static_cast<size_t>(bytes)}, /*tcp=*/false)) {
          sendto(udp_, answer->data(), answer->size(), 0, reinterpret_cast<sockaddr*>(&from), size);
        }
      }
      if (fds[2].revents != 0) {
        const int caller = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
        // A and AAAA may both come this way.
        for (ssize_t bytes; (bytes = recv(caller, question.data(), 2, MSG_WAITALL)) == 2;) {
          const size_t size = static_cast<uint8_t>(question[0]) * 256u + static_cast<uint8_t>(question[1]);
          recv(caller, question.data(), size, MSG_WAITALL);
          const std::string answer = *Answer({question.data(), size}, /*tcp=*/true);
          const std::string length = {static_cast<char>(answer.size() / 256), static_cast<char>(answer.size() % 256)};
          send(caller, (length + answer).data(), answer.size() + 2, MSG_NOSIGNAL);
        }
        close(caller);
      }
    }
  }

  std::optional<std::string> Answer(std::string_view question, bool tcp) {
    ++asked_;
    std::string name;
    size_t at = 12;
    for (; question[at] != 0; at += static_cast<size_t>(question[at]) + 1) {
      if (!name.empty()) name += '.';
      name += question.substr(at + 1, static_cast<size_t>(question[at]));
    }
    const bool v6 = question[at + 2] == 28;
    std::string answer(question.substr(0, at + 5));
    answer[2] = '\x81';  // a response; recursion as asked
    answer[3] = '\x80';
    std::fill(answer.begin() + 6, answer.begin() + 12, '\0');
    const auto found = names_.find(name);
    if (found == names_.end()) {
      answer[3] = '\x83';  // no such name
      return answer;
    }
    if (found->second.silent) return std::nullopt;
    if (found->second.only_by_tcp && !tcp) {
      answer[2] = '\x83';  // truncated
      return answer;
    }
    const std::string& address = v6 ? found->second.aaaa : found->second.a;
    if (address.empty()) return answer;
    std::array<char, 16> bytes;
    inet_pton(v6 ? AF_INET6 : AF_INET, address.c_str(), bytes.data());
    answer[7] = 1;
    answer += std::string("\xc0\x0c\x00", 3) + (v6 ? '\x1c' : '\x01') + std::string("\x00\x01\x00\x00\x00\x3c\x00", 7);
    answer += v6 ? '\x10' : '\x04';
    answer.append(bytes.data(), v6 ? 16 : 4);
    return answer;
  }

  const std::map<std::string, Name> names_;
  int tcp_ = -1, udp_ = -1, port_ = 0;
  const int stop_ = eventfd(0, EFD_CLOEXEC);
  std::atomic<int> asked_{0};
  std::thread thread_;
};

class LookupTest : public ::testing::Test {
 protected:
  absl::StatusOr<Addresses> Find(const std::string& host, absl::Duration timeout = absl::Seconds(20)) {
    boost::asio::io_context io;
    Lookup lookup(io, host, 443, server_.address());
    absl::StatusOr<Addresses> result = absl::InternalError("nobody was told");
    lookup.Start(timeout, [&](absl::StatusOr<Addresses> found) { result = std::move(found); });
    io.run();
    return result;
  }
  static std::vector<std::string> Texts(const absl::StatusOr<Addresses>& found) {
    EXPECT_TRUE(found.ok()) << found.status();
    std::vector<std::string> texts;
    if (!found.ok()) return texts;
    for (const auto& endpoint : *found)
      texts.push_back(fmt::format("{} {}", endpoint.address().to_string(), endpoint.port()));
    return texts;
  }

  NameServer server_{{{"both.example.test", {"192.0.2.1", "2001:db8::1"}},
                      {"long.example.test", {"192.0.2.2", "", false, /*only_by_tcp=*/true}},
                      {"none.example.test", {}},
                      {"silent.example.test", {"192.0.2.3", "", /*silent=*/true}}}};
};

TEST_F(LookupTest, FindsAllAddressesOfBothKinds) {
  EXPECT_THAT(Texts(Find("both.example.test")), UnorderedElementsAre("192.0.2.1 443", "2001:db8::1 443"));
  EXPECT_GE(server_.asked(), 2);
}

TEST_F(LookupTest, AsksAgainByTcpWhatDoesNotFitADatagram) {
  EXPECT_THAT(Texts(Find("long.example.test")), UnorderedElementsAre("192.0.2.2 443"));
}

TEST_F(LookupTest, AnAddressAndTheLocalHostNeedNoServer) {
  EXPECT_THAT(Texts(Find("192.0.2.7")), UnorderedElementsAre("192.0.2.7 443"));
  EXPECT_THAT(Texts(Find("2001:db8::7")), UnorderedElementsAre("2001:db8::7 443"));
  EXPECT_THAT(Texts(Find("localhost")), ::testing::Contains("127.0.0.1 443"));
  EXPECT_EQ(server_.asked(), 0);
}

TEST_F(LookupTest, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(Find("missing.example.test").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Find("none.example.test").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Find(std::string(300, 'a')).status().code(), absl::StatusCode::kNotFound);
}

// What only inet_aton takes for an address is none, and no name either.
TEST_F(LookupTest, AnOldFormOfAnAddressIsNotFound) {
  for (const char* host : {"0x7f.1", "127.1", "2130706433", "0177.0.0.1", "127.0.0.01", "0x7f000001", "1.2.3.4.5"}) {
    EXPECT_EQ(Find(host).status().code(), absl::StatusCode::kNotFound) << host;
  }
}

TEST_F(LookupTest, AServerThatIsAwayIsUnavailable) {
  boost::asio::io_context io;
  Lookup lookup(io, "both.example.test", 443, "127.0.0.1:1");  // nobody listens there
  absl::Status status;
  lookup.Start(absl::Minutes(2), [&](absl::StatusOr<Addresses> found) { status = found.status(); });
  io.run();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

// One client's name servers are not another's trouble.
TEST_F(LookupTest, OneThatIsNeverAnsweredDelaysNoOther) {
  boost::asio::io_context io;
  std::vector<std::unique_ptr<Lookup>> silent;
  std::vector<std::string> order;
  for (int i = 0; i < 100; ++i) {
    auto& lookup = silent.emplace_back(std::make_unique<Lookup>(io, "silent.example.test", 443, server_.address()));
    lookup->Start(absl::Milliseconds(300), [&](absl::StatusOr<Addresses> found) {
      order.emplace_back(found.status().code() == absl::StatusCode::kDeadlineExceeded ? "late" : "?");
    });
  }
  Lookup other(io, "both.example.test", 443, server_.address());
  other.Start(absl::Seconds(20),
              [&](absl::StatusOr<Addresses> found) { order.emplace_back(found.ok() ? "found" : "?"); });
  io.run();
  ASSERT_EQ(order.size(), 101u);
  EXPECT_EQ(order.front(), "found");
  EXPECT_EQ(order.back(), "late");
}

TEST_F(LookupTest, WhoeverIsGoneIsNotTold) {
  boost::asio::io_context io;
  auto lookup = std::make_unique<Lookup>(io, "silent.example.test", 443, server_.address());
  lookup->Start(absl::Minutes(1), [&](const absl::StatusOr<Addresses>&) { FAIL(); });
  auto found = std::make_unique<Lookup>(io, "192.0.2.7", 443);
  found->Start(absl::Minutes(1), [&](const absl::StatusOr<Addresses>&) { FAIL(); });
  found.reset();
  boost::asio::post(io, [&] { lookup.reset(); });
  io.run();  // ends at once: nothing waits any more
}

TEST_F(LookupTest, MayEndItselfWhenItHasFound) {
  boost::asio::io_context io;
  auto lookup = std::make_unique<Lookup>(io, "both.example.test", 443, server_.address());
  lookup->Start(absl::Minutes(1), [&](const absl::StatusOr<Addresses>&) { lookup.reset(); });
  io.run();
  EXPECT_EQ(lookup, nullptr);
}

}  // namespace
}  // namespace waybill::http

// Redis with a replica and Debian's Sentinel, which makes the replica the master: after the master's death, and by
// request. A proxy leads to whom Sentinel names, as HAProxy or a DNS name does in production.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/e2e/fleet_client.h"
#include "tests/e2e/under_load.h"
#include "tests/support/eventually.h"
#include "tests/support/long_forms.h"
#include "tests/support/temp_directory.h"

namespace waybill::testing {
namespace {

constexpr char kSentinel[] = "/usr/bin/redis-sentinel";

// Three that watch over one master, named "waybill", and need two votes.
class Sentinels {
 public:
  explicit Sentinels(int master_port) {
    for (int& port : ports_) {
      port = FreePort();
      const std::string file = fmt::format("{}/{}.conf", directory_.path().string(), port);
      std::ofstream(file) << fmt::format(
          "port {}\nbind 127.0.0.1\ndir {}\n"
          "sentinel monitor waybill 127.0.0.1 {} 2\n"
          "sentinel down-after-milliseconds waybill 1000\nsentinel failover-timeout waybill 10000\n",
          port, directory_.path().string(), master_port);
      ProcessOptions options;
      options.args = {file};
      processes_.push_back(Process::Start(kSentinel, options).value());
      EXPECT_TRUE(processes_.back()->WaitForLine("+monitor master waybill", absl::Seconds(30)))
          << processes_.back()->Output();
    }
  }
  // 0: nobody says.
  int MasterPort() const {
    for (const int port : ports_) {
      const auto master = Ask(port, {"SENTINEL", "get-master-addr-by-name", "waybill"});  // "127.0.0.1 6379"
      if (master.ok() && master->find(' ') != std::string::npos) return std::atoi(master->substr(10).c_str());
    }
    return 0;
  }
  // Whether all of them know the replica and each other, without which there is no failover.
  bool Ready() const {
    for (const int port : ports_) {
      const auto replicas = Ask(port, {"SENTINEL", "replicas", "waybill"});
      const auto others = Ask(port, {"SENTINEL", "ckquorum", "waybill"});
      if (!replicas.ok() || replicas->find("master-link-status ok") == std::string::npos) return false;
      if (!others.ok() || others->find("OK 3 usable") == std::string::npos) return false;
    }
    return true;
  }
  absl::Status FailOver() const { return Ask(ports_[0], {"SENTINEL", "FAILOVER", "waybill"}).status(); }
  std::string Log() const { return processes_[0]->Output(); }

 private:
  static absl::StatusOr<std::string> Ask(int port, const std::vector<std::string>& question) {
    return RedisCommand(fmt::format("redis://127.0.0.1:{}", port), question);
  }

  TempDirectory directory_;
  std::array<int, 3> ports_{};
  std::vector<std::unique_ptr<Process>> processes_;
};

// Leads each new connection to the master of that moment. Those that are there stay where they are.
class MasterProxy {
 public:
  explicit MasterProxy(const Sentinels& sentinels) : sentinels_(sentinels), listener_(Socket()) {
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~MasterProxy() {
    stop_ = true;
    thread_.join();
    for (const auto& [fd, other] : other_end_) close(fd);
    close(listener_);
  }
  std::string Url() const { return fmt::format("redis://127.0.0.1:{}/0", port_); }

 private:
  static int Socket() { return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }
  static sockaddr_in Loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return address;
  }

  void Run() {
    while (!stop_) {
      std::vector<pollfd> fds = {{listener_, POLLIN, 0}};
      for (const auto& [fd, other] : other_end_) fds.push_back({fd, POLLIN, 0});
      poll(fds.data(), fds.size(), 50);
      if (fds[0].revents != 0) Accept();
      for (size_t i = 1; i < fds.size(); ++i) {
        if (fds[i].revents != 0 && other_end_.contains(fds[i].fd)) Pass(fds[i].fd);
      }
    }
  }
  void Accept() {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = Socket();
    const sockaddr_in master = Loopback(sentinels_.MasterPort());
    if (connect(server, reinterpret_cast<const sockaddr*>(&master), sizeof(master)) != 0) {
      close(client);
      close(server);
      return;
    }
    other_end_[client] = server;
    other_end_[server] = client;
  }
  void Pass(int from) {
    std::array<char, 1 << 16> bytes{};
    const int to = other_end_[from];
    const ssize_t count = recv(from, bytes.data(), bytes.size(), 0);
    if (count > 0 && send(to, bytes.data(), static_cast<size_t>(count), MSG_NOSIGNAL) == count) return;
    for (const int fd : {from, to}) {
      other_end_.erase(fd);
      close(fd);
    }
  }

  const Sentinels& sentinels_;
  const int listener_;
  int port_ = 0;
  std::map<int, int> other_end_;  // of each connection, both ways
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class SentinelTest : public UnderLoad {
 protected:
  void SetUp() override {
    if (!LongForms()) GTEST_SKIP() << "a long form: ./dev test --long";
    if (access(kSentinel, X_OK) != 0) GTEST_SKIP() << "no Sentinel (Debian: redis-sentinel)";
    master_ = RedisServer::Start().value();
    replica_server_ = RedisServer::Start({"--replicaof", "127.0.0.1", std::to_string(master_->port())}).value();
    sentinels_.emplace(master_->port());
    ASSERT_TRUE(Eventually(absl::Minutes(1), [&] { return sentinels_->Ready(); })) << sentinels_->Log();
    proxy_ = std::make_unique<MasterProxy>(*sentinels_);
    StackOptions options;  // with the patience of production
    options.redis_url = proxy_->Url();
    StartUnderLoad(options);
    EXPECT_EQ(RedisCommand(master_->Url(), {"WAIT", "1", "10000"}).value(), "1") << "the replica has the drivers";
    load_->LongestPause();
  }
  ~SentinelTest() override {
    load_.reset();
    stack_.reset();
  }
  void ExpectFailover() {
    EXPECT_TRUE(Eventually(kLongEnough, [&] { return sentinels_->MasterPort() == replica_server_->port(); }))
        << sentinels_->Log();
    ExpectReady();
    ExpectWork();
    Print("longest pause of orders", load_->LongestPause());
    EXPECT_EQ(load_->turned_back(), 0) << "Redis was away for less than --retry-for";
    ExpectNothingLost();
  }

  std::unique_ptr<RedisServer> master_, replica_server_;
  std::optional<Sentinels> sentinels_;
  std::unique_ptr<MasterProxy> proxy_;
};

TEST_F(SentinelTest, TheMasterDies) {
  master_->Kill();
  ExpectFailover();
}

TEST_F(SentinelTest, TheMasterHangs) {
  master_->Signal(SIGSTOP);
  ExpectFailover();
}

// The old master takes writes for ten seconds more on connections that stay, and then forgets them: Sentinel makes it a
// replica, and cuts its clients off, only at its next look. What was written there comes back from history.
TEST_F(SentinelTest, TheMasterIsReplacedByRequest) {
  IngestStackOptions options;
  options.database_url = stack_->database_url();
  options.redis_url = proxy_->Url();
  IngestStack ingest(options);
  IngestReplica& locations = ingest.AddReplica("i");
  locations.Start();
  FleetLoad fleet(locations, {});
  const auto expect_acks = [&] {
    const int64_t before = fleet.acked();
    EXPECT_TRUE(Eventually(kLongEnough, [&] { return fleet.acked() >= before + 2'000; })) << fleet.acked() - before;
  };
  expect_acks();
  const absl::Status asked = sentinels_->FailOver();
  const absl::Time begin = absl::Now();
  ASSERT_TRUE(asked.ok()) << asked;
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return sentinels_->MasterPort() == replica_server_->port(); }))
      << sentinels_->Log();
  expect_acks();
  EXPECT_TRUE(fleet.Finish(kLongEnough));  // nothing newer covers up what is forgotten
  EXPECT_TRUE(Eventually(kLongEnough,
                         [&] { return RedisCommand(master_->Url(), {"ROLE"}).value_or("").starts_with("slave"); }));
  std::vector<std::string> wrong;
  EXPECT_TRUE(Eventually(kLongEnough,
                         [&] {
                           wrong = fleet.WrongIn(ingest);
                           return wrong.empty();
                         }))
      << wrong.size() << " things are wrong: " << wrong[0];
  Print("until every position of the fleet was at the new master", absl::Now() - begin);
  EXPECT_EQ(locations.Stop(), 0);
  ExpectFailover();
}

}  // namespace
}  // namespace waybill::testing

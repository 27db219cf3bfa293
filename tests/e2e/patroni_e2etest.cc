// Postgres as two nodes of Debian's Patroni over etcd, the second a synchronous standby: it takes over by request, and
// after the death of the first node.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/e2e/under_load.h"
#include "tests/support/eventually.h"
#include "tests/support/long_forms.h"
#include "tests/support/temp_directory.h"

namespace waybill::testing {
namespace {

constexpr char kPatroni[] = "/usr/bin/patroni";
constexpr char kPatronictl[] = "/usr/bin/patronictl";
constexpr char kEtcd[] = "/usr/bin/etcd";

std::unique_ptr<Process> StartAs(const std::string& user, const char* binary, std::vector<std::string> args,
                                 const std::string& folder) {
  ProcessOptions options;
  options.user = user;
  options.working_directory = folder;
  options.args = std::move(args);
  return Process::Start(binary, std::move(options)).value();
}

// Patroni and the Postgres that it runs.
class Node {
 public:
  Node(const std::string& folder, const std::string& name, int etcd_port)
      : name_(name), folder_(folder), port_(FreePort()), rest_port_(FreePort()) {
    std::ofstream(Settings()) << fmt::format(
        R"(scope: waybill
name: {0}
restapi: {{listen: "127.0.0.1:{1}", connect_address: "127.0.0.1:{1}"}}
etcd3: {{host: "127.0.0.1:{2}"}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    synchronous_mode: true
    postgresql: {{parameters: {{max_connections: 200}}}}
  initdb: [{{encoding: UTF8}}, {{locale: C.UTF-8}}]
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
postgresql:
  listen: "127.0.0.1:{3}"
  connect_address: "127.0.0.1:{3}"
  data_dir: {4}/{0}
  bin_dir: /usr/lib/postgresql/15/bin
  pgpass: {4}/{0}.pgpass
  authentication: {{superuser: {{username: postgres}}, replication: {{username: postgres}}}}
  parameters: {{unix_socket_directories: ""}}
)",
        name, rest_port_, etcd_port, port_, folder);
    patroni_ = StartAs(PostgresUser(), kPatroni, {Settings()}, folder);
  }
  // Patroni ends its Postgres; what it could not is killed.
  ~Node() {
    patroni_->Signal(SIGTERM);
    if (!patroni_->Wait(absl::Seconds(30))) patroni_.reset();
    KillPostgres();
  }
  // As when the machine loses its power.
  void Kill() {
    patroni_->Signal(SIGKILL);
    patroni_->Wait(absl::Seconds(10));
    KillPostgres();
  }
  const std::string& name() const { return name_; }
  int port() const { return port_; }
  std::string Settings() const { return fmt::format("{}/{}.yml", folder_, name_); }
  bool Leads() const { return HttpGet(rest_port_, "/leader").find(" 200 ") != std::string::npos; }
  bool Follows() const { return HttpGet(rest_port_, "/sync").find(" 200 ") != std::string::npos; }
  std::string Log() const { return patroni_->Output(); }

 private:
  void KillPostgres() {
    std::ifstream file(fmt::format("{}/{}/postmaster.pid", folder_, name_));
    pid_t pid = 0;
    std::string data;
    // A file that was left behind names a pid that may be somebody else's by now.
    if (!(file >> pid >> data) || std::filesystem::read_symlink(fmt::format("/proc/{}/cwd", pid), ignored_) != data) {
      return;
    }
    kill(pid, SIGKILL);  // its children notice
    Eventually(absl::Seconds(10), [&] { return kill(pid, 0) != 0; });
  }

  const std::string name_, folder_;
  const int port_, rest_port_;
  std::unique_ptr<Process> patroni_;
  std::error_code ignored_;
};

class PatroniTest : public UnderLoad {
 protected:
  void SetUp() override {
    if (!LongForms()) GTEST_SKIP() << "a long form: ./dev test --long";
    for (const char* program : {kPatroni, kPatronictl, kEtcd}) {
      if (access(program, X_OK) != 0) GTEST_SKIP() << "no " << program << " (Debian: patroni, etcd-server)";
    }
    const std::string folder = folder_.path();
    const int etcd_port = FreePort(), peer_port = FreePort();
    const std::string client_url = fmt::format("http://127.0.0.1:{}", etcd_port);
    const std::string peer_url = fmt::format("http://127.0.0.1:{}", peer_port);
    etcd_ = StartAs(PostgresUser(), kEtcd,
                    {"--data-dir", folder + "/etcd", "--listen-client-urls", client_url, "--advertise-client-urls",
                     client_url, "--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url,
                     "--initial-cluster", "default=" + peer_url},
                    folder);
    ASSERT_TRUE(Eventually(kLongEnough, [&] {
      return HttpGet(etcd_port, "/health").find("\"health\":\"true\"") != std::string::npos;
    })) << etcd_->Output();
    for (const char* name : {"one", "two"}) {
      nodes_.push_back(std::make_unique<Node>(folder, name, etcd_port));
      ASSERT_TRUE(Eventually(absl::Minutes(2), [&] { return nodes_[0]->Leads(); })) << nodes_[0]->Log();
    }
    ExpectRoles(*nodes_[0], *nodes_[1]);

    Sql(fmt::format("postgresql://postgres@127.0.0.1:{}/postgres", nodes_[0]->port())).Exec("CREATE DATABASE waybill");
    const std::string hosts =
        fmt::format("postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/waybill", nodes_[0]->port(), nodes_[1]->port());
    look_ = hosts + "?target_session_attrs=read-write";
    StackOptions options;  // with the patience of production
    options.database_url = hosts;
    StartUnderLoad(options);
    load_->LongestPause();
  }
  ~PatroniTest() override {
    load_.reset();
    stack_.reset();
  }
  void ExpectRoles(const Node& leader, const Node& standby) {
    EXPECT_TRUE(Eventually(absl::Minutes(2), [&] { return leader.Leads() && standby.Follows(); }))
        << leader.Log() << standby.Log();
  }
  void ExpectWorkOnTheOther() {
    EXPECT_TRUE(Eventually(absl::Minutes(1), [&] { return nodes_[1]->Leads(); })) << nodes_[1]->Log();
    ExpectWork(absl::Minutes(1));
    ExpectReady();
    Print("longest pause of orders", load_->LongestPause());
    stack_->UseDatabase(look_);
    ExpectNothingLost();
  }

  const TempDirectory folder_{PostgresUser()};
  std::unique_ptr<Process> etcd_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::string look_;
};

TEST_F(PatroniTest, TheStandbyTakesOverByRequest) {
  auto asked = StartAs(PostgresUser(), kPatronictl,
                       {"-c", nodes_[0]->Settings(), "switchover", "waybill", "--master", nodes_[0]->name(),
                        "--candidate", nodes_[1]->name(), "--force"},
                       folder_.path());
  EXPECT_EQ(asked->Wait(absl::Minutes(1)), 0) << asked->Output();
  ExpectWorkOnTheOther();
  ExpectRoles(*nodes_[1], *nodes_[0]);
}

TEST_F(PatroniTest, TheLeaderDies) {
  nodes_[0]->Kill();
  ExpectWorkOnTheOther();
}

}  // namespace
}  // namespace waybill::testing

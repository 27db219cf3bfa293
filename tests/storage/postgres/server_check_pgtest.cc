#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/rights.h"
#include "storage/postgres/server_check.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"

namespace waybill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using waybill::testing::Eventually;
using waybill::testing::PostgresServer;
using waybill::testing::SharedPostgresUrl;
using waybill::testing::Sql;
using waybill::testing::TestDatabase;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

void MigrateAll(const std::string& url) {
  auto connection = Connection::Open(url, MigrationConnectionOptions());
  ASSERT_TRUE(connection.ok()) << connection.status();
  auto applied = Migrate(**connection, nullptr);
  ASSERT_TRUE(applied.ok()) << applied.status();
}

class ServerCheckTest : public ::testing::Test {
 protected:
  ServerCheckTest() { MigrateAll(database_.url()); }

  TestDatabase database_;
  Sql sql_{database_.url()};
  Pool pool_{database_.url(), ReadConnectionOptions(), {}};
};

TEST_F(ServerCheckTest, ACurrentDatabaseServes) {
  EXPECT_TRUE(CheckServing(pool_).ok()) << CheckServing(pool_);
  EXPECT_TRUE(CheckSessionsAreOurs(database_.url()).ok()) << CheckSessionsAreOurs(database_.url());
}

// As a pooler that pools transactions, with one session for everybody: what any client sends goes into it, and the
// answer goes to whom sent last. Clients ask for no encryption, and the server trusts them.
class TransactionPooler {
 public:
  explicit TransactionPooler(int server_port)
      : server_(Loopback(server_port, &connect)), listener_(Loopback(0, &bind)) {
    EXPECT_EQ(listen(listener_, 8), 0);
    sockaddr_in address{};
    socklen_t length = sizeof(address);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~TransactionPooler() {
    shutdown(server_, SHUT_RDWR);
    thread_.join();
    for (int fd : clients_) close(fd);
    close(listener_);
    close(server_);
  }
  int port() const { return port_; }

 private:
  template <typename Call>
  static int Loopback(int port, Call call) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    EXPECT_EQ(call(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }

  void Run() {
    int last = -1;
    while (true) {
      std::vector<pollfd> fds = {{server_, POLLIN, 0}, {listener_, POLLIN, 0}};
      for (int client : clients_) fds.push_back({client, POLLIN, 0});
      poll(fds.data(), fds.size(), -1);
      if (fds[0].revents != 0) {
        const std::string bytes = Read(server_);
        if (bytes.empty()) return;
        if (!welcomed_) welcome_ += bytes;
        welcomed_ = welcome_.ends_with(std::string_view("Z\0\0\0\5I", 6));  // ready for a query
        if (last >= 0) Write(last, bytes);
      }
      if (fds[1].revents != 0) clients_.push_back(accept(listener_, nullptr, nullptr));
      for (size_t i = 2; i < fds.size(); ++i) {
        if (fds[i].revents == 0) continue;
        const std::string bytes = Read(fds[i].fd);
        if (bytes.empty()) {
          std::erase(clients_, fds[i].fd);
          greeted_.erase(fds[i].fd);  // the next client may get its number
          close(fds[i].fd);
        } else if (welcomed_ && greeted_.insert(fds[i].fd).second) {
          Write(fds[i].fd, welcome_);  // the session has begun long since
        } else {
          greeted_.insert(last = fds[i].fd);
          if (bytes[0] != 'X') Write(server_, bytes);  // it does not end with a client either
        }
      }
    }
  }
  static std::string Read(int fd) {
    std::string bytes(1 << 16, '\0');
    const ssize_t count = recv(fd, bytes.data(), bytes.size(), 0);
    bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return bytes;
  }
  static void Write(int fd, std::string_view bytes) {
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }

  const int server_, listener_;
  int port_ = 0;
  std::vector<int> clients_;
  std::set<int> greeted_;
  std::string welcome_;
  bool welcomed_ = false;
  std::thread thread_;
};

TEST(ServerCheck, APoolerOfTransactionsIsNoticed) {
  auto server = PostgresServer::Start().value();
  TransactionPooler pooler(server->port());
  const std::string url =
      fmt::format("postgresql://postgres@127.0.0.1:{}/postgres?sslmode=disable&gssencmode=disable", pooler.port());
  ASSERT_TRUE(Connection::Open(url, {}).ok());
  const absl::Status status = CheckSessionsAreOurs(url);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(Message(status), HasSubstr("pools transactions"));
}

TEST_F(ServerCheckTest, AServerThatTakesNoWritesDoesNotServeUntilItDoes) {
  ASSERT_TRUE(CheckServing(pool_).ok());
  const std::string database = database_.name();
  sql_.Exec(fmt::format("ALTER DATABASE {} SET default_transaction_read_only = on", database));
  Sql(SharedPostgresUrl())
      .Exec(
          "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1 "
          "AND application_name = 'waybill-read'",
          {database});
  const absl::Status status = CheckServing(pool_);
  EXPECT_EQ(GetErrorDetail(status).reason, "STORE_UNAVAILABLE");
  EXPECT_THAT(Message(status), HasSubstr("read-only"));
  sql_.Exec(fmt::format("ALTER DATABASE {} RESET default_transaction_read_only", database));
  EXPECT_TRUE(CheckServing(pool_).ok()) << CheckServing(pool_);
}

// As under a pooler that passes on no announcement: only a question tells.
TEST_F(ServerCheckTest, ASessionThatMayOnlyReadIsReplaced) {
  ASSERT_TRUE((*pool_.Acquire())->ExecuteScript("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY").ok());
  EXPECT_TRUE(CheckServing(pool_).ok()) << CheckServing(pool_);
}

TEST_F(ServerCheckTest, ASchemaThatIsNotOursDoesNotServe) {
  ASSERT_TRUE(CheckServing(pool_).ok());
  sql_.Exec("UPDATE schema_migrations SET checksum = 'edited' WHERE version = 1");
  EXPECT_THAT(Message(CheckServing(pool_)), HasSubstr("0001_orders.sql was edited"));
  sql_.Exec("DELETE FROM schema_migrations WHERE version = 1");
  EXPECT_THAT(Message(CheckServing(pool_)), HasSubstr("0001_orders.sql is not applied"));
  sql_.Exec("DROP TABLE schema_migrations");
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckServing(pool_)));
}

TEST(ServerCheck, CommitsThatWaitForAStandbyAreNamed) {
  auto server = PostgresServer::Start({{"synchronous_commit", "local"}}).value();
  MigrateAll(server->Url());
  Sql admin(server->Url()), writer(server->Url());
  Pool pool(server->Url(), ReadConnectionOptions(), {});
  EXPECT_TRUE(CheckServing(pool).ok()) << CheckServing(pool);
  admin.Exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  admin.Exec("SELECT pg_reload_conf()");
  std::atomic<bool> enough = false;
  std::thread commits([&] {  // until the setting has reached all of the server, they end
    writer.Exec("SET synchronous_commit = on");
    while (!enough) writer.Exec("SELECT pg_logical_emit_message(true, '', '')");
  });
  absl::Status status;
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return !(status = CheckServing(pool)).ok(); }));
  enough = true;
  EXPECT_EQ(GetErrorDetail(status).reason, "STORE_UNAVAILABLE");
  EXPECT_THAT(Message(status), HasSubstr("commits wait for a synchronous standby: 1 of them"));
  admin.Exec("ALTER SYSTEM RESET synchronous_standby_names");
  admin.Exec("SELECT pg_reload_conf()");
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return CheckServing(pool).ok(); }));
  commits.join();
}

TEST(ServerCheck, SettingsThatLoseDataAreNamed) {
  auto server = PostgresServer::Start({{"fsync", "off"}}).value();
  auto careless = SettingsThatLoseData(**Connection::Open(server->Url(), {}));
  ASSERT_TRUE(careless.ok()) << careless.status();
  EXPECT_THAT(*careless, ElementsAre("fsync"));
  TestDatabase database;
  EXPECT_THAT(*SettingsThatLoseData(**Connection::Open(database.url(), {})), IsEmpty());
}

// A role of the test's own: roles belong to the whole server.
class RightsTest : public ServerCheckTest {
 protected:
  void SetUp() override { sql_.Exec(fmt::format("CREATE ROLE {} LOGIN", role_)); }
  void TearDown() override { sql_.Exec(fmt::format("DROP OWNED BY {0}; DROP ROLE {0}", role_)); }

  std::unique_ptr<Connection> Connect() {
    std::string url = database_.url();
    const size_t user = url.find("//") + 2;
    url.replace(user, url.find('@') - user, role_);
    return Connection::Open(url, WriteConnectionOptions()).value();
  }

  const std::string role_ = database_.name() + "_app";
};

TEST_F(RightsTest, EachMissingOneIsNamed) {
  auto connection = Connect();
  EXPECT_THAT(Message(CheckRights(*connection, OrderRights())),
              HasSubstr(fmt::format("role {} lacks SELECT on schema_migrations; SELECT, INSERT, UPDATE on access_keys; "
                                    "SELECT, INSERT, UPDATE on access_key_uses;",
                                    role_)));
  sql_.Exec(fmt::format("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}", role_));
  EXPECT_THAT(Message(CheckRights(*connection, OrderRights())),
              HasSubstr(fmt::format("role {} lacks EXECUTE on payouts_available(text, text, text); EXECUTE on "
                                    "ledger_lock_accounts(uuid[], text[], text[]): run",
                                    role_)));
  sql_.Exec(fmt::format("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {}", role_));
  EXPECT_TRUE(CheckRights(*connection, OrderRights()).ok()) << CheckRights(*connection, OrderRights());
  EXPECT_TRUE(CheckRights(*connection, IngestRights()).ok()) << CheckRights(*connection, IngestRights());
  sql_.Exec(fmt::format("REVOKE UPDATE ON payments FROM {0}; REVOKE INSERT ON driver_locations FROM {0}", role_));
  EXPECT_THAT(Message(CheckRights(*connection, OrderRights())),
              HasSubstr(fmt::format("role {} lacks UPDATE on payments: run `waybill migrate --grant", role_)));
  EXPECT_THAT(Message(CheckRights(*connection, IngestRights())), HasSubstr("lacks INSERT on driver_locations: "));
}

TEST_F(RightsTest, ASchemaThatMayNotBeUsedIsNotTakenForAnEmptyOne) {
  sql_.Exec("REVOKE USAGE ON SCHEMA public FROM PUBLIC");
  const absl::Status status = CheckSchema(*Connect());
  EXPECT_THAT(Message(status), HasSubstr(fmt::format("role {} may use no schema", role_)));
}

TEST_F(RightsTest, GrantingGivesWhatIsNeededAndNoMore) {
  sql_.Exec("REVOKE USAGE ON SCHEMA public FROM PUBLIC; REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC");
  auto owner = Connection::Open(database_.url(), MigrationConnectionOptions()).value();
  auto granted = GrantRights(*owner, role_);
  ASSERT_TRUE(granted.ok()) << granted.status();
  EXPECT_THAT(*granted, ::testing::Contains(fmt::format("GRANT SELECT, INSERT ON order_saga_steps TO {}", role_)));
  EXPECT_THAT(*granted, ::testing::Contains(HasSubstr(" ON access_keys ")).Times(1)) << "though both services read it";
  auto connection = Connect();
  EXPECT_TRUE(CheckSchema(*connection).ok()) << CheckSchema(*connection);
  EXPECT_TRUE(CheckRights(*connection, OrderRights()).ok()) << CheckRights(*connection, OrderRights());
  EXPECT_TRUE(CheckRights(*connection, IngestRights()).ok()) << CheckRights(*connection, IngestRights());
  EXPECT_TRUE(CheckRights(*connection, LedgerRights()).ok()) << CheckRights(*connection, LedgerRights());
  EXPECT_EQ(sql_.Value(fmt::format("SELECT string_agg(DISTINCT privilege_type, ' ') FROM "
                                   "information_schema.table_privileges WHERE grantee = '{}'",
                                   role_)),
            "DELETE INSERT SELECT UPDATE");
  EXPECT_EQ(GetErrorDetail(connection->Execute("DELETE FROM payments").status()).reason, "RIGHTS_MISSING");
  EXPECT_FALSE(GrantRights(*owner, "nobody of that name").ok());
  sql_.Exec(fmt::format("REVOKE UPDATE ON payments FROM {}", role_));
  EXPECT_THAT(Message(GrantRights(*connection, role_).status()),
              HasSubstr("lacks UPDATE on payments"));  // not the owner
}

}  // namespace
}  // namespace waybill::storage

// Debian's PgBouncer between the services and Postgres: sessions may be pooled, and it may die under load; transactions
// may not, and a service says so at its start.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "storage/postgres/server_check.h"
#include "tests/e2e/crash_story.h"
#include "tests/e2e/under_load.h"
#include "tests/support/long_forms.h"
#include "tests/support/temp_directory.h"

namespace waybill::testing {
namespace {

constexpr char kPgBouncer[] = "/usr/sbin/pgbouncer";

class PgBouncer {
 public:
  // `mode`: session, transaction or statement.
  PgBouncer(const PostgresServer& server, const std::string& mode, int pool_size)
      : directory_(PostgresUser()), port_(FreePort()) {
    std::ofstream(Settings()) << fmt::format(
        "[databases]\n* = host=127.0.0.1 port={} user=postgres\n"
        "[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = {}\ndefault_pool_size = {}\nmax_client_conn = 200\n",
        server.port(), port_, mode, pool_size);
    Start();
  }
  void Start() {
    ProcessOptions options;
    options.user = PostgresUser();
    options.args = {Settings()};
    process_ = Process::Start(kPgBouncer, options).value();
    EXPECT_TRUE(process_->WaitForLine("process up", absl::Seconds(30))) << process_->Output();
  }
  void Kill() { process_.reset(); }
  std::string Url(const std::string& database) const {
    return fmt::format("postgresql://postgres@127.0.0.1:{}/{}", port_, database);
  }

 private:
  std::string Settings() const { return directory_.path() / "pgbouncer.ini"; }

  TempDirectory directory_;
  const int port_;
  std::unique_ptr<Process> process_;
};

class PoolerTest : public UnderLoad {
 protected:
  void SetUp() override {
    if (!LongForms()) GTEST_SKIP() << "a long form: ./dev test --long";
    if (!std::filesystem::exists(kPgBouncer)) GTEST_SKIP() << "no PgBouncer (Debian: pgbouncer)";
    postgres_ = PostgresServer::Start().value();
    database_ = std::make_unique<TestDatabase>(postgres_->Url());
  }
  ~PoolerTest() override {
    load_.reset();
    stack_.reset();
    database_.reset();
  }
  std::unique_ptr<PostgresServer> postgres_;
  std::unique_ptr<TestDatabase> database_;
};

// What others do through the same pool meanwhile.
class OthersQueries {
 public:
  explicit OthersQueries(const std::string& url) {
    for (int i = 0; i < 8; ++i) {
      threads_.emplace_back([this, url] {
        Sql sql(url);
        while (!stop_) sql.Run("SELECT 1");
      });
    }
  }
  ~OthersQueries() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

TEST_F(PoolerTest, PooledTransactionsAreAlwaysNoticed) {
  for (const char* mode : {"transaction", "statement"}) {
    const PgBouncer pooler(*postgres_, mode, 4);
    const std::string url = pooler.Url(database_->name());
    for (const bool busy : {false, true}) {
      const auto others = busy ? std::make_unique<OthersQueries>(url) : nullptr;
      for (int i = 0; i < 200; ++i) {
        const absl::Status status = storage::CheckSessionsAreOurs(url);
        ASSERT_TRUE(absl::IsFailedPrecondition(status)) << mode << busy << i << status;
      }
    }
  }
}

TEST_F(PoolerTest, AServiceDoesNotStartOverPooledTransactions) {
  const PgBouncer pooler(*postgres_, "transaction", 20);
  const TempDirectory directory;
  for (const char* binary : {WAYBILL_ORDER_BINARY, WAYBILL_INGEST_BINARY}) {
    ServiceProcess service(binary,
                           {"--database-url", pooler.Url(database_->name()), "--redis-url", "redis://127.0.0.1:1",
                            "--migrate", "--store-wait", "60s"},
                           directory.path());
    service.StartWithoutWaiting({});
    EXPECT_EQ(service.process().Wait(absl::Seconds(20)), 1) << "at once, for waiting does not help";
    const std::string log = service.process().Output();
    const size_t said = log.find("pools transactions: let it pool sessions (pool_mode = session)");
    EXPECT_NE(said, std::string::npos) << log;
    EXPECT_EQ(log.find("pools transactions", said + 20), std::string::npos) << "once is enough: " << log;
  }
  EXPECT_EQ(Sql(database_->url()).Value("SELECT count(*) FROM pg_tables WHERE tablename = 'schema_migrations'"), "0")
      << "nothing was written";
}

TEST_F(PoolerTest, PooledSessionsDoAndThePoolerMayDie) {
  PgBouncer pooler(*postgres_, "session", 60);
  StackOptions options;
  options.order_args = StoryArgs();
  options.database_url = pooler.Url(database_->name());
  StartUnderLoad(options);
  stack_->UseDatabase(database_->url());  // the test looks from the other side
  load_->LongestPause();
  pooler.Kill();
  ExpectNotReadyFor("postgres");
  pooler.Start();
  ExpectReady();
  ExpectWork();
  Print("pause of orders while PgBouncer was away", load_->LongestPause());
  ExpectNothingLost();
}

}  // namespace
}  // namespace waybill::testing

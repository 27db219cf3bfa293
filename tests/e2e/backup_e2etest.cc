// A backup is taken under load and restored after a disaster: what was unfinished in it settles, and the books balance,
// ours and the gateway's.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/e2e/crash_story.h"
#include "tests/e2e/under_load.h"
#include "tests/support/eventually.h"
#include "tests/support/long_forms.h"
#include "waybill/payment/v1/payment.grpc.pb.h"

namespace waybill::testing {
namespace {

class BackupTest : public UnderLoad {
 protected:
  void SetUp() override {
    if (!LongForms()) GTEST_SKIP() << "a long form: ./dev test --long";
  }
  ~BackupTest() override {
    load_.reset();
    stack_.reset();
  }

  void StartOn(std::vector<std::pair<std::string, std::string>> settings) {
    postgres_ = PostgresServer::Start(std::move(settings)).value();
    StackOptions options;
    options.order_args = StoryArgs();
    options.postgres = postgres_.get();
    StartUnderLoad(options);
  }
  // Of the server, but not of its data.
  std::string Place(const char* name) const { return (postgres_->data().parent_path() / name).string(); }

  // Takes a backup by a program of Postgres, while clients go on.
  void BackUp(const char* program, std::vector<std::string> args) {
    load_->LongestPause();
    const absl::Time begin = absl::Now();
    const absl::Status done = RunPostgresProgram(program, std::move(args));
    ASSERT_TRUE(done.ok()) << done;
    Print(fmt::format("{} under load", program), absl::Now() - begin);
    Print("longest pause of orders meanwhile", load_->LongestPause());
  }

  std::unique_ptr<PostgresServer> postgres_;
};

TEST_F(BackupTest, ADumpIsRestoredAndWhatIsUnfinishedInItSettles) {
  StartOn({});
  ASSERT_NO_FATAL_FAILURE(BackUp("pg_dump", {"--format=custom", "--file=" + Place("dump"), stack_->database_url()}));
  ExpectWork();  // orders that the dump lacks
  load_->Stop();
  ASSERT_TRUE(stack_->WaitUntilAllSettled(kLongEnough));
  const int64_t before = std::stoll(stack_->sql().Value("SELECT count(*) FROM order_sagas"));
  replica_->Kill();
  postgres_->Stop(PostgresServer::StopMode::kImmediate);

  const absl::Time begin = absl::Now();
  auto fresh = PostgresServer::Start().value();
  const TestDatabase restored(fresh->Url());
  const absl::Status done =
      RunPostgresProgram("pg_restore", {"--exit-on-error", "--dbname=" + restored.url(), Place("dump")});
  ASSERT_TRUE(done.ok()) << done;
  stack_->UseDatabase(restored.url());
  EXPECT_GT(stack_->Unfinished(), 0) << "the dump was to meet orders under way";
  OrderReplica& again = stack_->AddReplica("b");
  again.Start();
  Print("from a new server to a service that is ready", absl::Now() - begin);
  EXPECT_TRUE(stack_->WaitUntilAllSettled(kLongEnough)) << stack_->Unfinished() << again.process().Output();
  Print("until what was unfinished had settled", absl::Now() - begin);

  // Of orders from after the dump the gateway alone knows. As docs/operations.md says, that money goes back.
  const int64_t known = std::stoll(stack_->sql().Value("SELECT count(*) FROM order_sagas"));
  constexpr std::string_view kKnows = "the gateway knows ";
  auto gateway = payment::v1::PaymentGateway::NewStub(ConnectTo(stack_->sandbox_port()));
  int64_t unknown = 0;
  for (const std::string& wrong : stack_->WrongInTheBooks()) {
    ASSERT_EQ(wrong.find(kKnows), 0u) << wrong;
    payment::v1::RefundRequest refund;
    refund.set_idempotency_key(wrong.substr(kKnows.size(), wrong.find(',') - kKnows.size()));
    refund.set_order_id(refund.idempotency_key().substr(0, refund.idempotency_key().find('/')));
    payment::v1::RefundResponse refunded;
    const grpc::Status status = gateway->Refund(Deadline(absl::Seconds(10)).get(), refund, &refunded);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(refunded.refunded_minor(), 1250) << wrong;
    ++unknown;
  }
  EXPECT_GT(unknown, 0);
  EXPECT_EQ(known + unknown, before);

  Load anew(again, kClients, "after-the-restore");
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return anew.confirmed() >= 5 * kClients; })) << again.process().Output();
  anew.Stop();
  EXPECT_EQ(anew.Complaints(stack_->sql()), std::vector<std::string>());
  EXPECT_EQ(static_cast<int64_t>(stack_->WrongInTheBooks().size()), unknown);  // those that were given back
  EXPECT_EQ(again.Stop(), 0);
}

TEST_F(BackupTest, ABaseBackupAndTheLogLoseNothing) {
  StartOn({{"archive_mode", "on"}, {"archive_command", "mkdir -p ../archive && cp %p ../archive/%f"}});
  ASSERT_NO_FATAL_FAILURE(
      BackUp("pg_basebackup", {"--checkpoint=fast", "--pgdata=" + Place("base"), "--dbname=" + postgres_->Url()}));
  ExpectWork();
  load_->LongestPause();
  // Clients go on, and nobody answers them.
  postgres_->Kill();
  replica_->Kill();

  const absl::Time begin = absl::Now();
  const std::string old = postgres_->data();
  // What had not been archived is still in the old server's pg_wal, which a streamed copy of the log would have as
  // well.
  const auto from_backup = [&](const std::filesystem::path& data) {
    return RunPostgresProgram("/bin/sh", {"-ec", "cp -a $1 $3; cp -a $2/pg_wal/0* $3/pg_wal/; touch $3/recovery.signal",
                                          "sh", Place("base"), old, data});
  };
  auto restored = PostgresServer::StartOver(
      from_backup, {{"restore_command", fmt::format("cp {} %p", Place("archive/%f"))}}, postgres_->port());
  ASSERT_TRUE(restored.ok()) << restored.status();
  Print("a new server over the backup and the log", absl::Now() - begin);
  replica_->Start();
  ExpectWork(absl::Minutes(1));
  Print("pause of orders, from the end of the old server on", load_->LongestPause());
  stack_->ConnectAgain();
  ExpectNothingLost();
}

}  // namespace
}  // namespace waybill::testing

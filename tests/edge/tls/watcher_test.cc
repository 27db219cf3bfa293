#include "edge/tls/watcher.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/support/certificates.h"
#include "tests/support/temp_directory.h"

namespace waybill::tls {
namespace {

using ::testing::HasSubstr;
using waybill::testing::CertificateRequest;
using waybill::testing::Issued;
using waybill::testing::ManualTime;
using waybill::testing::ReplaceFile;
using waybill::testing::TempDirectory;
using waybill::testing::TestCa;

class WatcherTest : public ::testing::Test {
 protected:
  void Write(const Issued& issued) {
    ReplaceFile(files_.certificate, issued.certificate);
    ReplaceFile(files_.key, issued.key);
  }
  Issued IssueFor(absl::Duration from, absl::Duration until) {
    CertificateRequest request;
    request.not_before = time_.Now() + from;
    request.not_after = time_.Now() + until;
    return ca_.Issue(request);
  }
  void Start() {
    auto started = Watcher::Start("server", files_, time_, log_, metrics_);
    ASSERT_TRUE(started.ok()) << started.status();
    watcher_ = *std::move(started);
  }
  double Reloads(const std::string& outcome) {
    return metrics_
        .AddCounter("waybill_certificate_reloads_total",
                    "Changed certificate files that were taken over, and times that they were found and "
                    "could not be.",
                    {{"use", "server"}, {"outcome", outcome}})
        .Value();
  }
  int Logged(std::string_view text) const {
    const std::string all = lines_.str();
    int count = 0;
    for (size_t at = 0; (at = all.find(text, at)) != std::string::npos; at += text.size()) ++count;
    return count;
  }

  TempDirectory directory_;
  const TestCa ca_;
  const Files files_{directory_.path() / "tls.crt", directory_.path() / "tls.key", ""};
  ManualTime time_;
  std::ostringstream lines_;
  Logger log_{LogFormat::kText, LogLevel::kInfo, time_, std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_)};
  Metrics metrics_;
  std::unique_ptr<Watcher> watcher_;
};

TEST_F(WatcherTest, DoesNotStartOnFilesThatAreWrong) {
  Write({ca_.Issue().certificate, ca_.Issue().key});
  const auto started = Watcher::Start("server", files_, time_, log_, metrics_);
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(std::string(started.status().message()), HasSubstr("is not the key of the certificate"));
}

TEST_F(WatcherTest, TakesOverARenewedCertificate) {
  Write(IssueFor(-absl::Hours(1), absl::Hours(1)));
  Start();
  const auto before = watcher_->current();
  EXPECT_FALSE(watcher_->Look());
  EXPECT_EQ(watcher_->current(), before) << "the same object until there are others";

  const Issued renewed = IssueFor(-absl::Hours(1), absl::Hours(2));
  Write(renewed);
  EXPECT_TRUE(watcher_->Look());

  EXPECT_EQ(watcher_->current()->certificate, renewed.certificate);
  EXPECT_EQ(Reloads("taken"), 1);
  EXPECT_EQ(Reloads("refused"), 0);
  EXPECT_TRUE(watcher_->Verdict().ok());
}

TEST_F(WatcherTest, KeepsWhatItHasWhileTheFilesAreWrong) {
  Write(IssueFor(-absl::Hours(1), absl::Hours(1)));
  Start();
  const auto before = watcher_->current();
  const Issued renewed = IssueFor(-absl::Hours(1), absl::Hours(2));

  ReplaceFile(files_.certificate, renewed.certificate);  // and its key not yet
  EXPECT_FALSE(watcher_->Look());
  EXPECT_FALSE(watcher_->Look());

  EXPECT_EQ(watcher_->current(), before);
  EXPECT_EQ(Reloads("refused"), 2) << "an alert sees it for as long as it lasts";
  EXPECT_EQ(Logged("not taken over"), 1) << lines_.str();
  EXPECT_THAT(std::string(watcher_->Verdict().message()), HasSubstr("is not the key of the certificate"));

  std::filesystem::remove(files_.certificate);
  EXPECT_FALSE(watcher_->Look());
  EXPECT_EQ(watcher_->current(), before);
  EXPECT_EQ(Logged("not taken over"), 2) << "something else is wrong now";

  Write(renewed);
  EXPECT_TRUE(watcher_->Look());
  EXPECT_TRUE(watcher_->Verdict().ok()) << watcher_->Verdict();
}

TEST_F(WatcherTest, SaysWhenTheCertificateExpiresAndThatItHas) {
  Write(IssueFor(-absl::Hours(1), absl::Hours(1)));
  Start();
  EXPECT_THAT(metrics_.ToText(),
              HasSubstr("waybill_certificate_expiration_timestamp_seconds{use=\"server\"} 1800003600"));
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_certificate_start_timestamp_seconds{use=\"server\"} 1799996400"));
  time_.Advance(absl::Hours(1) - absl::Seconds(1));
  EXPECT_TRUE(watcher_->Verdict().ok());
  time_.Advance(absl::Seconds(1));
  EXPECT_THAT(std::string(watcher_->Verdict().message()),
              HasSubstr("the certificate has expired, at 2027-01-15T09:00:00Z"));
}

TEST_F(WatcherTest, DoesNotExchangeAValidCertificateForOneThatIsNot) {
  Write(IssueFor(-absl::Hours(1), absl::Hours(1)));
  Start();
  const auto before = watcher_->current();
  Write(IssueFor(-absl::Hours(2), -absl::Hours(1)));
  EXPECT_FALSE(watcher_->Look());
  EXPECT_EQ(watcher_->current(), before);
  EXPECT_THAT(std::string(watcher_->Verdict().message()), HasSubstr("has expired"));

  Write(IssueFor(absl::Minutes(1), absl::Hours(3)));  // the CA's clock is ahead
  EXPECT_FALSE(watcher_->Look());
  EXPECT_THAT(std::string(watcher_->Verdict().message()), HasSubstr("is valid from 2027-01-15T08:01:00Z only"));
  time_.Advance(absl::Minutes(1));
  EXPECT_TRUE(watcher_->Look());
  EXPECT_TRUE(watcher_->Verdict().ok());
}

TEST_F(WatcherTest, StartsWithAnExpiredCertificateAndSaysSo) {
  Write(IssueFor(-absl::Hours(2), -absl::Hours(1)));
  Start();
  EXPECT_THAT(std::string(watcher_->Verdict().message()), HasSubstr("has expired"));
  EXPECT_EQ(Logged("that nobody accepts"), 1) << lines_.str();
}

TEST_F(WatcherTest, ItsChoreTellsOfOthersOnly) {
  Write(IssueFor(-absl::Hours(1), absl::Hours(1)));
  Start();
  int taken = 0;
  Chores chores({WatchChore(*watcher_, [&taken] { ++taken; })}, time_, log_);
  chores.RunDue();
  EXPECT_EQ(taken, 0);
  Write(IssueFor(-absl::Hours(1), absl::Hours(2)));
  const SteadyTime next = chores.RunDue();
  EXPECT_EQ(taken, 0) << "not before its time";
  time_.Advance(next - time_.Steady());
  chores.RunDue();
  EXPECT_EQ(taken, 1);
}

}  // namespace
}  // namespace waybill::tls

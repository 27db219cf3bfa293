#include "services/sandbox/sandbox.h"

#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "tests/support/temp_directory.h"

namespace waybill::sandbox {
namespace {

using ::testing::HasSubstr;

// What one fake caller saw.
class Ear {
 public:
  void Hear(const absl::Status& status) {
    std::lock_guard lock(mutex_);
    answers_.push_back(status);
    changed_.notify_all();
  }
  void HeldWith(absl::AnyInvocable<void()> gone) {
    std::lock_guard lock(mutex_);
    gone_ = std::move(gone);
    changed_.notify_all();
  }
  void Drop() {
    std::lock_guard lock(mutex_);
    dropped_ = true;
    changed_.notify_all();
  }

  absl::Status Await() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(10), [this] { return !answers_.empty(); })) {
      return absl::DeadlineExceededError("no answer in this test");
    }
    EXPECT_EQ(answers_.size(), 1u);
    return answers_[0];
  }
  // Waits until the sandbox has put the caller aside, and makes it go away.
  void HangUp() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10), [this] { return gone_ != nullptr; }));
    auto gone = std::move(gone_);
    lock.unlock();
    if (gone) gone();
  }
  bool AwaitHeld() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [this] { return gone_ != nullptr; });
  }
  bool heard() {
    std::lock_guard lock(mutex_);
    return !answers_.empty();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<absl::Status> answers_;
  absl::AnyInvocable<void()> gone_;
  bool dropped_ = false;
};

class FakeCaller final : public Caller {
 public:
  explicit FakeCaller(std::shared_ptr<Ear> ear) : ear_(std::move(ear)) {}
  ~FakeCaller() override { ear_->Drop(); }
  void Answer(const absl::Status& status) override { ear_->Hear(status); }
  void OnGone(absl::AnyInvocable<void()> callback) override { ear_->HeldWith(std::move(callback)); }

 private:
  const std::shared_ptr<Ear> ear_;
};

// Tells when a timer was set, so that a test can then move the time.
class ToldScheduler final : public Scheduler {
 public:
  explicit ToldScheduler(testing::ManualTime& time) : time_(time) {}
  TimerId At(SteadyTime when, Callback callback) override {
    TimerId id = time_.At(when, std::move(callback));
    std::lock_guard lock(mutex_);
    ++set_;
    changed_.notify_all();
    return id;
  }
  bool Cancel(const TimerId& id) override { return time_.Cancel(id); }
  bool AwaitSet(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return set_ >= count; });
  }

 private:
  testing::ManualTime& time_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int set_ = 0;
};

class SandboxTest : public ::testing::Test {
 protected:
  SandboxTest() { Open(); }

  void Open(SandboxOptions options = {}) {
    sandbox_.reset();
    log_.reset();
    Books books(2);
    auto log = BookLog::Open(path_, [&](const Record& record) { books.Apply(record); });
    EXPECT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
    metrics_ = std::make_unique<Metrics>();
    sandbox_ = std::make_unique<Sandbox>(std::move(books), *log_, time_, scheduler_, random_, *metrics_, ThreadLoops(),
                                         options);
  }

  // Charges `key`; `answer` gets the books' answer when the call is executed.
  std::shared_ptr<Ear> Charge(const std::string& key, ChargeAnswer* answer = nullptr) {
    auto ear = std::make_shared<Ear>();
    Sandbox::Call call;
    call.key = key;
    call.execute = [key, answer](Books& books, const Verdict& fresh, absl::Time now, std::optional<Record>& effect) {
      auto result = books.Charge(sandbox::Charge{key, "o", 7, "EUR"}, fresh, now, effect);
      if (answer && result.ok()) *answer = *result;
      return result.status();
    };
    call.decline = [answer] {
      if (answer) *answer = {ChargeAnswer::Kind::kDeclined, "", "INSUFFICIENT_FUNDS", "", {}};
    };
    sandbox_->Serve(Target::kGateway, "Charge", std::make_unique<FakeCaller>(ear), std::move(call));
    return ear;
  }
  std::shared_ptr<Ear> Refund(const std::string& key, RefundAnswer* answer) {
    auto ear = std::make_shared<Ear>();
    Sandbox::Call call;
    call.key = key;
    call.execute = [key, answer](Books& books, const Verdict&, absl::Time now, std::optional<Record>& effect) {
      auto result = books.Refund(key, "o", now, effect);
      if (result.ok()) *answer = *result;
      return result.status();
    };
    sandbox_->Serve(Target::kGateway, "Refund", std::make_unique<FakeCaller>(ear), std::move(call));
    return ear;
  }
  std::shared_ptr<Ear> Decide(const std::string& key, bool approve) {
    auto ear = std::make_shared<Ear>();
    sandbox_->Decide(std::make_unique<FakeCaller>(ear),
                     [&](Books& books, absl::Time now, std::optional<Record>& effect) {
                       return books.Decide(key, approve, now, effect);
                     });
    return ear;
  }
  static Behaviour Pending() {
    Behaviour behaviour;
    behaviour.pending_rate = 1;
    behaviour.pending_for_ms = 60'000;
    return behaviour;
  }
  std::string LogContent() const {
    std::ostringstream content;
    content << std::ifstream(path_).rdbuf();
    return content.str();
  }
  void Behave(const Behaviour& behaviour) { ASSERT_TRUE(sandbox_->SetBehaviour(Target::kGateway, behaviour).ok()); }

  testing::TempDirectory directory_;
  const std::string path_ = directory_.path() / "books.log";
  testing::ManualTime time_;
  ToldScheduler scheduler_{time_};
  SeededRandom random_{5};
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<BookLog> log_;
  std::unique_ptr<Sandbox> sandbox_;
};

TEST_F(SandboxTest, TheLogHoldsTheChargeBeforeTheAnswer) {
  ChargeAnswer answer;
  EXPECT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_THAT(LogContent(), HasSubstr(R"("effect":"charge","key":"k")"));
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kApproved);
}

TEST_F(SandboxTest, AnswersAreRepeatedOverARestart) {
  ChargeAnswer before;
  ASSERT_TRUE(Charge("k", &before)->Await().ok());
  Open();
  ChargeAnswer after;
  ASSERT_TRUE(Charge("k", &after)->Await().ok());
  EXPECT_EQ(after.reference, before.reference);
}

TEST_F(SandboxTest, UnavailableExecutesNothing) {
  Behaviour behaviour;
  behaviour.unavailable_rate = 1;
  Behave(behaviour);
  EXPECT_EQ(Charge("k")->Await().code(), absl::StatusCode::kUnavailable);
  Behave(Behaviour());
  EXPECT_TRUE(Charge("other")->Await().ok());  // whatever was written, was written by now
  EXPECT_EQ(LogContent().find("\"k\""), std::string::npos);
}

TEST_F(SandboxTest, LostBeforeIsNeitherExecutedNorAnswered) {
  Behaviour behaviour;
  behaviour.lost_before_rate = 1;
  Behave(behaviour);
  auto lost = Charge("k");
  EXPECT_EQ(sandbox_->held(), 1u);
  Behave(Behaviour());
  EXPECT_TRUE(Charge("other")->Await().ok());
  EXPECT_EQ(LogContent().find("\"k\""), std::string::npos);
  EXPECT_FALSE(lost->heard());
  lost->HangUp();
  EXPECT_EQ(sandbox_->held(), 0u);
  EXPECT_EQ(lost->Await().code(), absl::StatusCode::kCancelled);
}

TEST_F(SandboxTest, LostAfterIsExecutedAndNotAnswered) {
  Behaviour behaviour;
  behaviour.lost_after_rate = 1;
  Behave(behaviour);
  auto lost = Charge("k");
  ASSERT_TRUE(lost->AwaitHeld());
  EXPECT_THAT(LogContent(), HasSubstr(R"("effect":"charge","key":"k")"));
  EXPECT_FALSE(lost->heard());
  sandbox_->ReleaseHeld();
  EXPECT_EQ(lost->Await().code(), absl::StatusCode::kUnavailable);
  auto later = Charge("k2");  // stopping: nobody is held any more
  EXPECT_EQ(later->Await().code(), absl::StatusCode::kUnavailable);
}

TEST_F(SandboxTest, LateIsExecutedAtOnceAndAnsweredLate) {
  Behaviour behaviour;
  behaviour.late_rate = 1;
  behaviour.late_ms = 500;
  Behave(behaviour);
  auto late = Charge("k");
  ASSERT_TRUE(scheduler_.AwaitSet(1));
  EXPECT_THAT(LogContent(), HasSubstr(R"("effect":"charge","key":"k")"));
  time_.Advance(absl::Milliseconds(499));
  EXPECT_FALSE(late->heard());
  time_.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(late->Await().ok());
}

TEST_F(SandboxTest, SlowIsExecutedLateAndItsRepetitionsAreRefusedMeanwhile) {
  Behaviour behaviour;
  behaviour.slow_rate = 1;
  behaviour.late_ms = 500;
  Behave(behaviour);
  ChargeAnswer answer;
  auto slow = Charge("k", &answer);
  ASSERT_TRUE(scheduler_.AwaitSet(1));
  Behave(Behaviour());
  EXPECT_EQ(Charge("k")->Await().code(), absl::StatusCode::kAborted);
  RefundAnswer refund;
  EXPECT_EQ(Refund("k", &refund)->Await().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(Charge("other")->Await().ok());
  EXPECT_EQ(LogContent().find("\"k\""), std::string::npos);
  EXPECT_FALSE(slow->heard());
  time_.Advance(absl::Milliseconds(500));
  EXPECT_TRUE(slow->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kApproved);
  EXPECT_THAT(LogContent(), HasSubstr(R"("effect":"charge","key":"k")"));
  ChargeAnswer again;
  EXPECT_TRUE(Charge("k", &again)->Await().ok());
  EXPECT_EQ(again.reference, answer.reference);
}

TEST_F(SandboxTest, ARepetitionOfALateCallGetsWhatWasAskedFor) {
  Behaviour behaviour;
  behaviour.late_rate = 1;
  behaviour.late_ms = 500;
  Behave(behaviour);
  auto late = Charge("k");
  ASSERT_TRUE(scheduler_.AwaitSet(1));
  behaviour.late_rate = 0;
  behaviour.repetition = Repetition::kConflict;
  Behave(behaviour);
  EXPECT_EQ(Charge("k")->Await().code(), absl::StatusCode::kFailedPrecondition);
  behaviour.repetition = Repetition::kDeclined;
  Behave(behaviour);
  ChargeAnswer answer;
  EXPECT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kDeclined);
  EXPECT_EQ(answer.reason, "INSUFFICIENT_FUNDS");
  behaviour.repetition = Repetition::kByContract;
  Behave(behaviour);
  EXPECT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kApproved) << "it is executed";
  RefundAnswer refund;
  EXPECT_TRUE(Refund("k", &refund)->Await().ok());
  EXPECT_EQ(refund.refunded_minor, 7);
  time_.Advance(absl::Milliseconds(500));
  EXPECT_TRUE(late->Await().ok());
}

TEST_F(SandboxTest, DeclinesAreWrittenToo) {
  Behaviour behaviour;
  behaviour.decline_rate = 1;
  Behave(behaviour);
  ChargeAnswer answer;
  EXPECT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kDeclined);
  Open();
  EXPECT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kDeclined);
}

TEST_F(SandboxTest, APendingChargeIsDecidedByWhoeverIsAskedTo) {
  Behave(Pending());
  ChargeAnswer answer;
  ASSERT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kPending);
  EXPECT_EQ(answer.until, time_.Now() + absl::Seconds(60));
  EXPECT_THAT(LogContent(), HasSubstr(R"("effect":"pending","key":"k")"));
  EXPECT_TRUE(Decide("k", false)->Await().ok());
  EXPECT_THAT(LogContent(), HasSubstr(R"("effect":"decline","key":"k")")) << "before whoever decided has the answer";
  ASSERT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kDeclined);
  EXPECT_EQ(Decide("k", true)->Await().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Decide("nobody", true)->Await().code(), absl::StatusCode::kNotFound);
}

TEST_F(SandboxTest, APendingChargeIsApprovedInTimeAlsoOverARestart) {
  Behave(Pending());
  ChargeAnswer before;
  ASSERT_TRUE(Charge("k", &before)->Await().ok());
  time_.Advance(absl::Seconds(59));
  Open();
  ChargeAnswer after;
  ASSERT_TRUE(Charge("k", &after)->Await().ok());
  EXPECT_EQ(after.kind, ChargeAnswer::Kind::kPending);
  EXPECT_EQ(after.token, before.token);
  EXPECT_EQ(after.until, before.until);
  time_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Charge("other")->Await().ok());  // whatever was written, was written by now
  EXPECT_THAT(LogContent(), HasSubstr(R"("effect":"charge","key":"k")")) << "nobody asked";
}

TEST_F(SandboxTest, ARefundClosesAPendingChargeForGood) {
  Behave(Pending());
  ASSERT_TRUE(Charge("k")->Await().ok());
  RefundAnswer refund;
  ASSERT_TRUE(Refund("k", &refund)->Await().ok());
  EXPECT_EQ(refund.refunded_minor, 0);
  time_.Advance(absl::Seconds(60));
  Behave(Behaviour());
  ChargeAnswer answer;
  ASSERT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.reason, "KEY_CLOSED");
  EXPECT_EQ(LogContent().find(R"("effect":"charge")"), std::string::npos);
}

TEST_F(SandboxTest, HoldsABoundedNumberOfCalls) {
  SandboxOptions options;
  options.calls_max = 3;
  Open(options);
  Behaviour behaviour;
  behaviour.lost_before_rate = 1;
  Behave(behaviour);
  std::vector<std::shared_ptr<Ear>> held = {Charge("a"), Charge("b"), Charge("c")};
  EXPECT_EQ(Charge("d")->Await().code(), absl::StatusCode::kResourceExhausted);
  held[1]->HangUp();
  auto again = Charge("e");
  EXPECT_FALSE(again->heard());
  EXPECT_EQ(sandbox_->held(), 3u);
  sandbox_->ReleaseHeld();
}

TEST_F(SandboxTest, ALookAtTheBooksSeesOnlyWhatIsDurable) {
  std::vector<std::shared_ptr<Ear>> charges;
  for (int i = 0; i < 100; ++i) charges.push_back(Charge("k" + std::to_string(i)));
  size_t payments = 0;
  auto look = std::make_shared<Ear>();
  sandbox_->Read(std::make_unique<FakeCaller>(look), [&](const Books& books) { payments = books.payments().size(); });
  ASSERT_TRUE(look->Await().ok());
  EXPECT_EQ(payments, 100u);
  std::string content = LogContent();
  EXPECT_EQ(std::count(content.begin(), content.end(), '\n'), 100);
}

TEST_F(SandboxTest, BehaviourIsPerTarget) {
  Behaviour behaviour;
  behaviour.unavailable_rate = 1;
  ASSERT_TRUE(sandbox_->SetBehaviour(Target::kDispatcher, behaviour).ok());
  EXPECT_TRUE(Charge("k")->Await().ok());
  behaviour.methods = {"Charge"};
  EXPECT_EQ(sandbox_->SetBehaviour(Target::kDispatcher, behaviour).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(sandbox_->SetBehaviours(behaviour).ok());
  EXPECT_EQ(Charge("k")->Await().code(), absl::StatusCode::kUnavailable);
}

TEST_F(SandboxTest, CountsFates) {
  EXPECT_TRUE(Charge("k")->Await().ok());
  EXPECT_THAT(metrics_->ToText(), HasSubstr("waybill_sandbox_calls_total{fate=\"ordinary\",target=\"gateway\"} 1"));
}

class RedirectingSandbox : public SandboxTest {
 protected:
  RedirectingSandbox() {
    options_.redirects_for = absl::Minutes(15);
    options_.on_news = [this](const PaymentNews& news, const Behaviour&) {
      std::lock_guard lock(mutex_);
      news_.push_back(fmt::format("{} {} {}", news.key, news.token, static_cast<int>(news.kind)));
    };
    Open(options_);
  }
  ~RedirectingSandbox() override { sandbox_.reset(); }
  std::vector<std::string> News() {
    std::lock_guard lock(mutex_);
    return news_;
  }

  SandboxOptions options_;
  std::mutex mutex_;
  std::vector<std::string> news_;
};

TEST_F(RedirectingSandbox, AnswersPendingUntilThePayerDecides) {
  ChargeAnswer answer;
  ASSERT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kPending);
  EXPECT_EQ(answer.expires, time_.Now() + absl::Minutes(15));
  ASSERT_TRUE(Decide("k", true)->Await().ok());
  ASSERT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kApproved);
  EXPECT_THAT(News(), ::testing::ElementsAre("k pi_1 0", "k pi_1 1"));
}

TEST_F(RedirectingSandbox, DeclinesByItselfWhatNobodyPays) {
  ChargeAnswer answer;
  ASSERT_TRUE(Charge("k", &answer)->Await().ok());
  Open(options_);  // also over a restart
  time_.Advance(absl::Minutes(15));
  ASSERT_TRUE(Charge("k", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kDeclined);
  EXPECT_EQ(answer.reason, "EXPIRED");
  EXPECT_FALSE(Decide("k", true)->Await().ok());
  EXPECT_THAT(News(), ::testing::ElementsAre("k pi_1 0", "k pi_1 2"));
}

TEST_F(RedirectingSandbox, MisbehavesLikeAnyOtherAndIsPendingAllTheSame) {
  Behaviour behaviour;
  behaviour.slow_rate = 1;
  behaviour.late_ms = 500;
  Behave(behaviour);
  ChargeAnswer answer;
  auto slow = Charge("k", &answer);
  ASSERT_TRUE(scheduler_.AwaitSet(1));
  time_.Advance(absl::Milliseconds(500));
  ASSERT_TRUE(slow->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kPending);
  behaviour = {};
  behaviour.decline_rate = 1;
  Behave(behaviour);
  ASSERT_TRUE(Charge("declined", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kDeclined);
  behaviour = {};
  behaviour.pending_for_ms = 60'000;  // payers who pay by themselves
  behaviour.expires_ms = 120'000;
  Behave(behaviour);
  ASSERT_TRUE(Charge("paid", &answer)->Await().ok());
  EXPECT_EQ(answer.expires, time_.Now() + absl::Minutes(2));
  time_.Advance(absl::Minutes(1));
  ASSERT_TRUE(Charge("paid", &answer)->Await().ok());
  EXPECT_EQ(answer.kind, ChargeAnswer::Kind::kApproved);
}

}  // namespace
}  // namespace waybill::sandbox

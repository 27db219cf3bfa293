#include "cli/retry.h"

#include <algorithm>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"

namespace waybill::cli {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::Le;

class RetrierTest : public ::testing::Test {
 protected:
  // Answers the given statuses in turn, the last one for ever.
  absl::Status Run(RetryBudget budget, std::vector<absl::Status> answers) {
    Retrier retrier(budget, {time_, random_,
                             [this](absl::Duration pause) {
                               pauses_.push_back(pause);
                               time_.Advance(pause);
                             },
                             [this](const absl::Status& failed, absl::Duration) { told_.push_back(failed.code()); }});
    return retrier.Run([&](SteadyTime deadline) {
      deadlines_.push_back(deadline);
      time_.Advance(absl::Milliseconds(10));
      size_t turn = std::min(deadlines_.size(), answers.size()) - 1;
      return answers[turn];
    });
  }

  testing::ManualTime time_;
  SeededRandom random_{1};
  std::vector<absl::Duration> pauses_;
  std::vector<SteadyTime> deadlines_;
  std::vector<absl::StatusCode> told_;
};

TEST_F(RetrierTest, CallsOnceWhenAllIsWell) {
  EXPECT_TRUE(Run({}, {absl::OkStatus()}).ok());
  EXPECT_EQ(deadlines_.size(), 1u);
}

TEST_F(RetrierTest, RepeatsUntilTheServerIsBack) {
  const SteadyTime start = time_.Steady();
  EXPECT_TRUE(Run({}, {absl::UnavailableError("down"), absl::UnavailableError("down"), absl::OkStatus()}).ok());
  EXPECT_THAT(deadlines_, ElementsAre(start + absl::Seconds(30), start + absl::Seconds(30), start + absl::Seconds(30)));
  EXPECT_THAT(told_, ElementsAre(absl::StatusCode::kUnavailable, absl::StatusCode::kUnavailable));
}

TEST_F(RetrierTest, EndsWhenTheTriesAreSpent) {
  RetryBudget budget;
  budget.retries = 3;
  EXPECT_EQ(Run(budget, {absl::UnavailableError("down")}).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(deadlines_.size(), 4u);
  EXPECT_THAT(pauses_, Each(Le(budget.backoff_max)));
}

TEST_F(RetrierTest, EndsWhenTheTimeIsSpent) {
  RetryBudget budget;
  budget.retries = 1'000'000;
  budget.timeout = absl::Seconds(5);
  const SteadyTime start = time_.Steady();
  EXPECT_EQ(Run(budget, {absl::UnavailableError("down")}).code(), absl::StatusCode::kUnavailable);
  EXPECT_LE(time_.Steady(), start + budget.timeout + absl::Milliseconds(10));
}

TEST_F(RetrierTest, WaitsAtLeastAsLongAsTheServerAsks) {
  ErrorDetail detail;
  detail.reason = "QUEUE_FULL";
  detail.retry_after = absl::Seconds(2);
  EXPECT_TRUE(Run({}, {MakeError(absl::StatusCode::kResourceExhausted, "full", detail), absl::OkStatus()}).ok());
  EXPECT_THAT(pauses_, ElementsAre(Ge(absl::Seconds(2))));
}

TEST_F(RetrierTest, DoesNotRepeatWhatARetryCannotHelp) {
  for (absl::StatusCode code :
       {absl::StatusCode::kInvalidArgument, absl::StatusCode::kNotFound, absl::StatusCode::kFailedPrecondition,
        absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kUnimplemented}) {
    deadlines_.clear();
    EXPECT_EQ(Run({}, {absl::Status(code, "no")}).code(), code);
    EXPECT_EQ(deadlines_.size(), 1u) << code;
  }
  ErrorDetail detail;
  detail.reason = "STORE_REFUSED";
  for (absl::StatusCode code : {absl::StatusCode::kInternal, absl::StatusCode::kResourceExhausted}) {
    deadlines_.clear();
    EXPECT_EQ(Run({}, {MakeError(code, "no", detail)}).code(), code);
    EXPECT_EQ(deadlines_.size(), 1u) << code;
  }
}

// What gRPC and proxies say of a call that they cut: Waybill's own errors have a reason.
TEST_F(RetrierTest, RepeatsACallThatWasCutOnTheWay) {
  for (absl::StatusCode code : {absl::StatusCode::kInternal, absl::StatusCode::kCancelled, absl::StatusCode::kUnknown,
                                absl::StatusCode::kResourceExhausted}) {
    deadlines_.clear();
    EXPECT_TRUE(Run({}, {absl::Status(code, "Received RST_STREAM"), absl::OkStatus()}).ok()) << code;
    EXPECT_EQ(deadlines_.size(), 2u) << code;
  }
}

class RunStreamTest : public RetrierTest {
 protected:
  struct Try {
    absl::Duration open;  // before it is cut
    absl::Status end;
    bool headers = true;
    bool moved = false;
  };
  // Follows a stream that fares as told, the last one for ever (at most a thousand times).
  absl::Status Follow(std::vector<Try> tries) {
    RetryBudget budget;
    budget.timeout = absl::InfiniteDuration();
    Retrier retrier(budget, {time_, random_, [this](absl::Duration pause) { time_.Advance(pause); }, nullptr});
    calls_ = 0;
    return retrier.RunStream([&](StreamTry& stream) {
      const Try& now = tries[std::min(calls_++, tries.size() - 1)];
      if (calls_ == 1'000) return absl::OkStatus();
      if (now.headers) stream.opened = time_.Steady();
      time_.Advance(now.open);
      stream.moved = now.moved;
      return now.end;
    });
  }
  size_t calls_ = 0;
};

TEST_F(RunStreamTest, AQuietStreamMayBeCutAgainAndAgain) {
  for (const absl::Status& cut : {absl::UnavailableError("Socket closed"), absl::InternalError("RST_STREAM 2")}) {
    EXPECT_TRUE(Follow({{absl::Seconds(5), cut}}).ok());
    EXPECT_EQ(calls_, 1'000u);
    EXPECT_TRUE(Follow({{absl::ZeroDuration(), cut, true, true}}).ok()) << "something came";
    EXPECT_EQ(calls_, 1'000u);
  }
}

TEST_F(RunStreamTest, AStreamThatWasNeverOpenIsAFailedTry) {
  const absl::Status cut = absl::UnavailableError("no upstream");
  EXPECT_EQ(Follow({{absl::Seconds(5), cut, false}}), cut);
  EXPECT_EQ(calls_, 6u);
  EXPECT_EQ(Follow({{absl::Milliseconds(10), cut}}), cut);
  EXPECT_EQ(calls_, 6u);
  // Each stream that was open gives a fresh budget.
  const Try failed{absl::ZeroDuration(), cut, false}, open{absl::Seconds(60), cut};
  EXPECT_EQ(Follow({failed, failed, open, failed, failed, failed, open, failed}), cut);
  EXPECT_EQ(calls_, 13u);
}

TEST_F(RunStreamTest, EndsWithTheStreamOrAnErrorThatARetryDoesNotHelp) {
  EXPECT_TRUE(Follow({{absl::Seconds(5), absl::OkStatus()}}).ok());
  EXPECT_EQ(calls_, 1u);
  EXPECT_EQ(
      Follow({{absl::Seconds(5), absl::UnavailableError("")}, {absl::Seconds(5), absl::NotFoundError("")}}).code(),
      absl::StatusCode::kNotFound);
  EXPECT_EQ(calls_, 2u);
}

TEST(MayBeDone, UnlessSomebodyHasSaidNo) {
  EXPECT_TRUE(MayBeDone(absl::UnavailableError("")));
  EXPECT_TRUE(MayBeDone(absl::DeadlineExceededError("")));
  EXPECT_TRUE(MayBeDone(absl::InternalError("")));
  for (const absl::Status& no :
       {absl::OkStatus(), absl::InvalidArgumentError(""), absl::FailedPreconditionError(""), absl::NotFoundError(""),
        absl::AlreadyExistsError(""), absl::PermissionDeniedError("")}) {
    EXPECT_FALSE(MayBeDone(no)) << no;
  }
}

TEST(IsRetryable, KnowsASagaThatMoved) {
  ErrorDetail detail;
  detail.reason = "SAGA_TAKEN_OVER";
  EXPECT_TRUE(IsRetryable(MakeError(absl::StatusCode::kAborted, "moved", detail)));
  detail.reason = "ORDER_STILL_RUNNING";
  EXPECT_TRUE(IsRetryable(MakeError(absl::StatusCode::kDeadlineExceeded, "still running", detail)));
  EXPECT_FALSE(IsRetryable(absl::AbortedError("other")));
  EXPECT_FALSE(IsRetryable(absl::OkStatus()));
}

}  // namespace
}  // namespace waybill::cli

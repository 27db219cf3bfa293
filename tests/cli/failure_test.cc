#include "cli/failure.h"

#include <string>

#include "domain/reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::cli {
namespace {

TEST(ExitCodeOf, TellsScriptsWhatKindOfFailureItWas) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), ExitCode::kFailed);
  EXPECT_EQ(ExitCodeOf(absl::UnimplementedError("")), ExitCode::kFailed);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), ExitCode::kUsage);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), ExitCode::kNotFound);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError("")), ExitCode::kRefused);
  EXPECT_EQ(ExitCodeOf(absl::PermissionDeniedError("")), ExitCode::kRefused);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), ExitCode::kUnavailable);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), ExitCode::kUnavailable);
  EXPECT_EQ(ExitCodeOf(absl::ResourceExhaustedError("")), ExitCode::kUnavailable);
}

// Numbers are part of the interface.
TEST(ExitCode, NeverChanges) {
  EXPECT_EQ(static_cast<int>(ExitCode::kFailed), 1);
  EXPECT_EQ(static_cast<int>(ExitCode::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ExitCode::kNotFound), 3);
  EXPECT_EQ(static_cast<int>(ExitCode::kRefused), 4);
  EXPECT_EQ(static_cast<int>(ExitCode::kUnavailable), 5);
  EXPECT_EQ(static_cast<int>(ExitCode::kTurnedBack), 6);
}

absl::Status BadRequest() {
  ErrorDetail detail;
  detail.violations = {{"user_id", "must not be empty"}, {"amount.currency", "\"EUX\" is not ISO 4217"}};
  return domain::ReasonError("BAD_REQUEST", "2 fields are wrong", detail);
}

// People read options, and scripts the contract's fields.
TEST(NameOptions, PutsWhatIsTypedForWhatIsSent) {
  EXPECT_EQ(
      RenderError(NameOptions(BadRequest(), {{"user_id", "--user"}, {"amount", "--amount"}}), ""),
      "INVALID_ARGUMENT (BAD_REQUEST): 2 fields are wrong: --user: must not be empty; amount.currency: \"EUX\" is "
      "not ISO 4217. Correct the named fields. Nothing was written.");
  EXPECT_EQ(RenderError(NameOptions(domain::BadField("account_id", "is no id"), {{"account_id", "ACCOUNT"}}), ""),
            "INVALID_ARGUMENT (BAD_REQUEST): ACCOUNT: is no id. Correct the named fields. Nothing was written.");
  ErrorDetail refused;
  refused.metadata = {{"result", "exceeds_credits"}, {"field", "amount_minor"}};
  EXPECT_THAT(RenderError(NameOptions(domain::ReasonError("TRANSFER_REFUSED", "transfer t-1", refused),
                                      {{"amount_minor", "--amount"}}),
                          ""),
              ::testing::HasSubstr("transfer t-1 [result=exceeds_credits, field=--amount]"));
}

absl::Status QueueFull() {
  ErrorDetail detail;
  detail.metadata = {{"queue", "journal"}};
  detail.retry_after = absl::Milliseconds(1500);
  return domain::ReasonError("QUEUE_FULL", "the queue is full", detail);
}

TEST(RenderError, IsOneLineThatSaysWhatToDoNext) {
  EXPECT_EQ(RenderError(domain::ReasonError("ORDER_NOT_FOUND", "no order 0190c2f4"), "ignored"),
            "NOT_FOUND (ORDER_NOT_FOUND): no order 0190c2f4. Check the id.");
  EXPECT_EQ(
      RenderError(BadRequest(), ""),
      "INVALID_ARGUMENT (BAD_REQUEST): 2 fields are wrong: user_id: must not be empty; amount.currency: \"EUX\" is not "
      "ISO 4217. Correct the named fields. Nothing was written.");
  EXPECT_EQ(RenderError(QueueFull(), ""),
            "RESOURCE_EXHAUSTED (QUEUE_FULL): the queue is full [queue=journal]. Retry after the delay in RetryInfo, "
            "with the "
            "same key. A retry may help after 1.50 s.");
}

TEST(RenderError, DoesNotRepeatAFieldThatTheMessageNames) {
  ErrorDetail detail;
  detail.violations = {{"user_id", "is required"}};
  EXPECT_EQ(RenderError(domain::ReasonError("BAD_REQUEST", "user_id: is required", detail), ""),
            "INVALID_ARGUMENT (BAD_REQUEST): user_id: is required. Correct the named fields. Nothing was written.");
}

TEST(RenderError, HintsWhereTheReasonIsUnknown) {
  EXPECT_EQ(RenderError(absl::UnavailableError("connection refused"), "Is it running?"),
            "UNAVAILABLE: connection refused. Is it running?");
  ErrorDetail detail;
  detail.reason = "FROM_A_NEWER_SERVER";
  EXPECT_EQ(RenderError(MakeError(absl::StatusCode::kInternal, "odd", detail), ""),
            "INTERNAL (FROM_A_NEWER_SERVER): odd");
}

TEST(RenderError, StaysOnOneLineWhateverTheServerSays) {
  EXPECT_EQ(RenderError(absl::InternalError("a\nb\x1b[2J"), ""), "INTERNAL: a\\nb\\x1b[2J");
}

TEST(RenderErrorJson, HasStableKeys) {
  EXPECT_EQ(RenderErrorJson(BadRequest(), ""),
            R"({"error":{"code":"INVALID_ARGUMENT","reason":"BAD_REQUEST","message":"2 fields are wrong",)"
            R"("fields":[{"field":"user_id","problem":"must not be empty"},)"
            R"({"field":"amount.currency","problem":"\"EUX\" is not ISO 4217"}],)"
            R"("what_to_do":"Correct the named fields. Nothing was written."}})");
  EXPECT_EQ(RenderErrorJson(QueueFull(), ""),
            R"({"error":{"code":"RESOURCE_EXHAUSTED","reason":"QUEUE_FULL","message":"the queue is full",)"
            R"("metadata":{"queue":"journal"},"what_to_do":"Retry after the delay in RetryInfo, with the same key.",)"
            R"("retry_after_ms":1500}})");
  EXPECT_EQ(RenderErrorJson(absl::InternalError("bad \xff byte"), ""),
            "{\"error\":{\"code\":\"INTERNAL\",\"message\":\"bad \xef\xbf\xbd byte\"}}");
}

}  // namespace
}  // namespace waybill::cli

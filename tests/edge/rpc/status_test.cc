#include "edge/rpc/status.h"

#include <string>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST(RpcStatus, EveryCodeSurvivesTheRoundTrip) {
  for (int code = 1; code <= 16; ++code) {
    absl::Status status = FromGrpcStatus(ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "why")));
    EXPECT_EQ(static_cast<int>(status.code()), code);
    EXPECT_EQ(status.message(), "why");
    EXPECT_EQ(GetErrorDetail(status).reason, "");
  }
  EXPECT_TRUE(FromGrpcStatus(ToGrpcStatus(absl::OkStatus())).ok());
}

TEST(RpcStatus, DetailSurvivesTheRoundTrip) {
  ErrorDetail detail;
  detail.reason = "IDEMPOTENCY_KEY_REUSED";
  detail.metadata = {{"order_id", "0190"}, {"field", "amount"}};
  detail.violations = {{"amount.currency", "is unknown"}, {"user_id", "is empty"}};
  detail.retry_after = absl::Milliseconds(1500);
  ErrorDetail back =
      GetErrorDetail(FromGrpcStatus(ToGrpcStatus(MakeError(absl::StatusCode::kFailedPrecondition, "reused", detail))));
  EXPECT_EQ(back.reason, "IDEMPOTENCY_KEY_REUSED");
  EXPECT_THAT(back.metadata, UnorderedElementsAre(Pair("order_id", "0190"), Pair("field", "amount")));
  EXPECT_THAT(back.violations, ElementsAre(Pair("amount.currency", "is unknown"), Pair("user_id", "is empty")));
  EXPECT_EQ(back.retry_after, absl::Milliseconds(1500));
}

TEST(RpcStatus, IsWhatStockClientsDecode) {
  ErrorDetail detail;
  detail.reason = "NOPE";
  grpc::Status status = ToGrpcStatus(MakeError(absl::StatusCode::kAborted, "no", detail));
  google::rpc::Status wire;
  ASSERT_TRUE(wire.ParseFromString(status.error_details()));
  EXPECT_EQ(wire.code(), 10);
  EXPECT_EQ(wire.message(), "no");
  ASSERT_EQ(wire.details_size(), 1);  // nothing said about fields or retries, so nothing is sent
  EXPECT_EQ(wire.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(wire.details(0).UnpackTo(&info));
  EXPECT_EQ(info.domain(), "waybill");
}

TEST(RpcStatus, ErrorsOfOtherDomainsGiveNoReason) {
  google::rpc::Status wire;
  google::rpc::ErrorInfo info;
  info.set_domain("example.com");
  info.set_reason("THEIRS");
  wire.add_details()->PackFrom(info);
  grpc::Status status(grpc::StatusCode::NOT_FOUND, "gone", wire.SerializeAsString());
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status)).reason, "");
  EXPECT_EQ(FromGrpcStatus(grpc::Status(grpc::StatusCode::NOT_FOUND, "gone", "not a proto")).code(),
            absl::StatusCode::kNotFound);
}

TEST(RpcStatus, FitsAClientsMetadataLimit) {
  ErrorDetail detail;
  detail.reason = "BAD_REQUEST";
  for (int i = 0; i < 1000; ++i) detail.violations.emplace_back("metadata[" + std::to_string(i) + "]", "is too long");
  std::string message;
  for (int i = 0; i < 5000; ++i) message += "\xc3\xa9";  // é: a cut inside it would not be UTF-8
  grpc::Status status = ToGrpcStatus(MakeError(absl::StatusCode::kInvalidArgument, message, detail));
  EXPECT_LT(status.error_details().size() * 4 / 3 + 3 * status.error_message().size(), 8192u);
  EXPECT_EQ(status.error_message().size(), 1000u);
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status)).violations[0].first, "metadata[0]");
}

}  // namespace
}  // namespace waybill::rpc

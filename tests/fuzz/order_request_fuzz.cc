// Any bytes as a request: it is refused by name or taken within every bound, and nothing crashes. The first byte
// chooses the request. Run by libFuzzer (preset fuzz), and over a seeded corpus by order_request_fuzz_test.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "domain/currency.h"
#include "edge/rpc/request.h"
#include "edge/rpc/status.h"
#include "google/protobuf/message.h"
#include "google/protobuf/stubs/logging.h"
#include "grpcpp/support/byte_buffer.h"
#include "runtime/status.h"
#include "runtime/text.h"
#include "saga/runner.h"
#include "services/order/intake.h"
#include "services/order/requests.h"

namespace waybill::order {
namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void CheckFitsTheWire(const absl::Status& status) {
  constexpr size_t kMetadataMax = 8 * 1024;  // of a stock client
  grpc::Status wire = rpc::ToGrpcStatus(status);
  Check(wire.error_message().size() + wire.error_details().size() < kMetadataMax, "a refusal fits the wire");
}

void CheckRefusal(const absl::Status& status) {
  ErrorDetail detail = GetErrorDetail(status);
  Check(status.code() == absl::StatusCode::kInvalidArgument, "a refusal is INVALID_ARGUMENT");
  Check(detail.reason == "BAD_REQUEST", "a refusal has a reason");
  Check(!detail.violations.empty(), "a refusal names a field");
  for (const auto& [field, what] : detail.violations) Check(!field.empty() && !what.empty(), "a violation says what");
  CheckFitsTheWire(status);
}

void CheckOrder(const domain::Order& order) {
  Check(!order.idempotency_key.empty() && order.idempotency_key.size() <= kIdempotencyKeyMax, "key length");
  for (char c : order.idempotency_key) Check(c > ' ' && c < 0x7f, "key is visible ASCII");
  Utf8 user = ReadUtf8(order.user_id);
  Check(user.valid && user.characters >= 1 && user.characters <= kUserIdMax, "user_id");
  Check(order.amount_minor >= 1 && order.amount_minor <= kAmountMinorMax, "amount");
  Check(domain::CurrencyExponent(order.currency).has_value(), "currency");
  if (order.pickup.has_value()) {
    Check(std::abs(order.pickup->latitude) <= 90 && std::abs(order.pickup->longitude) <= 180, "pickup");
  }
  Check(order.metadata.size() <= kMetadataEntriesMax, "metadata entries");
  for (const auto& [key, value] : order.metadata) {
    Check(!key.empty() && key.size() <= kMetadataKeyMax && ReadUtf8(key).valid, "metadata key");
    Check(value.size() <= kMetadataValueMax && ReadUtf8(value).valid && !ReadUtf8(value).has_nul, "metadata value");
  }
  Check(order.fingerprint == Fingerprint(order), "the fingerprint depends on the order alone");
  Check(CheckSameRequest(order, order).ok(), "an order is the same as itself");
}

// As the server reads it. False: it is no such message, and the caller is told so.
bool Parse(const std::string& bytes, google::protobuf::Message& message) {
  grpc::Slice slice(bytes);
  grpc::ByteBuffer buffer(&slice, 1);
  absl::Status status = rpc::ParseRequest(buffer, message);
  if (status.ok()) return true;
  Check(status.code() == absl::StatusCode::kInvalidArgument, "a malformed request is INVALID_ARGUMENT");
  CheckFitsTheWire(status);
  return false;
}

void FuzzCreate(const std::string& bytes, const std::string& client) {
  v1::CreateOrderRequest request;
  if (!Parse(bytes, request)) return;
  absl::StatusOr<domain::Order> order = TakeCreate(request, client);
  order.ok() ? CheckOrder(*order) : CheckRefusal(order.status());
}

template <typename Request>
void FuzzList(const std::string& bytes) {
  Request request;
  if (!Parse(bytes, request)) return;
  auto query = TakeQuery(request);
  if (!query.ok()) {
    CheckRefusal(query.status());
    return;
  }
  Check(query->limit >= 1 && query->limit <= kPageSizeMax, "page size");
}

void FuzzSignal(const std::string& bytes) {
  ops::v1::SignalSagaRequest request;
  if (!Parse(bytes, request)) return;
  absl::StatusOr<SignalRequest> taken = TakeSignal(request, {"charge_payment", "assign_driver"});
  if (!taken.ok()) {
    CheckRefusal(taken.status());
    return;
  }
  const saga::Outcome& outcome = taken->signal.outcome;
  Check(saga::IsToken(taken->signal.token), "a token is one for the journal too");
  Check(outcome.reason.empty() == (outcome.kind == saga::Outcome::Kind::kSucceeded),
        "what did not succeed has a reason");
  Check(outcome.detail.size() <= saga::kDetailBytesMax, "the detail is kept whole");
}

void FuzzPut(const std::string& bytes) {
  fleet::v1::PutDriversRequest request;
  if (!Parse(bytes, request)) return;
  absl::StatusOr<PutRequest> put = TakePut(request);
  if (!put.ok()) {
    CheckRefusal(put.status());
    return;
  }
  Check(put->ttl >= absl::Milliseconds(1) && put->ttl <= kPositionTtlMax, "ttl");
  Check(!put->drivers.empty() && put->drivers.size() <= kPlacedDriversMax, "drivers");
  for (const PlacedDriver& driver : put->drivers) {
    Check(domain::CheckPosition(driver.position).ok(), "a position is one");
    Check(!driver.capacity.has_value() || domain::CheckCapacity(*driver.capacity).ok(), "capacity");
  }
}

void FuzzText(const std::string& bytes) {
  Violations violations;
  const uint64_t cursor = TakePageCursor(bytes, "filter", violations);
  Check(cursor == 0 || MakePageToken(cursor, "filter") == bytes, "a token means one cursor");
  std::optional<Uuid> id = TakePageToken(bytes, "filter", violations);
  Check(!id.has_value() || MakePageToken(*id, "filter") == bytes, "a token means one id");
  CheckText(bytes, 1, kReasonMax, "reason", violations);
  absl::StatusOr<Uuid> taken = TakeId(bytes, "order_id");
  Check(!taken.ok() || bytes.size() == 36, "an id has 36 characters");
}

}  // namespace
}  // namespace waybill::order

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace waybill;         // NOLINT(google-build-using-namespace)
  using namespace waybill::order;  // NOLINT(google-build-using-namespace)
  if (size == 0) return 0;
  google::protobuf::SetLogHandler(nullptr);  // of text that is not UTF-8: once for each try
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      FuzzCreate(bytes, "");
      break;
    case 1:
      FuzzCreate(bytes, bytes.substr(0, 16));
      break;
    case 2:
      FuzzList<v1::ListOrdersRequest>(bytes);
      break;
    case 3:
      FuzzList<ops::v1::ListSagasRequest>(bytes);
      break;
    case 4:
      FuzzText(bytes);
      break;
    case 5:
      FuzzSignal(bytes);
      break;
    case 6:
      FuzzPut(bytes);
      break;
  }
  return 0;
}

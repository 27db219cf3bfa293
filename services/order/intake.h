// From what a caller sent to an order that may be written: every field is checked before anything happens. Knows no
// protobuf; a violation names the field by its path in waybill/order/v1.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/client.h"
#include "domain/driver.h"
#include "domain/geo.h"
#include "domain/order.h"
#include "domain/reasons.h"
#include "domain/visible_ascii.h"
#include "runtime/ids.h"

namespace waybill::order {

inline constexpr int64_t kAmountMinorMax = 1'000'000'000'000;
inline constexpr size_t kIdempotencyKeyMax = 255;  // visible ASCII characters
inline constexpr size_t kUserIdMax = 128;          // characters, none of them blank or control
inline constexpr size_t kClientMax = 128;          // visible ASCII characters
inline constexpr size_t kPayerTextMax = 128;       // visible ASCII characters
inline constexpr size_t kMetadataEntriesMax = 32;
inline constexpr size_t kMetadataKeyMax = 64;  // bytes
inline constexpr size_t kMetadataValueMax = 512;
inline constexpr size_t kReasonMax = 512;  // characters
inline constexpr size_t kOperatorMax = 128;
inline constexpr size_t kTokenMax = 128;  // visible ASCII characters
inline constexpr int kPlacedDriversMax = 1'000;
inline constexpr absl::Duration kPositionTtlMax = absl::Hours(24 * 30);
inline constexpr absl::Duration kPositionTtlDefault = absl::Minutes(5);
inline constexpr int kPageSizeMax = 500;
inline constexpr int kPageSizeDefault = 50;

using domain::CheckVisibleAscii;
using domain::ClientNamed;
using domain::kAnonymous;
using domain::Violations;

struct Money {
  int64_t minor_units = 0;
  std::string currency;
};

// What CreateOrder asks for, as it came.
struct OrderRequest {
  std::string client;  // metadata "waybill-client"; empty: "anonymous"
  std::string idempotency_key;
  std::string user_id;
  std::optional<Money> amount;
  std::optional<domain::GeoPoint> pickup;  // NaN: was not said
  std::map<std::string, std::string> metadata;
  std::optional<domain::Payer> payer;  // its position: NaN: was not said
};

// The order as it goes into the books, with its fingerprint. BAD_REQUEST.
absl::StatusOr<domain::Order> TakeOrder(OrderRequest request);

// BAD_REQUEST when the currency's tender has ended: no new order is made in it. One that was made before still stands.
absl::Status CheckTender(const domain::Order& order, absl::Time now);

// SHA-256 over the canonical request: everything that was asked for, without the key and how long to wait.
std::string Fingerprint(const domain::Order& order);

// OK when `existing` was made from the same request; otherwise IDEMPOTENCY_KEY_REUSED, naming the fields that differ.
absl::Status CheckSameRequest(const domain::Order& existing, const domain::Order& repeated);

// There, within the bounds of an order's, and of a currency that is in the table.
void CheckAmount(const std::optional<Money>& amount, Violations& violations);

// What is said, within its bounds; a payment need not name its user.
void CheckUserId(std::string_view user_id, Violations& violations);
void CheckPayer(const domain::Payer& payer, Violations& violations);
// As it is kept; nullopt: nothing was said.
std::optional<domain::Payer> KeptPayer(std::optional<domain::Payer> payer);

absl::StatusOr<Uuid> TakeId(std::string_view text, std::string_view field);

// Free text of `min` to `max` characters: UTF-8 without NUL, which Postgres cannot hold. Adds a violation otherwise.
void CheckText(std::string_view text, size_t min, size_t max, std::string_view field, Violations& violations);

// What is wrong with where a driver is, and with its capacity; `within` is the path of the message that has these
// fields.
void CheckPlace(const domain::DriverPosition& position, std::string_view within, Violations& violations);
void CheckCapacity(int capacity, std::string_view within, Violations& violations);

// 0 means the default.
int TakePageSize(int size, Violations& violations);

// Page tokens are opaque to callers: the id to continue after, or a store's cursor, bound to the filter they were made
// for.
std::string MakePageToken(const Uuid& last, std::string_view filter);
std::string MakePageToken(uint64_t cursor, std::string_view filter);
// Nothing when the token is empty: the first page.
std::optional<Uuid> TakePageToken(const std::string& token, std::string_view filter, Violations& violations);
uint64_t TakePageCursor(const std::string& token, std::string_view filter,
                        Violations& violations);  // 0: the first page

}  // namespace waybill::order

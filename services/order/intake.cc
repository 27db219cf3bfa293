#include "services/order/intake.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/escaping.h"
#include "domain/currency.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/sha256.h"
#include "runtime/text.h"
#include "services/order/differing.h"

namespace waybill::order {
namespace {

void CheckCoordinate(double degrees, double max, std::string_view field, Violations& violations) {
  if (std::isnan(degrees)) {
    violations.Add(std::string(field), "is required, and a number");
  } else if (degrees < -max || degrees > max) {
    violations.Add(std::string(field), fmt::format("is {}; must be {} to {}", degrees, -max, max));
  }
}

void CheckMetadata(const std::map<std::string, std::string>& metadata, Violations& violations) {
  if (metadata.size() > kMetadataEntriesMax) {
    violations.Add("metadata",
                   fmt::format("has {} entries; at most {} are allowed", metadata.size(), kMetadataEntriesMax));
    return;
  }
  for (const auto& [key, value] : metadata) {
    Utf8 key_text = ReadUtf8(key);
    if (key.empty() || key.size() > kMetadataKeyMax || !key_text.valid || key_text.has_control) {
      violations.Add("metadata",
                     fmt::format("a key has {} bytes; keys are 1 to {} bytes of UTF-8 without control characters",
                                 key.size(), kMetadataKeyMax));
      continue;
    }
    std::string field = fmt::format("metadata[{}]", key);
    if (value.size() > kMetadataValueMax) {
      violations.Add(field, fmt::format("has {} bytes; at most {} are allowed", value.size(), kMetadataValueMax));
    } else if (Utf8 text = ReadUtf8(value); !text.valid || text.has_nul) {
      violations.Add(field, "is not UTF-8 without NUL");
    }
  }
}

void Put(std::string& out, uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(number >> shift);
}
void Put(std::string& out, std::string_view text) {
  Put(out, uint64_t{text.size()});
  out += text;
}

// Every part has its length before it, so that no two requests look alike.
std::string Canonical(const domain::Order& order) {
  std::string out;
  out.reserve(128);
  out += "waybill.order.v1";
  Put(out, order.user_id);
  Put(out, static_cast<uint64_t>(order.amount_minor));
  Put(out, order.currency);
  Put(out, uint64_t{order.pickup.has_value()});
  if (order.pickup.has_value()) {
    Put(out, std::bit_cast<uint64_t>(order.pickup->latitude));
    Put(out, std::bit_cast<uint64_t>(order.pickup->longitude));
  }
  Put(out, uint64_t{order.metadata.size()});
  for (const auto& [key, value] : order.metadata) {
    Put(out, key);
    Put(out, value);
  }
  // Nothing at all where nothing is said, as of requests that were made when nothing could be.
  if (order.payer) {
    for (const std::string* text : {&order.payer->card, &order.payer->device, &order.payer->address}) Put(out, *text);
    Put(out, uint64_t{order.payer->position.has_value()});
    if (order.payer->position) {
      Put(out, std::bit_cast<uint64_t>(order.payer->position->latitude));
      Put(out, std::bit_cast<uint64_t>(order.payer->position->longitude));
    }
    Put(out, uint64_t{order.payer->account.has_value()});
    if (order.payer->account) Put(out, static_cast<uint64_t>(absl::ToUnixMicros(*order.payer->account)));
  }
  return out;
}

constexpr size_t kFilterHashSize = 8;

std::string FilterHash(std::string_view filter) {
  return Sha256(fmt::format("waybill.page.v1{}", filter)).substr(0, kFilterHashSize);
}

}  // namespace

void CheckAmount(const std::optional<Money>& amount, Violations& violations) {
  if (!amount.has_value()) {
    violations.Add("amount", "is required");
    return;
  }
  if (amount->minor_units < 1 || amount->minor_units > kAmountMinorMax) {
    violations.Add("amount.minor_units", fmt::format("is {}; must be 1 to {}", amount->minor_units, kAmountMinorMax));
  }
  if (amount->currency.empty()) {
    violations.Add("amount.currency", "is required");
  } else if (!domain::CurrencyExponent(amount->currency).has_value()) {
    violations.Add("amount.currency", "is not an ISO 4217 currency in upper case, such as \"EUR\"");
  }
}

void CheckUserId(std::string_view user_id, Violations& violations) {
  if (user_id.empty()) {
    violations.Add("user_id", "is required");
    return;
  }
  Utf8 text = ReadUtf8(user_id);
  if (!text.valid) {
    violations.Add("user_id", "is not valid UTF-8");
  } else if (text.characters > kUserIdMax) {
    violations.Add("user_id", fmt::format("has {} characters; at most {} are allowed", text.characters, kUserIdMax));
  } else if (text.has_control || text.has_blank) {
    violations.Add("user_id", "may not contain blanks or control characters");
  }
}

void CheckPayer(const domain::Payer& payer, Violations& violations) {
  for (const auto& [field, text] :
       {std::pair("payer.card_fingerprint", &payer.card), std::pair("payer.device_id", &payer.device),
        std::pair("payer.address", &payer.address)}) {
    if (!text->empty()) CheckVisibleAscii(*text, kPayerTextMax, field, violations);
  }
  if (payer.position) {
    CheckCoordinate(payer.position->latitude, 90, "payer.position.latitude", violations);
    CheckCoordinate(payer.position->longitude, 180, "payer.position.longitude", violations);
  }
}

std::optional<domain::Payer> KeptPayer(std::optional<domain::Payer> payer) {
  if (!payer || *payer == domain::Payer()) return std::nullopt;
  if (payer->position) {
    payer->position->latitude += 0.0;  // -0.0 becomes 0.0
    payer->position->longitude += 0.0;
  }
  if (payer->account) payer->account = absl::FromUnixMicros(absl::ToUnixMicros(*payer->account));
  return payer;
}

absl::StatusOr<domain::Order> TakeOrder(OrderRequest request) {
  Violations violations;
  if (!request.client.empty()) CheckVisibleAscii(request.client, kClientMax, "waybill-client", violations);
  CheckVisibleAscii(request.idempotency_key, kIdempotencyKeyMax, "idempotency_key", violations);
  CheckUserId(request.user_id, violations);
  CheckAmount(request.amount, violations);
  if (request.pickup.has_value()) {
    CheckCoordinate(request.pickup->latitude, 90, "pickup.latitude", violations);
    CheckCoordinate(request.pickup->longitude, 180, "pickup.longitude", violations);
  }
  CheckMetadata(request.metadata, violations);
  if (request.payer) CheckPayer(*request.payer, violations);
  if (!violations.empty()) return std::move(violations).ToStatus();

  domain::Order order;
  order.client = ClientNamed(request.client);
  order.idempotency_key = std::move(request.idempotency_key);
  order.user_id = std::move(request.user_id);
  order.amount_minor = request.amount->minor_units;
  order.currency = std::move(request.amount->currency);
  order.pickup = request.pickup;
  if (order.pickup.has_value()) {
    order.pickup->latitude += 0.0;  // -0.0 becomes 0.0: the same point, so the same fingerprint
    order.pickup->longitude += 0.0;
  }
  order.metadata = std::move(request.metadata);
  order.payer = KeptPayer(std::move(request.payer));
  order.fingerprint = Fingerprint(order);
  return order;
}

absl::Status CheckTender(const domain::Order& order, absl::Time now) {
  const absl::Time end = domain::TenderEnd(order.currency);
  if (now < end) return absl::OkStatus();
  return domain::BadField("amount.currency", fmt::format("{} is no legal tender since {}", order.currency,
                                                         absl::FormatTime("%Y-%m-%d", end, absl::UTCTimeZone())));
}

std::string Fingerprint(const domain::Order& order) { return Sha256(Canonical(order)); }

absl::Status CheckSameRequest(const domain::Order& existing, const domain::Order& repeated) {
  if (existing.fingerprint == repeated.fingerprint) return absl::OkStatus();
  Differing differing;
  differing.If(existing.user_id != repeated.user_id, "user_id")
      .If(existing.amount_minor != repeated.amount_minor, "amount.minor_units")
      .If(existing.currency != repeated.currency, "amount.currency")
      .If(existing.pickup != repeated.pickup, "pickup")
      .If(existing.metadata != repeated.metadata, "metadata")
      .If(existing.payer != repeated.payer, "payer");
  ErrorDetail detail;
  detail.metadata = {{"fields", differing.fields()}};
  return domain::ReasonError(
      "IDEMPOTENCY_KEY_REUSED",
      fmt::format("the idempotency key belongs to an order made from a different request; it differs in {}",
                  differing.fields()),
      std::move(detail));
}

absl::StatusOr<Uuid> TakeId(std::string_view text, std::string_view field) {
  std::optional<Uuid> id = Uuid::Parse(text);
  if (id.has_value()) return *id;
  Violations violations;
  violations.Add(std::string(field), text.empty() ? "is required" : "is not a UUID of 36 characters");
  return std::move(violations).ToStatus();
}

void CheckText(std::string_view text, size_t min, size_t max, std::string_view field, Violations& violations) {
  Utf8 read = ReadUtf8(text);
  if (!read.valid || read.has_nul) {
    violations.Add(std::string(field), "is not UTF-8 without NUL");
  } else if (text.empty() && min > 0) {
    violations.Add(std::string(field), "is required");
  } else if (read.characters > max) {
    violations.Add(std::string(field), fmt::format("has {} characters; at most {} are allowed", read.characters, max));
  }
}

void CheckPlace(const domain::DriverPosition& position, std::string_view within, Violations& violations) {
  const absl::Status wrong = domain::CheckPosition(position);
  for (const auto& [field, what] : GetErrorDetail(wrong).violations)
    violations.Add(fmt::format("{}{}", within, field), what);
}

void CheckCapacity(int capacity, std::string_view within, Violations& violations) {
  const absl::Status wrong = domain::CheckCapacity(capacity);
  for (const auto& [field, what] : GetErrorDetail(wrong).violations)
    violations.Add(fmt::format("{}{}", within, field), what);
}

int TakePageSize(int size, Violations& violations) {
  if (size < 0 || size > kPageSizeMax) {
    violations.Add("page_size",
                   fmt::format("is {}; must be 1 to {}, or 0 for {}", size, kPageSizeMax, kPageSizeDefault));
  }
  return size == 0 ? kPageSizeDefault : size;
}

namespace {

std::string PageToken(std::string position, std::string_view filter) {
  return absl::WebSafeBase64Escape(std::move(position) + FilterHash(filter));
}

// The position of `size` bytes that the token was made from; "" when it was made from none of that size.
std::string PagePosition(const std::string& token, size_t size, std::string_view filter, Violations& violations) {
  std::string bytes;
  constexpr size_t kEncodedMax = 64;
  if (token.size() > kEncodedMax || !absl::WebSafeBase64Unescape(token, &bytes) ||
      bytes.size() != size + kFilterHashSize || absl::WebSafeBase64Escape(bytes) != token) {
    violations.Add("page_token", "is not a token of an earlier page");
    return "";
  }
  if (bytes.substr(size) != FilterHash(filter)) {
    violations.Add("page_token", "belongs to a query with another filter");
    return "";
  }
  return bytes.substr(0, size);
}

}  // namespace

std::string MakePageToken(const Uuid& last, std::string_view filter) {
  return PageToken(std::string(reinterpret_cast<const char*>(last.bytes.data()), last.bytes.size()), filter);
}

std::optional<Uuid> TakePageToken(const std::string& token, std::string_view filter, Violations& violations) {
  if (token.empty()) return std::nullopt;
  Uuid id;
  const std::string position = PagePosition(token, id.bytes.size(), filter, violations);
  if (position.empty()) return std::nullopt;
  std::memcpy(id.bytes.data(), position.data(), id.bytes.size());
  return id;
}

std::string MakePageToken(uint64_t cursor, std::string_view filter) {
  std::string position;
  Put(position, cursor);
  return PageToken(std::move(position), filter);
}

uint64_t TakePageCursor(const std::string& token, std::string_view filter, Violations& violations) {
  if (token.empty()) return 0;
  uint64_t cursor = 0;
  int shift = 0;
  for (char byte : PagePosition(token, sizeof cursor, filter, violations)) {
    cursor |= uint64_t{static_cast<unsigned char>(byte)} << shift;
    shift += 8;
  }
  return cursor;
}

}  // namespace waybill::order

#include "payments/webhooks/event.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "domain/currency.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/sha256.h"
#include "runtime/text.h"

namespace waybill::payments {
namespace {

using Json = nlohmann::json;

constexpr size_t kNameBytesMax = 255;  // of ids, keys and tokens; a longer one is nobody's
constexpr size_t kTypeBytesMax = 128;

std::string DigestOf(std::string_view body) { return "sha256:" + absl::BytesToHexString(Sha256(body)); }

// Null: nothing is there.
const Json* At(const Json& root, std::string_view pointer) {
  const Json* at = &root;
  while (!pointer.empty()) {
    pointer.remove_prefix(1);  // '/'
    const std::string_view escaped = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(escaped.size());
    if (at->is_object()) {
      std::string name;
      for (size_t i = 0; i < escaped.size(); ++i) {
        const bool tilde = escaped[i] == '~' && i + 1 < escaped.size();
        name.push_back(!tilde ? escaped[i] : escaped[++i] == '1' ? '/' : '~');
      }
      const auto found = at->find(name);
      if (found == at->end()) return nullptr;
      at = &*found;
    } else if (at->is_array()) {
      size_t index = 0;
      const auto [end, error] = std::from_chars(escaped.data(), escaped.data() + escaped.size(), index);
      if (error != std::errc() || end != escaped.data() + escaped.size() || index >= at->size()) return nullptr;
      at = &(*at)[index];
    } else {
      return nullptr;
    }
  }
  return at;
}

// What stands there as a text; a number as it would be written. Empty: nothing, or no single value.
std::string TextAt(const Json& root, std::string_view pointer) {
  if (pointer.empty()) return "";
  const Json* value = At(root, pointer);
  if (value == nullptr) return "";
  if (value->is_string()) return value->get<std::string>();
  if (value->is_number_float()) return fmt::format("{}", value->get<double>());  // the shortest that reads back
  if (value->is_number_unsigned()) return fmt::format("{}", value->get<uint64_t>());
  if (value->is_number_integer()) return fmt::format("{}", value->get<int64_t>());
  return "";
}

// A name that another one was cut or cleaned from would be somebody else's.
std::string NameOf(std::string text) {
  std::string clean = CleanText(text, kNameBytesMax);
  return clean == text ? clean : "";
}

std::optional<int64_t> Scaled(int64_t amount, int from_decimals, int to_decimals) {
  for (; from_decimals < to_decimals; ++from_decimals) {
    if (__builtin_mul_overflow(amount, int64_t{10}, &amount)) return std::nullopt;
  }
  for (; from_decimals > to_decimals; --from_decimals) {
    if (amount % 10 != 0) return std::nullopt;
    amount /= 10;
  }
  return amount;
}

void ReadAmount(const WebhookGateway& gateway, const Json& root, Event& event) {
  event.currency = NameOf(TextAt(root, gateway.currency));
  std::transform(event.currency.begin(), event.currency.end(), event.currency.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  const std::string text = TextAt(root, gateway.amount);
  if (text.empty()) return;
  const std::optional<int> exponent = domain::CurrencyExponent(event.currency);
  if (exponent) {
    const auto own = gateway.exponents.find(event.currency);
    const int counted = own == gateway.exponents.end() ? *exponent : own->second;
    const std::optional<int64_t> amount = ParseDecimal(text, gateway.decimal_amounts ? *exponent : 0);
    if (amount) event.amount_minor = gateway.decimal_amounts ? *amount : Scaled(*amount, counted, *exponent);
  }
  if (!event.amount_minor) event.problem = kUnreadableAmount;
}

}  // namespace

std::optional<int64_t> ParseDecimal(std::string_view text, int decimals) {
  constexpr int64_t kMax = 1'000'000'000'000'000;
  int64_t amount = 0;
  int behind = -1;  // digits behind the point, once there is one
  bool digits = false;
  for (const char c : text) {
    if (c == '.' && behind < 0) {
      behind = 0;
    } else if (c >= '0' && c <= '9') {
      digits = true;
      if (behind >= decimals) {
        if (c != '0') return std::nullopt;
        continue;
      }
      amount = amount * 10 + (c - '0');
      if (amount > kMax) return std::nullopt;
      if (behind >= 0) ++behind;
    } else {
      return std::nullopt;
    }
  }
  if (!digits) return std::nullopt;
  return Scaled(amount, std::max(behind, 0), decimals);
}

Event ReadEvent(const WebhookGateway& gateway, const HeaderOf& header, std::string_view body) {
  Event event;
  const Json root = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) event.problem = kUnreadableBody;

  if (gateway.scheme == Scheme::kStandard && gateway.event_id.empty()) {
    event.id = NameOf(std::string(header(header("webhook-signature").empty() ? "svix-id" : "webhook-id")));
  }
  if (!root.is_discarded()) {
    for (const std::string& pointer : gateway.event_id) {
      const std::string part = TextAt(root, pointer);
      if (part.empty()) {
        event.id.clear();
        break;
      }
      event.id += (event.id.empty() ? "" : ":") + part;
    }
    event.id = NameOf(std::move(event.id));
    event.key = NameOf(TextAt(root, gateway.payment_key));
    event.token = NameOf(TextAt(root, gateway.payment_token));
    ReadAmount(gateway, root, event);
  }
  if (event.id.empty()) event.id = DigestOf(body);

  constexpr std::string_view kHeader = kHeaderPrefix;
  std::string type = gateway.event_type.starts_with(kHeader)
                         ? std::string(header(std::string_view(gateway.event_type).substr(kHeader.size())))
                     : root.is_discarded() ? ""
                                           : TextAt(root, gateway.event_type);
  event.type = CleanText(std::move(type), kTypeBytesMax);
  event.wanted = gateway.event_types.empty() || std::find(gateway.event_types.begin(), gateway.event_types.end(),
                                                          event.type) != gateway.event_types.end();
  return event;
}

}  // namespace waybill::payments

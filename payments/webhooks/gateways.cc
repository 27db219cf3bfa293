#include "payments/webhooks/gateways.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "domain/currency.h"
#include "domain/payment_attempt.h"
#include "fmt/format.h"
#include "runtime/text.h"
#include "runtime/toml.h"

namespace waybill::payments {
namespace {

constexpr size_t kPointerMax = 200, kTextsMax = 64, kGatewaysMax = 100;
constexpr size_t kSecretFileBytesMax = 4096;

absl::Status Faulty(std::string message) { return absl::InvalidArgumentError(CleanText(std::move(message), 2'000)); }

// One [[gateway]], and where its mistakes are told.
class GatewayTable {
 public:
  GatewayTable(const toml::table& table, std::string_view source) : table_(table), source_(source) {}

  absl::Status Wrong(std::string_view field, std::string_view why) const {
    const toml::node* node = table_.get(field);
    const auto line = (node != nullptr ? node->source() : table_.source()).begin.line;
    return Faulty(fmt::format("{}:{}: {} {}", source_, line, field, why));
  }

  absl::Status CheckFields() const {
    static constexpr std::array<std::string_view, 13> kFields = {
        "name",          "scheme", "secrets",  "secret_files",    "event_id",  "event_type", "payment_key",
        "payment_token", "amount", "currency", "decimal_amounts", "exponents", "event_types"};
    for (const auto& [key, node] : table_) {
      const std::string_view field = key.str();
      if (std::find(kFields.begin(), kFields.end(), field) == kFields.end()) {
        return Wrong(field, fmt::format("is no field of a gateway; these are: {}", fmt::join(kFields, ", ")));
      }
    }
    return absl::OkStatus();
  }

  bool Has(std::string_view field) const { return table_.get(field) != nullptr; }

  absl::StatusOr<std::string> Text(std::string_view field) const {
    const toml::node* node = table_.get(field);
    if (node == nullptr) return Wrong(field, "is missing");
    const auto* text = node->as_string();
    if (text == nullptr) return Wrong(field, "is not a text in quotes");
    return text->get();
  }

  // A list of texts, or one.
  absl::StatusOr<std::vector<std::string>> Texts(std::string_view field) const {
    std::vector<std::string> texts;
    const toml::node* node = table_.get(field);
    if (node == nullptr) return texts;
    if (const auto* one = node->as_string()) return std::vector<std::string>{one->get()};
    const toml::array* list = node->as_array();
    if (list == nullptr || list->size() > kTextsMax) return Wrong(field, "is not a list of texts in quotes");
    for (const toml::node& each : *list) {
      const auto* text = each.as_string();
      if (text == nullptr) return Wrong(field, "is not a list of texts in quotes");
      texts.push_back(text->get());
    }
    return texts;
  }

  absl::Status TakePointer(std::string_view field, std::string& place, bool or_header = false) const {
    if (!Has(field)) return absl::OkStatus();
    absl::StatusOr<std::string> text = Text(field);
    if (!text.ok()) return text.status();
    if (or_header && text->starts_with(kHeaderPrefix) && text->size() <= kPointerMax &&
        std::all_of(text->begin(), text->end(), [](char c) { return c > ' ' && c <= '~' && (c < 'A' || c > 'Z'); })) {
      place = *std::move(text);
      return absl::OkStatus();
    }
    if (!text->empty() && !IsPointer(*text)) {
      return Wrong(field, or_header ? "is neither a JSON pointer such as \"/data/id\" nor \"header:\" and a name in "
                                      "lower case"
                                    : "is not a JSON pointer such as \"/data/id\"");
    }
    place = *std::move(text);
    return absl::OkStatus();
  }

  static bool IsPointer(std::string_view text) {
    return text.starts_with('/') && text.size() <= kPointerMax && CleanText(std::string(text), kPointerMax) == text;
  }

  const toml::table& table() const { return table_; }

 private:
  const toml::table& table_;
  const std::string_view source_;
};

absl::StatusOr<std::string> ReadSecret(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (file) {
    text.resize(kSecretFileBytesMax + 1);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
  }
  if (file.bad() || text.empty()) return absl::InvalidArgumentError("cannot be read, or is empty");
  if (text.size() > kSecretFileBytesMax) return absl::InvalidArgumentError("is too long for a secret");
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

absl::Status TakeSecrets(const GatewayTable& table, WebhookGateway& gateway) {
  absl::StatusOr<std::vector<std::string>> texts = table.Texts("secrets");
  if (!texts.ok()) return texts.status();
  for (size_t at = 0; at < texts->size(); ++at) {
    absl::StatusOr<std::string> secret = ParseSecret(gateway.scheme, (*texts)[at]);
    if (!secret.ok())
      return table.Wrong("secrets", fmt::format("number {} {}", at + 1, std::string(secret.status().message())));
    gateway.secrets.push_back(*std::move(secret));
  }
  absl::StatusOr<std::vector<std::string>> files = table.Texts("secret_files");
  if (!files.ok()) return files.status();
  for (const std::string& path : *files) {
    absl::StatusOr<std::string> secret = ReadSecret(path);
    if (secret.ok()) secret = ParseSecret(gateway.scheme, *secret);
    if (!secret.ok())
      return table.Wrong("secret_files", fmt::format("{} {}", path, std::string(secret.status().message())));
    gateway.secrets.push_back(*std::move(secret));
  }
  if (gateway.secrets.empty()) return table.Wrong("secrets", "and secret_files are missing, or empty");
  return absl::OkStatus();
}

absl::Status TakeExponents(const GatewayTable& table, WebhookGateway& gateway) {
  const toml::node* node = table.table().get("exponents");
  if (node == nullptr) return absl::OkStatus();
  const toml::table* exponents = node->as_table();
  if (exponents == nullptr) return table.Wrong("exponents", "is not a table such as {ISK = 2}");
  for (const auto& [code, value] : *exponents) {
    const std::string currency(code.str());
    const auto* number = value.as_integer();
    if (!domain::CurrencyExponent(currency) || number == nullptr || number->get() < 0 || number->get() > 4) {
      return table.Wrong("exponents", "is not a table of currencies of ISO 4217 with 0 to 4 decimals each");
    }
    gateway.exponents[currency] = static_cast<int>(number->get());
  }
  return absl::OkStatus();
}

absl::StatusOr<WebhookGateway> ParseGateway(const GatewayTable& table) {
  if (absl::Status known = table.CheckFields(); !known.ok()) return known;
  absl::StatusOr<std::string> name = table.Text("name");
  if (!name.ok()) return name.status();
  if (!domain::IsGatewayName(*name)) {
    return table.Wrong("name", "is not 1 to 40 of a-z, 0-9, '_' and '-'");
  }
  absl::StatusOr<std::string> scheme_name = table.Text("scheme");
  if (!scheme_name.ok()) return scheme_name.status();
  const std::optional<Scheme> scheme = ParseScheme(*scheme_name);
  if (!scheme) {
    std::vector<std::string_view> names;
    for (const Scheme each : kSchemes) names.push_back(Name(each));
    return table.Wrong("scheme", fmt::format("is none of {}", fmt::join(names, ", ")));
  }
  WebhookGateway gateway = DefaultsOf(*scheme);
  gateway.name = *std::move(name);
  if (absl::Status taken = TakeSecrets(table, gateway); !taken.ok()) return taken;

  if (table.Has("event_id")) {
    absl::StatusOr<std::vector<std::string>> ids = table.Texts("event_id");
    if (!ids.ok()) return ids.status();
    for (const std::string& pointer : *ids) {
      if (!GatewayTable::IsPointer(pointer)) {
        return table.Wrong("event_id",
                           "is not a JSON pointer such as \"/id\", or a list of them; what is not signed is no id");
      }
    }
    gateway.event_id = *std::move(ids);
  }
  absl::Status placed = table.TakePointer("event_type", gateway.event_type, /*or_header=*/true);
  placed.Update(table.TakePointer("payment_key", gateway.payment_key));
  placed.Update(table.TakePointer("payment_token", gateway.payment_token));
  placed.Update(table.TakePointer("amount", gateway.amount));
  placed.Update(table.TakePointer("currency", gateway.currency));
  if (!placed.ok()) return placed;
  if (gateway.payment_key.empty() && gateway.payment_token.empty()) {
    return table.Wrong("payment_key", "and payment_token are both empty: no event would be about a payment");
  }
  if (!gateway.amount.empty() && gateway.currency.empty()) {
    return table.Wrong("currency", "is empty and `amount` is not: no amount could be held against the order's");
  }
  if (const toml::node* node = table.table().get("decimal_amounts")) {
    const auto* flag = node->as_boolean();
    if (flag == nullptr) return table.Wrong("decimal_amounts", "is neither true nor false");
    gateway.decimal_amounts = flag->get();
  }
  if (absl::Status taken = TakeExponents(table, gateway); !taken.ok()) return taken;
  if (table.Has("event_types")) {
    absl::StatusOr<std::vector<std::string>> types = table.Texts("event_types");
    if (!types.ok()) return types.status();
    gateway.event_types = *std::move(types);
  }
  return gateway;
}

// What is said of text that is no TOML quotes it, and it may be a secret: only where it is stays.
absl::Status WithoutQuotes(const absl::Status& wrong, std::string_view source) {
  const std::string_view told(wrong.message().data(), wrong.message().size());
  const size_t line = source.size() + 1;
  if (!told.starts_with(source) || told.size() <= line || told[line - 1] != ':' || told[line] < '0' ||
      told[line] > '9') {
    return Faulty(std::string(told));
  }
  return Faulty(fmt::format("{} is no TOML", told.substr(0, told.find(':', line))));
}

absl::StatusOr<WebhookGateways> GatewaysOf(const toml::table& file, std::string_view source) {
  WebhookGateways gateways;
  for (const auto& [key, node] : file) {
    if (key.str() != "gateway" || node.as_array() == nullptr) {
      return Faulty(
          fmt::format("{}:{}: a file of webhooks holds tables [[gateway]] only", source, node.source().begin.line));
    }
    for (const toml::node& each : *node.as_array()) {
      const toml::table* table = each.as_table();
      if (table == nullptr) {
        return Faulty(fmt::format("{}:{}: gateway is not a list of tables", source, each.source().begin.line));
      }
      const GatewayTable of(*table, source);
      absl::StatusOr<WebhookGateway> gateway = ParseGateway(of);
      if (!gateway.ok()) return gateway.status();
      if (gateways.contains(gateway->name)) return of.Wrong("name", "is another gateway's as well");
      if (gateways.size() == kGatewaysMax) return of.Wrong("name", fmt::format("is one of more than {}", kGatewaysMax));
      std::string name = gateway->name;
      gateways.emplace(std::move(name), *std::move(gateway));
    }
  }
  return gateways;
}

}  // namespace

WebhookGateway DefaultsOf(Scheme scheme) {
  WebhookGateway gateway;
  gateway.scheme = scheme;
  switch (scheme) {
    case Scheme::kStandard:
    case Scheme::kGithub:
      gateway.event_type = scheme == Scheme::kStandard ? "/type" : "header:x-github-event";
      gateway.payment_key = "/data/idempotency_key";
      gateway.payment_token = "/data/token";
      gateway.amount = "/data/amount_minor";
      gateway.currency = "/data/currency";
      break;
    case Scheme::kStripe:
      gateway.event_id = {"/id"};
      gateway.event_type = "/type";
      gateway.payment_key = "/data/object/metadata/idempotency_key";
      gateway.payment_token = "/data/object/id";
      gateway.amount = "/data/object/amount";
      gateway.currency = "/data/object/currency";
      gateway.exponents = {{"ISK", 2}, {"MGA", 0}, {"UGX", 2}};
      gateway.event_types = {"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled"};
      break;
    case Scheme::kRazorpay:
      gateway.event_type = "/event";
      gateway.payment_key = "/payload/payment/entity/notes/idempotency_key";
      gateway.payment_token = "/payload/payment/entity/order_id";
      gateway.amount = "/payload/payment/entity/amount";
      gateway.currency = "/payload/payment/entity/currency";
      gateway.event_types = {"payment.captured", "payment.failed"};
      break;
    case Scheme::kCashfree:
      gateway.event_type = "/type";
      gateway.payment_token = "/data/order/order_id";
      gateway.amount = "/data/order/order_amount";
      gateway.currency = "/data/order/order_currency";
      gateway.decimal_amounts = true;
      gateway.event_types = {"PAYMENT_SUCCESS_WEBHOOK", "PAYMENT_FAILED_WEBHOOK", "PAYMENT_USER_DROPPED_WEBHOOK"};
      break;
    case Scheme::kAdyen: {
      const std::string item = "/notificationItems/0/NotificationRequestItem";
      gateway.event_id = {item + "/eventCode", item + "/pspReference"};
      gateway.event_type = item + "/eventCode";
      gateway.payment_key = item + "/merchantReference";
      gateway.payment_token = item + "/pspReference";
      gateway.amount = item + "/amount/value";
      gateway.currency = item + "/amount/currency";
      gateway.event_types = {"AUTHORISATION", "OFFER_CLOSED"};
      break;
    }
    case Scheme::kMollie:
      gateway.event_id = {"/id"};
      gateway.event_type = "/type";
      gateway.payment_token = "/entityId";
      gateway.amount = "/_embedded/entity/amount/value";
      gateway.currency = "/_embedded/entity/amount/currency";
      gateway.decimal_amounts = true;
      break;
  }
  return gateway;
}

absl::StatusOr<WebhookGateways> ParseWebhookGateways(std::string_view text, std::string_view source) {
  absl::StatusOr<toml::table> file = ParseToml(text, source);
  if (!file.ok()) return WithoutQuotes(file.status(), source);
  return GatewaysOf(*file, source);
}

absl::StatusOr<WebhookGateways> ReadWebhookGateways(const std::string& path) {
  absl::StatusOr<toml::table> file = ReadToml(path);
  if (!file.ok()) return WithoutQuotes(file.status(), path);
  return GatewaysOf(*file, path);
}

std::string Describe(const WebhookGateways& gateways) {
  std::string text;
  for (const auto& [name, gateway] : gateways) {
    text += fmt::format("{}{}: {}, {} {}", text.empty() ? "" : "; ", name, Name(gateway.scheme), gateway.secrets.size(),
                        gateway.secrets.size() == 1 ? "secret" : "secrets");
  }
  return text;
}

}  // namespace waybill::payments

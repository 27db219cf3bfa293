#include "payments/gateways_file.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "domain/currency.h"
#include "domain/payment_attempt.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "runtime/text.h"
#include "runtime/toml.h"
#include "runtime/toml_fields.h"
#include "webhooks/url.h"

namespace waybill::payments {
namespace {

constexpr size_t kGatewaysMax = 64, kRulesMax = 1'000, kClientMax = 200;
constexpr int64_t kPpm = 1'000'000;

Scope TakeScope(TomlFields& fields) {
  Scope scope;
  scope.currencies = fields.Texts("currencies");
  for (const std::string& currency : scope.currencies) {
    if (!domain::CurrencyExponent(currency)) {
      fields.Wrong("currencies", fmt::format("names \"{}\", which is no currency of ISO 4217", currency));
    }
  }
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  scope.amount_min = fields.Number("amount_min", 1, kMost, 1);
  scope.amount_max = fields.Number("amount_max", 1, kMost, kMost);
  if (scope.amount_min > scope.amount_max) fields.Wrong("amount_max", "is less than amount_min");
  return scope;
}

bool IsAddress(std::string_view address) {
  if (address.starts_with("http://") || address.starts_with("https://")) {
    const absl::StatusOr<webhooks::Url> url = webhooks::ParseUrl(address);
    return url.ok() && url->target == "/" && !address.ends_with('/');
  }
  for (const std::string_view scheme : {"grpc://", "grpcs://"}) {
    if (address.starts_with(scheme) && address.size() > scheme.size()) return true;
  }
  return false;
}

void TakeGateway(TomlFields& fields, Routes& routes) {
  static constexpr std::array<std::string_view, 9> kKnown = {
      "name", "address", "weight", "cost_ppm", "fallback", "capture", "currencies", "amount_min", "amount_max"};
  fields.CheckKnown(kKnown);
  Gateway gateway;
  gateway.name = fields.Text("name");
  if (!domain::IsGatewayName(gateway.name)) {
    fields.Wrong("name", fields.Has("name") ? "is not 1 to 40 letters a-z, digits, '-' and '_'" : "is missing");
  }
  for (const Gateway& other : routes.gateways) {
    if (other.name == gateway.name)
      fields.Wrong("name", fmt::format("\"{}\" is another gateway's already", other.name));
  }
  gateway.address = fields.Text("address");
  if (!IsAddress(gateway.address)) {
    fields.Wrong("address",
                 fields.Has("address")
                     ? "is none of grpc://HOST:PORT, grpcs://HOST:PORT, http://HOST:PORT and https://HOST:PORT"
                     : "is missing");
  }
  gateway.weight = static_cast<int>(fields.Number("weight", 1, kWeightMax, gateway.weight));
  gateway.cost_ppm = fields.Number("cost_ppm", 0, kPpm, 0);
  gateway.fallback = fields.Flag("fallback");
  const std::string capture = fields.Text("capture");
  gateway.capture_later = capture == "later";
  if (fields.Has("capture") && capture != "now" && capture != "later") {
    fields.Wrong("capture", "is neither \"now\" nor \"later\"");
  }
  gateway.takes = TakeScope(fields);
  if (gateway.IsProcessor() && gateway.takes.currencies.size() != 1) {
    fields.Wrong("currencies", "has to name the one currency of a processor (http), whose payments say none");
  }
  if (gateway.IsProcessor() && gateway.capture_later) {
    fields.Wrong("capture", "is \"later\", and a processor (http) holds no money");
  }
  routes.gateways.push_back(std::move(gateway));
}

void TakeRule(TomlFields& fields, Routes& routes) {
  static constexpr std::array<std::string_view, 5> kKnown = {"client", "currencies", "amount_min", "amount_max",
                                                             "gateways"};
  fields.CheckKnown(kKnown);
  Rule rule;
  rule.client = fields.Text("client");
  const bool visible = std::all_of(rule.client.begin(), rule.client.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (fields.Has("client") && (rule.client.empty() || rule.client.size() > kClientMax || !visible)) {
    fields.Wrong("client", fmt::format("is no client's name: 1 to {} visible ASCII characters", kClientMax));
  }
  rule.scope = TakeScope(fields);
  rule.gateways = fields.Texts("gateways");
  if (rule.gateways.empty()) fields.Wrong("gateways", "is missing");
  for (const std::string& name : rule.gateways) {
    const bool known = std::any_of(routes.gateways.begin(), routes.gateways.end(),
                                   [&](const Gateway& gateway) { return gateway.name == name; });
    if (!known) fields.Wrong("gateways", fmt::format("names \"{}\", and no [[gateway]] has that name", name));
  }
  routes.rules.push_back(std::move(rule));
}

absl::StatusOr<Routes> RoutesOf(const toml::table& file, std::string_view source) {
  const auto wrong = [&](const toml::node& node, std::string_view why) {
    return FileMistake(fmt::format("{}:{}: {}", source, node.source().begin.line, why));
  };
  for (const auto& [key, node] : file) {
    if (key.str() == "gateway" || key.str() == "rule") continue;
    return wrong(node, fmt::format("{} is unknown: there are [[gateway]] and [[rule]]", std::string(key.str())));
  }
  Routes routes;
  // Rules name gateways, wherever those stand.
  for (const std::string_view what : {"gateway", "rule"}) {
    const toml::node* node = file.get(what);
    if (node == nullptr) continue;
    const auto* tables = node->as_array();
    if (tables == nullptr) return wrong(*node, fmt::format("{0} is no list of tables [[{0}]]", what));
    const size_t most = what == "gateway" ? kGatewaysMax : kRulesMax;
    if (tables->size() > most) return wrong(*node, fmt::format("there are more than {} [[{}]]", most, what));
    for (const toml::node& one : *tables) {
      const auto* table = one.as_table();
      if (table == nullptr) return wrong(one, fmt::format("{0} holds what is no table [[{0}]]", what));
      TomlFields fields(*table, what, source);
      what == "gateway" ? TakeGateway(fields, routes) : TakeRule(fields, routes);
      if (!fields.status().ok()) return fields.status();
    }
  }
  if (routes.gateways.empty()) return FileMistake(fmt::format("{}: there is no [[gateway]]", source));
  return routes;
}

}  // namespace

absl::StatusOr<Routes> ParseRoutes(std::string_view text, std::string_view source) {
  const absl::StatusOr<toml::table> file = ParseToml(text, source);
  return file.ok() ? RoutesOf(*file, source) : file.status();
}

absl::StatusOr<Routes> ReadRoutes(const std::string& path) {
  const absl::StatusOr<toml::table> file = ReadToml(path);
  return file.ok() ? RoutesOf(*file, path) : file.status();
}

bool SameGateways(const Routes& a, const Routes& b) {
  const auto fixed = [](const Routes& routes) {
    std::map<std::string, std::pair<std::string, bool>> by_name;
    for (const Gateway& gateway : routes.gateways) by_name[gateway.name] = {gateway.address, gateway.capture_later};
    return by_name;
  };
  return fixed(a) == fixed(b);
}

std::string Describe(const Routes& routes) {
  constexpr size_t kBytesMax = 2'000;
  std::string text;
  for (const Gateway& gateway : routes.gateways) {
    text += fmt::format(
        "{}{} weight {} cost {} ppm{}{}{}", text.empty() ? "" : "; ", gateway.name, gateway.weight, gateway.cost_ppm,
        gateway.fallback ? " fallback" : "", gateway.capture_later ? " captured later" : "",
        gateway.takes.currencies.empty() ? "" : fmt::format(" {}", fmt::join(gateway.takes.currencies, " ")));
    if (gateway.takes.amount_min > 1) text += fmt::format(" from {}", gateway.takes.amount_min);
    if (gateway.takes.amount_max < std::numeric_limits<int64_t>::max()) {
      text += fmt::format(" to {}", gateway.takes.amount_max);
    }
  }
  for (const Rule& rule : routes.rules) {
    text += fmt::format(
        "; {} {} {}-{}: {}", rule.client.empty() ? "every client" : rule.client,
        rule.scope.currencies.empty() ? "every currency" : fmt::format("{}", fmt::join(rule.scope.currencies, " ")),
        rule.scope.amount_min, rule.scope.amount_max, fmt::join(rule.gateways, " "));
  }
  return CleanText(std::move(text), kBytesMax);
}

}  // namespace waybill::payments

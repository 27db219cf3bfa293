#include "services/race/service_options.h"

#include <string_view>

#include "absl/strings/str_split.h"
#include "domain/currency.h"
#include "domain/payment_attempt.h"
#include "fmt/format.h"
#include "runtime/local_address.h"
#include "services/process/flags.h"

namespace waybill::race {

absl::StatusOr<std::vector<OrderAddress>> ParseOrderAddresses(const std::string& text) {
  constexpr std::string_view kPlain = "grpc://", kTls = "grpcs://";
  std::vector<OrderAddress> addresses;
  for (const std::string& one : std::vector<std::string>(absl::StrSplit(text, ','))) {
    const std::string_view scheme = one.starts_with(kTls) ? kTls : kPlain;
    if (!one.starts_with(scheme) || one.size() == scheme.size()) {
      return absl::InvalidArgumentError(
          fmt::format("--orders: \"{}\" is neither grpc://HOST:PORT nor grpcs://HOST:PORT", one));
    }
    addresses.push_back({one.substr(scheme.size()), scheme == kTls});
  }
  return addresses;
}

void DeclareSettings(CLI::App& app, ServiceOptions& options) {
  app.description(
      "waybill-race serves the race contract over waybill-order: POST /payments, GET /payments-summary and POST "
      "/purge-payments. It keeps nothing itself, so any number of it may run.");
  app.add_option("--listen", options.listen, "Address of the contract's HTTP port; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--side-listen", options.side_listen, "Address of the HTTP port for probes and metrics")
      ->capture_default_str();
  app.add_flag("--expose-plain", options.expose_plain,
               "Serve, without TLS, where other machines reach it: whoever reaches the contract's port may pay");
  app.add_option("--port-file", options.port_file,
                 "Write the bound ports to this file once serving: race=PORT, side=PORT");
  app.add_option("--orders", options.orders,
                 "Where waybill-order serves gRPC; of several, with commas between, each is called in turn")
      ->type_name("grpc[s]://HOST:PORT")
      ->check([](const std::string& text) { return std::string(ParseOrderAddresses(text).status().message()); })
      ->capture_default_str();
  app.add_option("--orders-ca", options.ca,
                 "CAs (PEM) that vouch for waybill-order behind grpcs:// (default: those of this machine)")
      ->type_name("FILE");
  app.add_option("--key-file", options.key_file,
                 "File with the key that waybill-order is shown: with the scopes orders:write and ops (default: none)")
      ->type_name("FILE");
  app.add_option("--currency", options.front.currency, "The currency of all amounts, by ISO 4217")
      ->capture_default_str();
  app.add_option("--default-gateway", options.front.default_gateway,
                 "The gateway whose charges the summary calls default")
      ->capture_default_str();
  app.add_option("--fallback-gateway", options.front.fallback_gateway, "And that of fallback")->capture_default_str();
  app.add_flag("--purge-allowed", options.front.purge_allowed,
               "Answer POST /purge-payments with 200 rather than 403; nothing is deleted either way");
  process::AddDuration(app, "--timeout", options.front.timeout,
                       "How long a call waits for waybill-order, and is repeated");
  process::AddDuration(app, "--drain", options.drain, "How long running calls have at SIGTERM");
  process::AddLogFlags(app, options.log_levels, options.log_format);
}

absl::Status FinishSettings(ServiceOptions& options) {
  if (!domain::CurrencyExponent(options.front.currency)) {
    return absl::InvalidArgumentError("--currency is no currency of ISO 4217");
  }
  for (const auto& [flag, name] : {std::pair("--default-gateway", &options.front.default_gateway),
                                   std::pair("--fallback-gateway", &options.front.fallback_gateway)}) {
    if (!domain::IsGatewayName(*name)) {
      return absl::InvalidArgumentError(fmt::format("{} is not 1 to 40 letters a-z, digits, '-' and '_'", flag));
    }
  }
  if (options.front.default_gateway == options.front.fallback_gateway) {
    return absl::InvalidArgumentError("--default-gateway and --fallback-gateway are the same");
  }
  for (const auto& [flag, address] :
       {std::pair("--listen", &options.listen), std::pair("--side-listen", &options.side_listen)}) {
    if (options.expose_plain || IsLocal(*address)) continue;
    return absl::InvalidArgumentError(fmt::format(
        "{} {} can be reached by other machines, and is neither encrypted nor asks who calls: add --expose-plain if "
        "that is meant",
        flag, *address));
  }
  const absl::StatusOr<std::vector<OrderAddress>> orders = ParseOrderAddresses(options.orders);
  if (!orders.ok()) return orders.status();
  bool any_tls = false;
  for (const OrderAddress& one : *orders) {
    any_tls = any_tls || one.tls;
    if (one.tls || options.key_file.empty() || IsLocal(one.target)) continue;
    return absl::InvalidArgumentError(fmt::format(
        "--orders: {} is another machine, and the key of --key-file would be readable on the way: use grpcs://",
        one.target));
  }
  if (!options.ca.empty() && !any_tls) {
    return absl::InvalidArgumentError("--orders-ca is given, and none of --orders is grpcs://");
  }
  return absl::OkStatus();
}

}  // namespace waybill::race

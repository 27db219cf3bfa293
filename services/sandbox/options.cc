#include "services/sandbox/options.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "domain/currency.h"
#include "domain/payment_attempt.h"
#include "fmt/format.h"
#include "runtime/status.h"
#include "services/process/flags.h"
#include "services/sandbox/sandbox.h"
#include "webhooks/url.h"

namespace waybill::sandbox {
namespace {

constexpr char kDescription[] =
    "waybill-sandbox is a payment gateway and a dispatcher that misbehave on request: for trying out and testing\n"
    "waybill-order. Each side effect is in the log, synced, before any answer leaves.";

constexpr char kFooter[] = R"(What becomes of a call is drawn in this order; the first share that hits decides:
  unavailable   UNAVAILABLE at once, nothing executed
  lost-before   never answered, nothing executed
  lost-after    executed, never answered
  late          executed, answered after late-ms
  slow          executed only after late-ms, and answered then
  decline       declined (dispatcher: no driver), and so is every repetition
  pending       a charge or authorization is answered pending until SandboxAdmin decides it, or pending-for-ms is over: approved then
The first answer to an idempotency key is repeated for ever, over restarts as well. A repetition of a call that is
still executing gets ABORTED, or what the repetition flag says.

Examples:
  waybill-sandbox --log books.log
  waybill-sandbox --log books.log --gateway-decline-rate 0.1 --gateway-latency-ms-p50 20 --gateway-latency-ms-p99 300
  waybill-sandbox --log books.log --gateway-lost-after-rate 0.05 --gateway-methods Charge
  waybill-sandbox --log books.log --gateway upi=127.0.0.1:7425,kind=redirect,fee-ppm=20000
  waybill-sandbox --log books.log --drivers 0         every order finds no driver
While it runs, waybill.sandbox.v1.SandboxAdmin changes all of this, reads the books, and restarts it.)";

void AddBehaviour(CLI::App& app, const std::string& target, Target which, Behaviour& behaviour) {
  auto* group = app.add_option_group(target, fmt::format("How the {} misbehaves", target));
  auto share = [&](const char* name, double& value, const char* help) {
    group->add_option(fmt::format("--{}-{}", target, name), value, help)->type_name("SHARE")->capture_default_str();
  };
  auto millis = [&](const char* name, int64_t& value, const char* help) {
    process::AddInteger(*group, fmt::format("--{}-{}", target, name), value, help)
        ->type_name("MS")
        ->capture_default_str();
  };
  share("unavailable-rate", behaviour.unavailable_rate, "Calls refused with UNAVAILABLE, 0..1");
  share("lost-before-rate", behaviour.lost_before_rate, "Calls never executed and never answered");
  share("lost-after-rate", behaviour.lost_after_rate, "Calls executed and never answered");
  share("late-rate", behaviour.late_rate, "Calls answered after late-ms");
  share("slow-rate", behaviour.slow_rate, "Calls executed only after late-ms, and then answered");
  share("decline-rate", behaviour.decline_rate, "Calls declined");
  if (which == Target::kGateway) {
    share("pending-rate", behaviour.pending_rate, "Charges answered pending, to be decided later");
    share("webhook-lost-rate", behaviour.webhook_lost_rate, "Webhooks that are never sent");
    share("webhook-twice-rate", behaviour.webhook_twice_rate, "Webhooks sent twice");
    share("webhook-late-rate", behaviour.webhook_late_rate, "Webhooks sent after late-ms, behind later ones");
    share("webhook-out-of-order-rate", behaviour.webhook_out_of_order_rate, "Webhooks sent behind the next one");
    share("webhook-wrong-amount-rate", behaviour.webhook_wrong_amount_rate, "Webhooks that name another amount");
  }
  millis("latency-ms-p50", behaviour.latency_ms_p50, "Median latency of ordinary answers (log-normal; 0: at once)");
  millis("latency-ms-p99", behaviour.latency_ms_p99, "99th percentile of it");
  millis("late-ms", behaviour.late_ms, "How late late answers are, and the effects of slow calls");
  if (which == Target::kGateway) {
    millis("pending-for-ms", behaviour.pending_for_ms, "After how long a pending charge is approved by itself");
    millis("expires-ms", behaviour.expires_ms,
           "After how long a pending charge can be paid no more; 0: it is not said");
    millis("held-ms", behaviour.held_ms, "After how long what is authorized can be captured no more; 0: seven days");
  }
  static const std::map<std::string, Repetition> repetitions = {{"contract", Repetition::kByContract},
                                                                {"aborted", Repetition::kAborted},
                                                                {"conflict", Repetition::kConflict},
                                                                {"declined", Repetition::kDeclined}};
  group
      ->add_option_function<std::string>(
          fmt::format("--{}-repetition", target),
          [&behaviour](const std::string& name) { behaviour.repetition = repetitions.at(name); },
          "What a repetition gets while the first call is late or slow")
      ->check(CLI::IsMember(&repetitions))
      ->default_str("contract");
  group
      ->add_option(fmt::format("--{}-methods", target), behaviour.methods,
                   fmt::format("The shares apply only to these of {}", fmt::join(MethodsOf(which), ", ")))
      ->type_name("METHOD")
      ->delimiter(',');
}

// "--gateway-late-rate is not within 0..1"
std::optional<std::string> Mistake(const std::string& target, Target which, const Behaviour& behaviour) {
  absl::Status status = Check(behaviour, MethodsOf(which));
  if (status.ok()) return std::nullopt;
  auto [field, what] = GetErrorDetail(status).violations.front();
  std::replace(field.begin(), field.end(), '_', '-');
  return fmt::format("--{}-{} {}", target, field, what);
}

}  // namespace

void DeclareSettings(CLI::App& app, ServiceOptions& options) {
  app.description(kDescription);
  app.footer(kFooter);
  app.add_option("--log", options.log, "The books: append-only, one JSON line a side effect; read back at start")
      ->type_name("FILE");
  app.add_option("--listen", options.listen, "Address of the gRPC port; port 0 takes a free one")
      ->envname("WAYBILL_SANDBOX_LISTEN")
      ->capture_default_str();
  app.add_option("--side-listen", options.side_listen, "Address of the HTTP port: probes, metrics, and calls by curl")
      ->envname("WAYBILL_SANDBOX_SIDE_LISTEN")
      ->capture_default_str();
  process::AddExposureSettings(app, options.exposure);
  app.add_option("--port-file", options.port_file,
                 "Write the bound ports to this file once serving: grpc=PORT, side=PORT")
      ->type_name("FILE");
  process::AddInteger(app, "--drivers", options.drivers,
                      "The dispatcher's fleet; each driver takes one order at a time")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  process::AddInteger(app, "--seed", options.seed,
                      "Of the random draws (default: a new one each start, which is logged)");
  app.add_option(
         "--webhook-url", options.webhook_url,
         "Where the gateway's webhooks go, http://HOST:PORT/PATH: one for each pending charge that is decided, by "
         "Standard Webhooks (default: nowhere)")
      ->type_name("URL");
  app.add_option("--webhook-secret-file", options.webhook_secret_file, "Their secret, whsec_ and base64")
      ->type_name("FILE");
  app.add_option(
         "--checkout-url", options.checkout_url,
         "What the checkout URLs of pending charges begin with; the token comes behind it (default: none are named)")
      ->type_name("URL");
  app.add_option(
         "--gateway", options.gateways,
         "Plays another gateway, on a gRPC port of its own, with the books --log.NAME; may be repeated. Behind its "
         "address may stand, with commas: kind=immediate, or kind=redirect, which answers charges pending with a "
         "page of this process's HTTP port as their checkout URL, until the payer decides there or expires=SECONDS "
         "(900) are over; fee-ppm=N of a charge, in millionths; webhook-url=URL with webhook-secret-file=FILE and "
         "webhook-scheme=standard, stripe, razorpay, cashfree, mollie or github; checkout-url=URL where a proxy leads "
         "to "
         "the page, with the token behind it; return-url=URL for payers who come from the page. Port 0 takes a free "
         "one (and another after a restart)")
      ->type_name("NAME=HOST:PORT");
  process::AddInteger(app, "--gateway-fee-ppm", options.gateway_fee_ppm,
                      "What the gateway of --listen takes of a charge, in parts per million, by its settlement files")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  AddBehaviour(app, "gateway", Target::kGateway, options.gateway);
  AddBehaviour(app, "dispatcher", Target::kDispatcher, options.dispatcher);
  app.add_option("--processor", options.processors,
                 "Plays a processor too, by JSON over HTTP on a port of its own, with the books --log.NAME; may be "
                 "repeated. Port 0 takes a free one (and another after a restart)")
      ->type_name("NAME=HOST:PORT");
  app.add_option("--processor-fee-ppm", options.processor_fees,
                 "What that processor takes of an amount, in parts per million (default: nothing); may be repeated")
      ->type_name("NAME=PPM");
  app.add_option("--processor-currency", options.processor_currency, "The currency of all processors' amounts")
      ->type_name("CODE")
      ->capture_default_str();
  process::AddDuration(app, "--processor-health-every", options.processor_health_every,
                       "How often each processor shows its health; sooner it answers 429");
  process::AddLogFlags(app, options.log_levels, options.log_format);
}

absl::Status FinishSettings(ServiceOptions& options) {
  if (options.log.empty()) return absl::InvalidArgumentError("--log is required: the file of the books");
  if (absl::Status exposed = process::CheckExposure(options.exposure, options.listen, options.side_listen);
      !exposed.ok()) {
    return exposed;
  }
  if (options.webhook_url.empty() != options.webhook_secret_file.empty()) {
    return absl::InvalidArgumentError("--webhook-url and --webhook-secret-file come together or not at all");
  }
  if (!options.webhook_url.empty()) {
    const absl::StatusOr<webhooks::Url> url = webhooks::ParseUrl(options.webhook_url);
    if (!url.ok() || url->tls) {
      return absl::InvalidArgumentError(
          fmt::format("--webhook-url {}", url.ok() ? "is not http" : std::string(url.status().message())));
    }
  }
  if (!domain::CurrencyExponent(options.processor_currency)) {
    return absl::InvalidArgumentError("--processor-currency is no currency of ISO 4217");
  }
  if (absl::Status gateways = GatewaysOf(options).status(); !gateways.ok()) return gateways;
  if (absl::Status processors = ProcessorsOf(options).status(); !processors.ok()) return processors;
  for (const auto& mistake : {Mistake("gateway", Target::kGateway, options.gateway),
                              Mistake("dispatcher", Target::kDispatcher, options.dispatcher)}) {
    if (mistake.has_value()) return absl::InvalidArgumentError(*mistake);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<GatewayOptions>> GatewaysOf(const ServiceOptions& options) {
  std::vector<GatewayOptions> gateways;
  for (const std::string& text : options.gateways) {
    const auto wrong = [&text](std::string_view what) {
      return absl::InvalidArgumentError(fmt::format("--gateway \"{}\": {}", text, what));
    };
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const absl::string_view part : absl::StrSplit(text, ',')) {
      const std::pair<std::string, std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
      if (pair.second.empty()) return wrong(fmt::format("\"{}\" is no KEY=VALUE", std::string(part)));
      pairs.push_back(pair);
    }
    GatewayOptions gateway;
    std::tie(gateway.name, gateway.listen) = pairs.front();
    const bool taken = std::any_of(gateways.begin(), gateways.end(),
                                   [&](const GatewayOptions& other) { return other.name == gateway.name; });
    if (taken || !domain::IsGatewayName(gateway.name) || gateway.name == "gateway" || gateway.name == "dispatcher") {
      return wrong("it begins with no name of its own of a-z, 0-9, '-' and '_', other than gateway and dispatcher");
    }
    for (auto pair = std::next(pairs.begin()); pair != pairs.end(); ++pair) {
      const auto& [key, value] = *pair;
      if (key == "kind") {
        if (value != "immediate" && value != "redirect") return wrong("its kind is neither immediate nor redirect");
        gateway.redirects = value == "redirect";
      } else if (key == "expires") {
        int64_t seconds = 0;
        constexpr int64_t kSecondsMax = 30 * 24 * 3'600;
        if (!absl::SimpleAtoi(value, &seconds) || seconds <= 0 || seconds > kSecondsMax) {
          return wrong(fmt::format("expires is not within 1..{} seconds", kSecondsMax));
        }
        gateway.expires = absl::Seconds(seconds);
      } else if (key == "fee-ppm") {
        if (!absl::SimpleAtoi(value, &gateway.fee_ppm) || gateway.fee_ppm < 0 || gateway.fee_ppm > 1'000'000) {
          return wrong("fee-ppm is not within 0..1000000");
        }
      } else if (key == "webhook-url") {
        const absl::StatusOr<webhooks::Url> url = webhooks::ParseUrl(value);
        if (!url.ok() || url->tls) return wrong("webhook-url is not http://HOST:PORT/PATH");
        gateway.webhook_url = value;
      } else if (key == "webhook-secret-file") {
        gateway.webhook_secret_file = value;
      } else if (key == "webhook-scheme") {
        const std::optional<payments::Scheme> scheme = payments::ParseScheme(value);
        if (!scheme) return wrong("webhook-scheme is none that is known");
        gateway.webhook_scheme = *scheme;
      } else if (key == "checkout-url") {
        if (!webhooks::ParseUrl(value).ok()) return wrong("checkout-url is no URL");
        gateway.checkout_url = value;
      } else if (key == "return-url") {
        if (!webhooks::ParseUrl(value).ok()) return wrong("return-url is no URL");
        gateway.return_url = value;
      } else {
        return wrong(
            fmt::format("{} is none of kind, expires, fee-ppm, webhook-url, webhook-secret-file, webhook-scheme, "
                        "checkout-url and return-url",
                        key));
      }
    }
    if (absl::Status open = process::CheckExposure(options.exposure, gateway.listen, options.side_listen); !open.ok()) {
      return wrong(std::string(open.message()));
    }
    if (gateway.webhook_url.empty() != gateway.webhook_secret_file.empty()) {
      return wrong("webhook-url and webhook-secret-file come together or not at all");
    }
    gateways.push_back(std::move(gateway));
  }
  return gateways;
}

absl::StatusOr<std::vector<ProcessorOptions>> ProcessorsOf(const ServiceOptions& options) {
  std::vector<ProcessorOptions> processors;
  const auto find = [&](std::string_view name) {
    return std::find_if(processors.begin(), processors.end(), [&](const auto& one) { return one.name == name; });
  };
  for (const std::string& text : options.processors) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const bool a_gateways =  // whose books have the same name
        std::any_of(options.gateways.begin(), options.gateways.end(),
                    [&](const std::string& gateway) { return gateway.starts_with(name + "="); });
    if (equals == std::string::npos || !domain::IsGatewayName(name) || find(name) != processors.end() || a_gateways) {
      return absl::InvalidArgumentError(fmt::format(
          "--processor \"{}\" is not NAME=HOST:PORT with a name of its own of a-z, 0-9, '-' and '_'", text));
    }
    ProcessorOptions processor;
    processor.name = name;
    processor.listen = text.substr(equals + 1);
    processor.log = fmt::format("{}.{}", options.log, name);
    processor.currency = options.processor_currency;
    processor.health_every = options.processor_health_every;
    processors.push_back(std::move(processor));
  }
  for (const std::string& text : options.processor_fees) {
    const size_t equals = text.find('=');
    const auto processor = find(text.substr(0, equals));
    if (equals == std::string::npos || processor == processors.end() ||
        !absl::SimpleAtoi(text.substr(equals + 1), &processor->fee_ppm) || processor->fee_ppm < 0 ||
        processor->fee_ppm > 1'000'000) {
      return absl::InvalidArgumentError(
          fmt::format("--processor-fee-ppm \"{}\" is not NAME=PPM, of a --processor and up to 1000000", text));
    }
  }
  return processors;
}

std::vector<std::string> RestartArguments(const std::vector<std::string>& args, const std::string& listen,
                                          const std::string& side_listen) {
  std::vector<std::string> kept;
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--listen" || args[i] == "--side-listen") {
      ++i;  // and its value
    } else if (args[i].rfind("--listen=", 0) != 0 && args[i].rfind("--side-listen=", 0) != 0) {
      kept.push_back(args[i]);
    }
  }
  kept.insert(kept.end(), {"--listen", listen, "--side-listen", side_listen});
  return kept;
}

std::string BoundAddress(const std::string& listen, int port) {
  return fmt::format("{}:{}", listen.substr(0, listen.rfind(':')), port);
}

}  // namespace waybill::sandbox

#include "services/ledger/broker_settings.h"

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "domain/client.h"
#include "edge/amqp/address.h"
#include "fmt/format.h"
#include "ledger/account.h"
#include "services/process/flags.h"

namespace waybill::ledger {
namespace {

constexpr size_t kDelaysMax = 16;
constexpr absl::Duration kDelayMax = absl::Hours(24);

absl::StatusOr<std::vector<absl::Duration>> ParseDelays(std::string_view text) {
  const auto wrong = [&] {
    return absl::InvalidArgumentError(
        fmt::format("--amqp-retry-delays: \"{}\" is not a list of at most {} durations up to a day, such as 0s,1s,10s",
                    text, kDelaysMax));
  };
  std::vector<absl::Duration> delays;
  for (std::string_view left = text; !left.empty();) {
    const std::string_view one = left.substr(0, left.find(','));
    left.remove_prefix(one.size());
    if (!left.empty()) left.remove_prefix(1);
    absl::Duration delay;
    if (!absl::ParseDuration(absl::string_view(one.data(), one.size()), &delay)) return wrong();
    if (delay < absl::ZeroDuration() || delay > kDelayMax || delay % absl::Milliseconds(1) != absl::ZeroDuration()) {
      return wrong();
    }
    delays.push_back(delay);
  }
  if (delays.size() > kDelaysMax) return wrong();
  return delays;
}

}  // namespace

void AddBrokerSettings(CLI::App& app, BrokerSettings& settings) {
  app.add_option("--amqp-url", settings.url,
                 "RabbitMQ, whose queues transactions, balance-calculation and refunds are served: "
                 "amqp://user:password@host:port/virtual-host, or amqps:// (default: none are)")
      ->type_name("URL");
  app.add_option("--amqp-ca", settings.ca, "CAs (PEM) that vouch for it, over amqps (default: those of this machine)")
      ->type_name("FILE");
  app.add_option("--amqp-client", settings.client, "Whose accounts and transfers those of the queues are")
      ->capture_default_str()
      ->type_name("CLIENT");
  process::AddInteger(app, "--amqp-prefetch", settings.prefetch, "Messages of each queue that are handled at a time")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--amqp-retry-delays", settings.retry_delays,
                 "Pauses before further attempts at a message; then it is a dead letter")
      ->capture_default_str()
      ->type_name("LIST");
}

absl::StatusOr<std::optional<BrokerOptions>> BrokerOptionsOf(const BrokerSettings& settings) {
  absl::StatusOr<std::vector<absl::Duration>> delays = ParseDelays(settings.retry_delays);
  if (!delays.ok()) return delays.status();
  if (settings.client.empty()) return absl::InvalidArgumentError("--amqp-client: whose accounts are they?");
  if (domain::IsReservedClient(settings.client)) {
    return absl::InvalidArgumentError("--amqp-client: names that begin with a parenthesis are Waybill's own");
  }
  if (settings.url.empty()) {
    if (!settings.ca.empty()) return absl::InvalidArgumentError("--amqp-ca: there is no --amqp-url");
    return std::nullopt;
  }
  absl::StatusOr<amqp::Address> address = amqp::ParseUrl(settings.url);
  if (!address.ok())
    return absl::InvalidArgumentError(fmt::format("--amqp-url: {}", std::string(address.status().message())));
  if (!settings.ca.empty() && !address->tls) {
    return absl::InvalidArgumentError("--amqp-ca: --amqp-url is not amqps://, so nobody is asked for a certificate");
  }
  BrokerOptions options;
  options.connection.address = *std::move(address);
  options.connection.ca = settings.ca;
  options.connection.name = "waybill-ledger";
  options.client = settings.client;
  options.prefetch = static_cast<uint16_t>(settings.prefetch);
  options.delays = *std::move(delays);
  return options;
}

}  // namespace waybill::ledger

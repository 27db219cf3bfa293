#include "services/process/tracing.h"

#include <algorithm>
#include <utility>

#include "edge/tls/credentials.h"
#include "services/process/flags.h"

namespace waybill::process {

void AddTracingSettings(CLI::App& app, TracingOptions& options) {
  app.add_option("--otlp-endpoint", options.endpoint,
                 "Collector of traces, by OTLP over gRPC or HTTP (default: nothing is traced)")
      ->type_name("grpc[s]://HOST:PORT|http[s]://HOST:PORT")
      ->check([](const std::string& url) { return std::string(otlp::ParseEndpoint(url).status().message()); });
  app.add_option("--otlp-ca", options.ca,
                 "CAs (PEM) that vouch for a collector behind grpcs:// or https:// (default: those of this machine)")
      ->type_name("FILE");
  app.add_option_function<double>(
         "--trace-ratio", [ratio = options.ratio](double value) { *ratio = value; },
         "Share of the traces that begin here which is sampled; who calls with a traceparent has decided for his")
      ->check(NumberBetween(0, 1))
      ->default_str("0.01");
}

absl::Status CheckTracing(const TracingOptions& options) {
  const bool tls = options.endpoint.starts_with("grpcs://") || options.endpoint.starts_with("https://");
  if (options.ca.empty() || tls) return absl::OkStatus();
  return absl::InvalidArgumentError("--otlp-ca is given, and --otlp-endpoint is neither grpcs:// nor https://");
}

absl::StatusOr<std::unique_ptr<Tracing>> Tracing::Open(const TracingOptions& options, const std::string& service,
                                                       const std::string& instance, const Build& build,
                                                       const Clock& clock, Random& random, Metrics& metrics,
                                                       const Logger& log) {
  auto tracing = std::make_unique<Tracing>();
  if (options.endpoint.empty()) {
    const otlp::SpanCounters none(metrics);
    return tracing;
  }
  absl::StatusOr<otlp::Endpoint> endpoint = otlp::ParseEndpoint(options.endpoint);
  if (!endpoint.ok()) return endpoint.status();
  absl::StatusOr<tls::Credentials> trust = tls::Credentials();
  if (!options.ca.empty()) trust = tls::ReadCredentials({.certificate = "", .key = "", .ca = options.ca});
  if (!trust.ok()) return trust.status();
  otlp::ExporterOptions exporting;
  exporting.resource = {{"service.name", service},
                        {"service.version", build.version},
                        {"service.namespace", "waybill"},
                        {"service.instance.id", instance}};
  exporting.version = build.version;
  tracing->ratio_ = options.ratio;
  tracing->clock_ = &clock;
  tracing->exporter_.emplace(otlp::NewTransport(*endpoint, trust->ca), std::move(exporting), clock, metrics, log);
  tracing->tracer_.emplace(clock, random, *tracing->exporter_, *tracing->ratio_);
  return tracing;
}

void Tracing::Start(const Loops& loops) {
  if (exporter_) exporter_->Start(loops);
}

void Tracing::Stop(SteadyTime deadline) {
  // The drain may have taken all of its time; what has happened in it is worth a second more.
  if (exporter_) exporter_->Stop(std::max(deadline, clock_->Steady() + absl::Seconds(1)));
}

}  // namespace waybill::process

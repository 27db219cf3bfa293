#include "edge/http/probes.h"

#include <string>
#include <string_view>
#include <utility>

#include "fmt/format.h"

namespace waybill::http {
namespace {

constexpr char kText[] = "text/plain; charset=utf-8";

std::string OneLine(const absl::Status& status) {
  std::string text = absl::StatusCodeToString(status.code()) + ": " + std::string(status.message());
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

Response Ready(const Readiness::Report& report, bool verbose) {
  Response response;
  response.code = report.ready ? 200 : 503;
  if (report.draining) {
    response.body = "not ready: draining\n";
    return response;
  }
  const std::string_view state = !report.ready ? "not ready" : report.degraded ? "degraded" : "ready";
  if (verbose) {
    for (const auto& check : report.checks) {
      const bool required = check.severity == Readiness::Severity::kRequired;
      response.body += check.status.ok()
                           ? fmt::format("[+] {} ok\n", check.name)
                           : fmt::format("[{}] {} {}\n", required ? '-' : '!', check.name, OneLine(check.status));
    }
    response.body += fmt::format("{}\n", state);
    return response;
  }
  response.body = state;
  std::string_view separator = ": ";
  for (const auto& check : report.checks) {
    if (check.status.ok()) continue;
    response.body += fmt::format("{}{} {}", separator, check.name, OneLine(check.status));
    separator = "; ";
  }
  response.body += '\n';
  return response;
}

}  // namespace

void AddProbes(Server& server, const Metrics& metrics, const Readiness& readiness) {
  server.Serve("/livez", {"/livez"}, [](const ExchangePtr& exchange) {
    exchange->Answer({200, kText, "alive\n", {}});
  });
  server.Serve("/readyz", {"/readyz"}, [&readiness](const ExchangePtr& exchange) {
    bool verbose = false;
    QueryParameter(exchange->request().query, "verbose", &verbose);
    exchange->Answer(Ready(readiness.Get(), verbose));
  });
  server.Serve("/metrics", {"/metrics"}, [&metrics](const ExchangePtr& exchange) {
    if (exchange->request().Field("accept").find("application/json") != std::string_view::npos) {
      exchange->Answer({200, "application/json", metrics.ToJson(), {}});
    } else {
      exchange->Answer({200, "text/plain; version=0.0.4; charset=utf-8", metrics.ToText(), {}});
    }
  });
}

}  // namespace waybill::http

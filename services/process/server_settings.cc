#include "services/process/server_settings.h"

#include "edge/http/origins.h"
#include "services/process/flags.h"
#include "services/process/startup.h"

namespace waybill::process {

void AddPortSettings(CLI::App& app, const std::string& prefix, ServerSettings& settings) {
  app.add_option("--listen", settings.listen, "Address of the gRPC port; port 0 takes a free one")
      ->envname(prefix + "LISTEN")
      ->capture_default_str();
  app.add_option("--side-listen", settings.side_listen,
                 "Address of the HTTP port: probes, metrics, and calls by curl and browsers")
      ->envname(prefix + "SIDE_LISTEN")
      ->capture_default_str();
  app.add_option("--web-origins", settings.web_origins,
                 "Origins whose pages may call the HTTP port, with commas between; * for all (default: none)")
      ->check([](const std::string& text) { return std::string(http::ParseOrigins(text).status().message()); });
  AddExposureSettings(app, settings.exposure);
  app.add_option("--port-file", settings.port_file,
                 "Write the bound ports to this file once serving: grpc=PORT, side=PORT");
}

void AddStoreSettings(CLI::App& app, const std::string& redis, ServerSettings& settings) {
  app.add_option("--database-url", settings.database_url, "Postgres")->envname("DATABASE_URL")->capture_default_str();
  app.add_option("--redis-url", settings.redis_url, redis)->envname("REDIS_URL")->capture_default_str();
  app.add_flag("--migrate", settings.migrate, "Bring the database's schema up to date before serving")
      ->envname("WAYBILL_MIGRATE");
  AddDuration(app, "--store-wait", settings.store_wait, "How long to wait for Postgres at start");
}

absl::Status CheckServerSettings(const ServerSettings& settings, const std::vector<std::string>& methods) {
  for (const absl::Status& fit : {CheckStoreUrls(settings.database_url, settings.redis_url),
                                  CheckExposure(settings.exposure, settings.listen, settings.side_listen),
                                  CheckIdentity(settings.identity, settings.listen, settings.side_listen),
                                  CheckLimits(settings.limits, methods), CheckTracing(settings.tracing)}) {
    if (!fit.ok()) return fit;
  }
  return absl::OkStatus();
}

}  // namespace waybill::process

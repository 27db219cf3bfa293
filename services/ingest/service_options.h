// The settings of waybill-ingest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/log.h"
#include "services/ingest/driver_front.h"
#include "services/ingest/hot_view_feeder.h"
#include "services/ingest/ingest.h"
#include "services/ingest/intake.h"
#include "services/ingest/location_stream.h"
#include "services/ingest/location_watches.h"
#include "services/process/server_settings.h"

namespace waybill::ingest {

struct ServiceOptions : process::ServerSettings {
  ServiceOptions() : ServerSettings{"127.0.0.1:7430", "127.0.0.1:7431"} {}

  int queues = 1;  // as for two cores: QueuesFor
  int workers = 4;
  int writers = 2;  // WritersFor
  size_t batch_max = 5'000;
  int partitions_ahead = 2;  // days
  int64_t stream_max = 100'000;
  size_t drivers_max = 200'000;
  IngestOptions ingest;
  IntakeOptions intake;
  SanityOptions sanity;
  bool no_sanity = false;
  StreamOptions streams;
  WatchOptions watches;
  HotViewOptions hot_view;
  absl::Duration drain = absl::Seconds(10);
  LogLevels log_levels;
  LogFormat log_format = LogFormat::kJson;
};

// Defaults by the cores that the process may use. History is written by few connections, since Redis, which has one
// thread, is the limit before Postgres is; one point a message keeps queues busier (docs/performance.md).
int QueuesFor(int cores);
int WritersFor(int cores);

// For process::Settings.
void DeclareSettings(CLI::App& app, ServiceOptions& options);
// What follows from those that were read; INVALID_ARGUMENT says what is wrong with them.
absl::Status FinishSettings(ServiceOptions& options);

}  // namespace waybill::ingest

#include "services/ingest/service_options.h"

#include <algorithm>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "fmt/format.h"
#include "services/ingest/served_methods.h"
#include "services/process/flags.h"

namespace waybill::ingest {

int QueuesFor(int cores) { return std::clamp(cores / 4, 1, 4); }

int WritersFor(int cores) { return std::clamp(cores * 3 / 8, 2, 6); }

void DeclareSettings(CLI::App& app, ServiceOptions& options) {
  app.description(
      "waybill-ingest takes drivers' positions: every one becomes durable history in Postgres before it is acked, and\n"
      "the newest of each driver is in Redis while it is fresh.");
  process::AddPortSettings(app, "WAYBILL_INGEST_", options);
  process::AddStoreSettings(app, "Redis", options);

  process::AddDuration(app, "--retention", options.intake.retention,
                       "How long history is kept: older points are rejected, older days dropped",
                       absl::Hours(24 * 366 * 100));
  process::AddInteger(app, "--partitions-ahead", options.partitions_ahead,
                      "Days for which there is a partition beforehand")
      ->check(CLI::Range(1, 60))
      ->capture_default_str();
  process::AddDuration(app, "--future-max", options.intake.future_max, "How far a driver's clock may be ahead");
  app.add_flag("--allow-zero", options.intake.allow_zero,
               "Take points at 0,0 too, which is what a receiver without a fix reports");
  app.add_flag("--no-sanity", options.no_sanity, "Do not mark points that look wrong");
  app.add_option("--speed-max-mps", options.sanity.speed_max_mps, "Faster than this between two points: a speed jump")
      ->check(process::NumberBetween(1.0, 10'000.0))
      ->capture_default_str();
  app.add_option("--accuracy-max-m", options.sanity.accuracy_max_m, "Less accurate than this: poor accuracy")
      ->check(process::NumberBetween(0.1, 1'000'000.0))
      ->capture_default_str();

  process::AddDuration(app, "--fresh-for", options.hot_view.fresh_for,
                       "How long after it was recorded a position is in the hot view", absl::Hours(24 * 30));
  process::AddInteger(app, "--stream-max", options.stream_max, "Moves kept in the stream location_events, about")
      ->check(CLI::Range(int64_t{100}, int64_t{100'000'000}))
      ->capture_default_str();
  process::AddInteger(app, "--hot-view-backlog-max", options.hot_view.backlog_max,
                      "Points waiting for Redis: more slow the streams, or, while Redis is away, are left to history")
      ->check(CLI::Range(size_t{100}, size_t{10'000'000}))
      ->capture_default_str();

  const int cores = process::Cores();
  options.queues = QueuesFor(cores);
  options.writers = WritersFor(cores);
  process::AddInteger(app, "--queues", options.queues,
                      "Threads that serve gRPC; by default one for every four cores, 1 to 4")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  process::AddInteger(app, "--workers", options.workers,
                      "Threads that read, so many for the hot view and so many for history")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  process::AddInteger(app, "--writers", options.writers,
                      "Connections that write history, by group commit; by default three for every eight cores, 2 to 6")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  process::AddInteger(app, "--batch-max", options.batch_max, "Points in one commit")
      ->check(CLI::Range(size_t{1}, size_t{100'000}))
      ->capture_default_str();
  process::AddInteger(app, "--queue-max", options.ingest.queue_max,
                      "Points waiting for a commit; beyond, streams are not read from and unary calls refused")
      ->check(CLI::Range(size_t{1}, size_t{10'000'000}))
      ->capture_default_str();
  process::AddInteger(app, "--unacked-max", options.streams.unacked_max,
                      "Points of one stream whose ack was not handed over; beyond, it is not read from")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->capture_default_str();
  process::AddInteger(
      app, "--stream-points", options.streams.points_per_second,
      "Points a second that one stream may send, after as many at once; beyond, it is not read from. 0: "
      "as many as it likes; else 1,000 at least, as many as a message may hold")
      ->check(CLI::Validator(
          [](const std::string& text) {
            int64_t points = 0;
            const bool fits =
                absl::SimpleAtoi(text, &points) && (points == 0 || (points >= 1'000 && points <= 1'000'000));
            return fits ? "" : "is neither 0 nor 1000 to 1000000";
          },
          "0, or 1000 to 1000000"))
      ->capture_default_str();
  process::AddInteger(app, "--streams-max", options.streams.streams_max, "Streams open at the same time")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->capture_default_str();
  process::AddInteger(
      app, "--held-max", options.streams.held_max,
      "Points that all streams have parked, and rejected ones whose ack was not read; beyond, streams are ended")
      ->check(CLI::Range(size_t{1'000}, size_t{100'000'000}))
      ->capture_default_str();
  process::AddInteger(app, "--watches-max", options.watches.watches_max, "Watches open at the same time")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->capture_default_str();
  process::AddInteger(app, "--drivers-max", options.drivers_max, "Drivers whose newest point is kept in mind")
      ->check(CLI::Range(size_t{2}, size_t{100'000'000}))
      ->capture_default_str();

  process::AddIdentityFlags(app, options.identity);
  process::AddLimitsFlag(app, options.limits);
  process::AddDuration(app, "--drain", options.drain, "How long running calls have at SIGTERM");
  process::AddTracingSettings(app, options.tracing);
  process::AddLogFlags(app, options.log_levels, options.log_format);
}

absl::Status FinishSettings(ServiceOptions& options) {
  if (absl::Status fit = process::CheckServerSettings(options, ServedMethods()); !fit.ok()) return fit;
  options.sanity.enabled = !options.no_sanity;
  if (options.intake.retention < options.hot_view.fresh_for) {
    return absl::InvalidArgumentError(fmt::format(
        "--retention ({}) is less than --fresh-for ({}): what is in the hot view is made again from history",
        absl::FormatDuration(options.intake.retention), absl::FormatDuration(options.hot_view.fresh_for)));
  }
  return absl::OkStatus();
}

}  // namespace waybill::ingest

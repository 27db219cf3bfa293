#include "bench/location_history.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"

namespace waybill::bench {
namespace {

using storage::Connection;

constexpr int64_t kRowsAChunk = 500'000;
constexpr absl::Duration kProgressInterval = absl::Seconds(5);

absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& url) {
  storage::ConnectionOptions options;
  options.application_name = "waybill-bench history";
  options.statement_timeout = absl::InfiniteDuration();
  options.settings = {{"maintenance_work_mem", "1GB"}, {"synchronous_commit", "off"}, {"jit", "off"}};
  return Connection::Open(url, options);
}

std::string DriverId(int64_t number) { return fmt::format("{:07}-track", number); }

}  // namespace

absl::StatusOr<std::vector<std::string>> FillHistory(const HistoryOptions& options,
                                                     const std::function<void(const std::string&)>& progress) {
  const int64_t drivers = std::max<int64_t>(1, options.rows / kHistoryPointsADriver);
  const int64_t rows = drivers * kHistoryPointsADriver;
  const std::string partition =
      fmt::format("driver_locations_{:04}{:02}{:02}", options.day.year(), options.day.month(), options.day.day());
  const std::string from =
      absl::FormatTime("%Y-%m-%d %H:%M:%S+00", absl::FromCivil(options.day, absl::UTCTimeZone()), absl::UTCTimeZone());
  const std::string to = absl::FormatTime("%Y-%m-%d %H:%M:%S+00", absl::FromCivil(options.day + 1, absl::UTCTimeZone()),
                                          absl::UTCTimeZone());

  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < options.connections; ++i) {
    auto connection = Open(options.database_url);
    if (!connection.ok()) return connection.status();
    connections.push_back(*std::move(connection));
  }
  Connection& first = *connections[0];
  const absl::Time start = absl::Now();
  absl::Time told = start;
  // The bounds as a constraint: so that attaching does not read it all again.
  const std::string create = fmt::format(
      "CREATE UNLOGGED TABLE {0} (LIKE driver_locations INCLUDING DEFAULTS INCLUDING CONSTRAINTS,"
      " CONSTRAINT bounds CHECK (recorded_at >= '{1}' AND recorded_at < '{2}'))",
      partition, from, to);
  if (const absl::Status made = first.Execute(create).status(); !made.ok()) return made;

  // Row r is of driver r % drivers, at its point r / drivers.
  std::atomic<int64_t> next{0}, done{0};
  std::vector<absl::Status> outcomes(connections.size());
  const auto fill = [&](size_t i) {
    const std::string insert = fmt::format(
        "INSERT INTO {0} (recorded_at, received_at, lat, long, accuracy_m, heading_deg, speed_mps, driver_id) "
        "SELECT at, at, 52.3 + (r / {1}) * 1e-5, 13.1, 5, 0, 10, driver "
        "FROM (SELECT r, timestamptz '{2}' + (r / {1}) * interval '3 s' AS at,"
        "             lpad((r % {1})::text, 7, '0') || '-track' AS driver"
        "      FROM generate_series($1::bigint, $2::bigint - 1) AS r) AS made",
        partition, drivers, from);
    while (outcomes[i].ok()) {
      const int64_t chunk = next.fetch_add(kRowsAChunk);
      if (chunk >= rows) break;
      const int64_t end = std::min(chunk + kRowsAChunk, rows);
      const storage::Param params[] = {storage::Param::Int8(chunk), storage::Param::Int8(end)};
      outcomes[i] = connections[i]->Execute(insert, params).status();
      done += end - chunk;
      if (i == 0 && absl::Now() - told >= kProgressInterval) {
        told = absl::Now();
        progress(fmt::format("history: {:3.0f} s  {:.1f} of {:.1f} million rows", absl::ToDoubleSeconds(told - start),
                             static_cast<double>(done) / 1e6, static_cast<double>(rows) / 1e6));
      }
    }
  };
  std::vector<std::thread> fillers;
  for (size_t i = 1; i < connections.size(); ++i) fillers.emplace_back(fill, i);
  fill(0);
  for (std::thread& filler : fillers) filler.join();
  for (const absl::Status& outcome : outcomes) {
    if (!outcome.ok()) return outcome;
  }
  for (const auto& [what, sql] : {
           std::pair("its primary key", fmt::format("ALTER TABLE {} ADD PRIMARY KEY (driver_id, recorded_at) "
                                                    "INCLUDE (lat, long, accuracy_m, heading_deg, speed_mps, marks)",
                                                    partition)),
           std::pair("attaching it", fmt::format("ALTER TABLE driver_locations ATTACH PARTITION {} FOR VALUES FROM "
                                                 "('{}') TO ('{}')",
                                                 partition, from, to)),
           std::pair("VACUUM and ANALYZE", fmt::format("VACUUM (ANALYZE) {}", partition)),
           std::pair("ANALYZE of the whole table", std::string("ANALYZE driver_locations")),
       }) {
    progress(fmt::format("history: {:3.0f} s  {}", absl::ToDoubleSeconds(absl::Now() - start), what));
    if (const absl::Status run = first.Execute(sql).status(); !run.ok()) return run;
  }
  progress(fmt::format("history: {:3.0f} s  {} rows of {} drivers stand", absl::ToDoubleSeconds(absl::Now() - start),
                       rows, drivers));
  std::vector<std::string> ids;
  for (int64_t number = 0; number < drivers; ++number) ids.push_back(DriverId(number));
  return ids;
}

}  // namespace waybill::bench

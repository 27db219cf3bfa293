#include "storage/postgres/location_log.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <span>
#include <utility>

#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "storage/postgres/location_partitions.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

constexpr char kInsertPlain[] = "locations_plain";
constexpr char kInsertCareful[] = "locations_careful";
constexpr char kInsertSql[] = R"sql(
INSERT INTO driver_locations (recorded_at, received_at, lat, long, accuracy_m, heading_deg, speed_mps, marks, driver_id)
SELECT * FROM unnest($1::timestamptz[], $2::timestamptz[], $3::double precision[], $4::double precision[], $5::real[],
                     $6::real[], $7::real[], $8::smallint[], $9::text[]))sql";
constexpr char kOnConflict[] = " ON CONFLICT (driver_id, recorded_at) DO NOTHING";

struct Row {
  const Location* location;
  absl::Time received_at;
};

// The parameters of one statement; buffers are kept from batch to batch.
struct Columns {
  ArrayParam recorded{kOidTimestamptz};
  ArrayParam received{kOidTimestamptz};
  ArrayParam latitude{kOidFloat8};
  ArrayParam longitude{kOidFloat8};
  ArrayParam accuracy{kOidFloat4};
  ArrayParam heading{kOidFloat4};
  ArrayParam speed{kOidFloat4};
  ArrayParam marks{kOidInt2};
  ArrayParam driver{kOidText};

  void Clear() {
    for (ArrayParam* column :
         {&recorded, &received, &latitude, &longitude, &accuracy, &heading, &speed, &marks, &driver}) {
      column->Clear();
    }
  }
  void Add(const Row& row) {
    const DriverPosition& position = row.location->position;
    recorded.AddTime(position.recorded_at);
    received.AddTime(row.received_at);
    latitude.AddDouble(position.point.latitude);
    longitude.AddDouble(position.point.longitude);
    accuracy.AddDouble(position.accuracy_m);
    heading.AddDouble(position.heading_deg);
    speed.AddDouble(position.speed_mps);
    marks.AddInt(position.marks);
    driver.AddText(position.driver_id);
  }
  size_t size() const { return recorded.size(); }
  std::vector<Param> params() const {
    return {recorded, received, latitude, longitude, accuracy, heading, speed, marks, driver};
  }
};

// A row that no partition takes is reported as a check violation of no constraint.
bool LacksPartition(const absl::Status& status) {
  bool check = false, named = false;
  for (const auto& [key, value] : GetErrorDetail(status).metadata) {
    check = check || (key == "sqlstate" && value == "23514");
    named = named || key == "constraint";
  }
  return check && !named;
}

ConnectionOptions WriterConnectionOptions(const LocationLogOptions& options) {
  ConnectionOptions connection;
  connection.application_name = "waybill-location-log";
  connection.statement_timeout = options.statement_timeout;
  connection.commits = true;
  // Unnested arrays wait in a tuplestore of this size before they go to disk.
  connection.settings = {{"work_mem", "32MB"}, {"jit", "off"}};
  return connection;
}

}  // namespace

class PostgresLocationLog::Writer final : public BatchWriter<LocationAppend> {
 public:
  Writer(const std::string& url, const LocationLogOptions& options) : url_(url), options_(options) {}

  BatchResult Write(std::span<LocationAppend> batch) override {
    rows_.clear();
    for (LocationAppend& append : batch) {
      append.refused.clear();
      for (const Location& location : append.locations) rows_.push_back({&location, append.received_at});
    }
    // In the order of the primary key: neighbours share its pages, and two writers that meet at the same keys seldom
    // deadlock (when they do, one is told so after a second, and writes again). Of equal ones the first that came
    // stays.
    std::stable_sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
      const int order = a.location->position.driver_id.compare(b.location->position.driver_id);
      return order != 0 ? order < 0 : a.location->position.recorded_at < b.location->position.recorded_at;
    });
    commit_ = LocationCommit{rows_.size(), 0, 0, {}};
    const auto start = std::chrono::steady_clock::now();
    absl::Status written = Insert(rows_);
    if (ToBatchResult(written) == BatchResult::kBadData && batch.size() == 1) written = InsertWithoutBad(batch[0]);
    const BatchResult result = ToBatchResult(written);
    if (result == BatchResult::kTryAgain) options_.on_error(written);
    if (result == BatchResult::kWritten) {
      commit_.took = absl::FromChrono(std::chrono::steady_clock::now() - start);
      options_.on_commit(commit_);
    }
    return result;
  }

  void Complete(LocationAppend& append, const absl::Status& status) override { append.done(status, append); }

  // Write takes a lone culprit apart by itself.
  absl::Status BadDataError() override { return absl::InternalError("a lone report is never bad data"); }

 private:
  // All of them in one transaction.
  absl::Status Insert(std::span<const Row> rows) {
    if (absl::Status connected = Connect(); !connected.ok()) return connected;
    absl::Status inserted = InsertOnce(rows, /*careful=*/false);
    if (IsUniqueViolation(inserted)) inserted = InsertOnce(rows, /*careful=*/true);
    if (!LacksPartition(inserted)) return inserted;
    std::set<absl::CivilDay> days;
    for (const Row& row : rows) days.insert(PartitionDay(row.location->position.recorded_at));
    absl::Status made = MakePartitions(*connection_, {days.begin(), days.end()});
    return made.ok() ? InsertOnce(rows, /*careful=*/true) : made;
  }

  absl::Status InsertOnce(std::span<const Row> rows, bool careful) {
    ahead_.Clear();
    others_.Clear();
    for (const Row& row : rows) {
      const bool plain = !careful && row.location->standing == Standing::kAhead;
      (plain ? ahead_ : others_).Add(row);
    }
    const std::vector<Param> ahead = ahead_.params(), others = others_.params();
    std::vector<Statement> statements;
    if (ahead_.size() > 0) statements.push_back({kInsertPlain, ahead});
    if (others_.size() > 0) statements.push_back({kInsertCareful, others});
    WAYBILL_FAILPOINT("ingest.before_commit");
    absl::StatusOr<std::vector<Rows>> answers = connection_->Pipeline(statements);
    if (!answers.ok()) return answers.status();
    WAYBILL_FAILPOINT("ingest.after_commit");
    for (const Rows& answer : *answers) commit_.stored += static_cast<size_t>(answer.affected());
    return absl::OkStatus();
  }

  // The database refuses something of this report: stores the rest, and names what is refused. Every good part commits
  // by itself, which is harmless: all of it is acked together or sent again.
  absl::Status InsertWithoutBad(LocationAppend& append) {
    commit_.stored = 0;
    return InsertPart(append, 0, append.locations.size());
  }

  absl::Status InsertPart(LocationAppend& append, size_t from, size_t to) {
    std::vector<Row> part;
    for (size_t i = from; i < to; ++i) part.push_back({&append.locations[i], append.received_at});
    absl::Status inserted = Insert(part);
    if (ToBatchResult(inserted) != BatchResult::kBadData) return inserted;
    if (to - from == 1) {
      append.refused.push_back({from, std::string(inserted.message())});
      ++commit_.refused;
      return absl::OkStatus();
    }
    const size_t middle = from + (to - from) / 2;
    absl::Status first = InsertPart(append, from, middle);
    return first.ok() ? InsertPart(append, middle, to) : first;
  }

  absl::Status Connect() {
    if (connection_ != nullptr) return connection_->EnsureConnected();
    auto opened = Connection::Open(url_, WriterConnectionOptions(options_));
    if (!opened.ok()) return opened.status();
    const std::string plain = kInsertSql;
    if (absl::Status ready = (*opened)->Prepare(kInsertPlain, plain); !ready.ok()) return ready;
    if (absl::Status ready = (*opened)->Prepare(kInsertCareful, plain + kOnConflict); !ready.ok()) return ready;
    connection_ = *std::move(opened);
    return absl::OkStatus();
  }

  const std::string url_;
  const LocationLogOptions options_;
  std::unique_ptr<Connection> connection_;
  std::vector<Row> rows_;
  Columns ahead_, others_;
  LocationCommit commit_;
};

PostgresLocationLog::PostgresLocationLog(const std::string& url, const LocationLogOptions& options) {
  std::vector<BatchWriter<LocationAppend>*> writers;
  for (int i = 0; i < options.writers; ++i) {
    writers_.push_back(std::make_unique<Writer>(url, options));
    writers.push_back(writers_.back().get());
  }
  BatcherOptions batching;
  batching.batch_max = options.batch_max;
  batching.join_min = options.join_min;
  batching.join_after = options.join_after;
  batcher_ = std::make_unique<Batcher<LocationAppend>>(std::move(writers), std::move(batching));
}

PostgresLocationLog::~PostgresLocationLog() { Stop(); }

}  // namespace waybill::storage

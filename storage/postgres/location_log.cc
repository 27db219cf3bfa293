#include "storage/postgres/location_log.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "domain/reasons.h"
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
  LocationAppend* append;

  absl::CivilDay day() const { return PartitionDay(location->position.recorded_at); }
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
    const domain::DriverPosition& position = row.location->position;
    recorded.AddTime(position.recorded_at);
    received.AddTime(row.append->received_at);
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

// It may pass by itself: nothing is said about the data.
bool MayPass(const absl::Status& status) { return GetErrorDetail(status).reason == "STORE_UNAVAILABLE"; }

// A fault of the server, which somebody can mend without changing what is meant: corruption, or, of a day that is not
// made, a right that was lost. What came meanwhile is to be there still.
bool CanBeMended(const absl::Status& status, bool made) {
  return Sqlstate(status).starts_with("XX") || (!made && GetErrorDetail(status).reason == "RIGHTS_MISSING");
}

// A lock, or something so slow that it looks like one.
bool InTheWay(const absl::Status& status) {
  const std::string sqlstate = Sqlstate(status);
  return sqlstate == "55P03" || sqlstate == "57014";
}

// What it says, for people, kept for each refused position: not longer than that.
std::string Short(const absl::Status& status) {
  const std::string text(status.message());
  constexpr size_t kMax = 300;
  if (text.size() <= kMax) return text;
  size_t end = kMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not within a character
  return fmt::format("{}…", text.substr(0, end));
}

ConnectionOptions WriterConnectionOptions(const LocationLogOptions& options) {
  ConnectionOptions connection;
  connection.application_name = "waybill-location-log";
  connection.statement_timeout = options.statement_timeout;
  connection.commits = true;
  // Unnested arrays wait in a tuplestore of this size before they go to disk.
  connection.settings = {{"work_mem", "32MB"},
                         {"jit", "off"},
                         {"lock_timeout", fmt::format("{}", absl::ToInt64Milliseconds(options.lock_timeout))}};
  return connection;
}

}  // namespace

// Which days are not tried for now, and which were bad when they were last tried. Thread-safe.
class PostgresLocationLog::BadDays {
 public:
  explicit BadDays(const LocationLogOptions& options) : options_(options) {}

  bool empty() const { return size_.load(std::memory_order_relaxed) == 0; }
  // The day is not to be tried yet.
  std::optional<BadDay> Paused(absl::CivilDay day) const {
    std::lock_guard lock(mutex_);
    auto found = days_.find(day);
    if (found == days_.end() || std::chrono::steady_clock::now() >= found->second.again) return std::nullopt;
    return found->second.bad;
  }
  void Add(const BadDay& bad, absl::Duration pause) {
    bool known = false;
    {
      std::lock_guard lock(mutex_);
      if (days_.size() >= kDaysMax && days_.count(bad.day) == 0) days_.erase(days_.begin());
      auto [place, inserted] = days_.try_emplace(bad.day);
      known = !inserted && place->second.bad.refused == bad.refused;
      place->second = {bad, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(pause)};
      size_.store(days_.size(), std::memory_order_relaxed);
    }
    if (!known) options_.on_bad_day(bad);
  }
  // Those that nobody met any more.
  void Forget() {
    std::vector<absl::CivilDay> forgotten;
    {
      std::lock_guard lock(mutex_);
      const auto since = std::chrono::steady_clock::now() - absl::ToChronoNanoseconds(options_.bad_day_kept);
      for (auto entry = days_.begin(); entry != days_.end();) {
        if (entry->second.again >= since) {
          ++entry;
          continue;
        }
        forgotten.push_back(entry->first);
        entry = days_.erase(entry);
      }
      size_.store(days_.size(), std::memory_order_relaxed);
    }
    for (absl::CivilDay day : forgotten) options_.on_day_forgotten(day);
  }
  void Remove(absl::CivilDay day) {
    {
      std::lock_guard lock(mutex_);
      if (days_.erase(day) == 0) return;
      size_.store(days_.size(), std::memory_order_relaxed);
    }
    options_.on_bad_day({day, absl::OkStatus()});
  }
  std::vector<BadDay> List() {
    Forget();
    std::lock_guard lock(mutex_);
    std::vector<BadDay> list;
    for (const auto& [day, entry] : days_) list.push_back(entry.bad);
    return list;
  }

 private:
  static constexpr size_t kDaysMax = 1'000;  // a retention may be a century
  struct Entry {
    BadDay bad;
    std::chrono::steady_clock::time_point again;
  };

  const LocationLogOptions& options_;
  mutable std::mutex mutex_;
  std::map<absl::CivilDay, Entry> days_;
  std::atomic<size_t> size_{0};
};

class PostgresLocationLog::Writer final : public BatchWriter<LocationAppend> {
 public:
  Writer(const std::string& url, const LocationLogOptions& options, BadDays& bad_days)
      : url_(url), options_(options), bad_days_(bad_days) {}

  BatchResult Write(std::span<LocationAppend> batch) override {
    rows_.clear();
    commit_ = LocationCommit{};
    for (LocationAppend& append : batch) {
      append.refused.clear();
      append.sent_back = absl::OkStatus();
      for (const Location& location : append.locations) AddRow({&location, &append});
    }
    // In the order of the primary key: neighbours share its pages, and two writers that meet at the same keys seldom
    // deadlock (when they do, one is told so after a second, and writes again). Of equal ones the first that came
    // stays.
    std::stable_sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
      const int order = a.location->position.driver_id.compare(b.location->position.driver_id);
      return order != 0 ? order < 0 : a.location->position.recorded_at < b.location->position.recorded_at;
    });
    const auto start = std::chrono::steady_clock::now();
    Span span;
    if (options_.tracer != nullptr) span = options_.tracer->Enter("history commit", SpanKind::kClient, {});
    absl::Status written = Insert(rows_);
    if (written.ok()) {
      ForgetBadDays();
    } else if (++failures_ > kFailuresMax || !MayPass(written) || InTheWay(written)) {
      written = InsertByDay(written);
    }
    if (!written.ok()) span.Fail(std::string(written.message()));
    span.Set("db.system", "postgresql");
    span.Set("waybill.history.points", static_cast<int64_t>(rows_.size()));
    span.End();
    if (!written.ok()) {
      options_.on_error(written);
      return BatchResult::kTryAgain;
    }
    failures_ = 0;
    for (LocationAppend& append : batch) {
      std::sort(append.refused.begin(), append.refused.end(),
                [](const RefusedLocation& a, const RefusedLocation& b) { return a.index < b.index; });
    }
    commit_.took = absl::FromChrono(std::chrono::steady_clock::now() - start);
    options_.on_commit(commit_);
    return BatchResult::kWritten;
  }

  void Complete(LocationAppend& append, const absl::Status& status) override {
    append.done(status.ok() ? append.sent_back : status, append);
  }

  // Write takes culprits apart by itself.
  absl::Status BadDataError() override { return absl::InternalError("a batch is never bad data"); }

 private:
  // A server that stops, or a deadlock, fails once or twice; what goes on failing is looked at day by day.
  static constexpr int kFailuresMax = 2;

  // Unless its day is known to be bad.
  void AddRow(const Row& row) {
    if (!bad_days_.empty()) {
      if (auto bad = bad_days_.Paused(row.day())) {
        Settle(row, *bad);
        if (bad->refused) ++commit_.locations;  // it is done with
        return;
      }
    }
    rows_.push_back(row);
    ++commit_.locations;
  }

  void Settle(const Row& row, const BadDay& bad) {
    if (bad.refused) {
      Refuse(row, bad.why);
    } else {
      row.append->sent_back = bad.why;
    }
  }

  void Refuse(const Row& row, const absl::Status& why) {
    const auto index = static_cast<size_t>(row.location - row.append->locations.data());
    row.append->refused.push_back({index, Short(why)});
    ++commit_.refused;
  }

  void ForgetBadDays() {
    if (bad_days_.empty()) return;
    for (const Row& row : rows_) bad_days_.Remove(row.day());
  }

  // All of them in one transaction.
  absl::Status Insert(std::span<const Row> rows) {
    if (absl::Status connected = Connect(); !connected.ok()) return connected;
    absl::Status inserted = InsertOnce(rows, /*careful=*/false);
    if (IsUniqueViolation(inserted)) inserted = InsertOnce(rows, /*careful=*/true);
    return inserted;
  }

  // Each day by itself, the newest first. Not OK: no day is to blame, or it is the present one and may pass; then all
  // of it is written again, which is harmless.
  absl::Status InsertByDay(const absl::Status& failed) {
    std::stable_sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) { return a.day() > b.day(); });
    std::span<const Row> rest = rows_;
    while (!rest.empty()) {
      const absl::CivilDay day = rest.front().day();
      const auto end = std::find_if(rest.begin(), rest.end(), [day](const Row& row) { return row.day() != day; });
      const std::span<const Row> rows = rest.first(static_cast<size_t>(end - rest.begin()));
      rest = rest.subspan(rows.size());
      const bool alone = rows.size() == rows_.size();  // then it has just failed
      absl::Status inserted = alone && (!MayPass(failed) || IsPresent(rows)) ? failed : Insert(rows);
      bool made = true;
      if (LacksPartition(inserted)) {
        inserted = MakePartition(*connection_, day);
        made = inserted.ok();
        if (made) inserted = Insert(rows);
      }
      if (inserted.ok()) {
        bad_days_.Remove(day);
        continue;
      }
      if (absl::Status judged = Judge(day, rows, inserted, made); !judged.ok()) return judged;
    }
    return absl::OkStatus();
  }

  // One that reports of positions as they come: what goes wrong with it, goes wrong with everybody.
  static bool IsPresent(std::span<const Row> rows) {
    return rows.front().day() >= PartitionDay(rows.front().append->received_at);
  }

  // The day's rows were not inserted, or, if not `made`, it has no partition and gets none.
  absl::Status Judge(absl::CivilDay day, std::span<const Row> rows, const absl::Status& failed, bool made) {
    if (absl::Status connected = Connect(); !connected.ok()) return connected;
    if (absl::Status nothing = InsertOnce({}, /*careful=*/true); !nothing.ok()) return nothing;
    const bool present = IsPresent(rows);
    if (MayPass(failed) && present) return failed;
    if (made && ToBatchResult(failed) == BatchResult::kBadData) {
      const size_t refused = commit_.refused;
      if (absl::Status halved = InsertHalves(rows, failed); !halved.ok()) return halved;
      // Of others the next one may be good.
      if (commit_.refused - refused == rows.size()) bad_days_.Add({day, failed, true}, absl::ZeroDuration());
      return absl::OkStatus();
    }
    BadDay bad{day, failed, !MayPass(failed) && !CanBeMended(failed, made) && !present};
    if (!bad.refused) {
      ErrorDetail detail;
      detail.retry_after = options_.bad_today_pause;
      bad.why = domain::ReasonError("STORE_UNAVAILABLE",
                                    fmt::format("history of {} is not written: {}", DayText(day), Short(failed)),
                                    std::move(detail));
      commit_.locations -= rows.size();
    }
    for (const Row& row : rows) Settle(row, bad);
    bad_days_.Add(bad, present ? options_.bad_today_pause : options_.bad_day_pause);
    return absl::OkStatus();
  }

  // All of these together are refused: stores what can be, and names the rest. Every good part commits by itself, which
  // is harmless: a report is acked together or sent again.
  absl::Status InsertHalves(std::span<const Row> rows, const absl::Status& why) {
    if (rows.size() == 1) {
      Refuse(rows.front(), why);
      return absl::OkStatus();
    }
    const size_t middle = rows.size() / 2;
    for (std::span<const Row> half : {rows.first(middle), rows.subspan(middle)}) {
      absl::Status inserted = Insert(half);
      if (ToBatchResult(inserted) == BatchResult::kBadData) inserted = InsertHalves(half, inserted);
      if (!inserted.ok()) return inserted;
    }
    return absl::OkStatus();
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
    if (others_.size() > 0 || rows.empty()) statements.push_back({kInsertCareful, others});
    WAYBILL_FAILPOINT("ingest.before_commit");
    absl::StatusOr<std::vector<Rows>> answers = connection_->Pipeline(statements);
    if (!answers.ok()) return answers.status();
    WAYBILL_FAILPOINT("ingest.after_commit");
    for (const Rows& answer : *answers) commit_.stored += static_cast<size_t>(answer.affected());
    return absl::OkStatus();
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
  const LocationLogOptions& options_;
  BadDays& bad_days_;
  std::unique_ptr<Connection> connection_;
  int failures_ = 0;  // of Write in a row
  std::vector<Row> rows_;
  Columns ahead_, others_;
  LocationCommit commit_;
};

PostgresLocationLog::PostgresLocationLog(const std::string& url, const LocationLogOptions& options, const Loops& loops)
    : options_(options), bad_days_(std::make_unique<BadDays>(options_)) {
  std::vector<BatchWriter<LocationAppend>*> writers;
  for (int i = 0; i < options.writers; ++i) {
    writers_.push_back(std::make_unique<Writer>(url, options_, *bad_days_));
    writers.push_back(writers_.back().get());
  }
  BatcherOptions batching;
  batching.batch_max = options.batch_max;
  batching.join_min = options.join_min;
  batching.join_after = options.join_after;
  batcher_ = std::make_unique<Batcher<LocationAppend>>(std::move(writers), batching, loops);
}

PostgresLocationLog::~PostgresLocationLog() { Stop(); }

std::vector<BadDay> PostgresLocationLog::bad_days() const { return bad_days_->List(); }

}  // namespace waybill::storage

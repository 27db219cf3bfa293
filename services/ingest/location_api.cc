#include "services/ingest/location_api.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "domain/geo.h"
#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::ingest {
namespace {

using domain::DriverPosition;

// Rows read at a time when a track is thinned out.
constexpr int kThinningPage = 2'000;
// Rows looked at for one page at most; a page may be short because of it.
constexpr int kThinningMax = 50'000;
// Ids of drivers that wait for workers, of all reads together.
constexpr size_t kWaitingIdsMax = 100'000;

// Where a page ended. Tokens are opaque to callers, and bound to the request they were made for.
struct TrackCursor {
  int64_t from_us = 0;
  int64_t to_us = 0;
  int64_t seen_us = 0;  // of the last point looked at
  int64_t kept_us = 0;  // of the last point kept
};

// FNV-1a: it guards against mistakes, not against malice.
uint64_t Fingerprint(const TrackRequest& request) {
  auto micros = [](const std::optional<absl::Time>& time) { return time ? absl::ToUnixMicros(*time) : INT64_MIN; };
  const std::string fields =
      fmt::format("{} {} {} {} {}", request.driver_id, micros(request.from), micros(request.to),
                  absl::ToInt64Microseconds(request.thinner.min_interval), request.thinner.min_distance_m);
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : fields) hash = (hash ^ c) * 1099511628211u;
  return hash;
}

std::string MakeToken(const TrackCursor& cursor, const TrackRequest& request) {
  return fmt::format("{:016x}{:016x}{:016x}{:016x}{:016x}", Fingerprint(request), static_cast<uint64_t>(cursor.from_us),
                     static_cast<uint64_t>(cursor.to_us), static_cast<uint64_t>(cursor.seen_us),
                     static_cast<uint64_t>(cursor.kept_us));
}

std::optional<TrackCursor> TakeToken(const TrackRequest& request) {
  const std::string& token = request.page_token;
  if (token.size() != 5 * 16) return std::nullopt;
  uint64_t numbers[5];
  for (size_t i = 0; i < 5; ++i) {
    const char* start = token.data() + i * 16;
    auto [end, error] = std::from_chars(start, start + 16, numbers[i], 16);
    if (error != std::errc() || end != start + 16) return std::nullopt;
  }
  if (numbers[0] != Fingerprint(request)) return std::nullopt;
  const TrackCursor cursor{static_cast<int64_t>(numbers[1]), static_cast<int64_t>(numbers[2]),
                           static_cast<int64_t>(numbers[3]), static_cast<int64_t>(numbers[4])};
  // Anybody can make up one that fits: what it says is checked like any other time.
  constexpr int64_t kYear1Us = -62'135'596'800'000'000, kYear9999Us = 253'402'300'800'000'000;
  for (int64_t micros : {cursor.from_us, cursor.to_us, cursor.seen_us, cursor.kept_us}) {
    if (micros < kYear1Us || micros > kYear9999Us) return std::nullopt;
  }
  if (cursor.from_us > cursor.to_us) return std::nullopt;
  return cursor;
}

}  // namespace

template <typename Answer, typename Work>
void LocationApi::OnWorker(Executor& workers, size_t ids, Done<Answer> done, Gone gone, Work work) {
  auto kept = std::make_shared<Done<Answer>>(std::move(done));
  if (waiting_ids_.fetch_add(ids) + ids <= kWaitingIdsMax) {
    Executor::Task task = [this, ids, kept, gone = std::move(gone), work = std::move(work)]() mutable {
      waiting_ids_ -= ids;
      if (gone()) {
        (*kept)(absl::CancelledError("whoever asked has gone"));
      } else {
        work(std::move(*kept));
      }
    };
    if (workers.Submit(task)) return;
  }
  waiting_ids_ -= ids;
  (*kept)(domain::QueueFull("too many reads are waiting", absl::Milliseconds(250)));
}

absl::Duration LocationApi::Age(const DriverPosition& position) const {
  return std::max(clock_.Now() - position.recorded_at, absl::ZeroDuration());
}

void LocationApi::Drivers(std::vector<std::string> driver_ids, Done<Found> done, Gone gone) {
  const size_t ids = driver_ids.size();
  OnWorker(view_workers_, ids, std::move(done), gone,
           [this, driver_ids = std::move(driver_ids), gone](Done<Found> then) mutable {
             FindDrivers(std::move(driver_ids), std::move(then), gone);
           });
}

void LocationApi::FindDrivers(std::vector<std::string> driver_ids, Done<Found> done, const Gone& gone) {
  // Before the view is read: what it lacks or has of old may be newer in history.
  const bool stale = feeder_.stale();
  Found found(driver_ids.size());
  if (auto fresh = view_.Get(driver_ids); fresh.ok()) {
    for (size_t i = 0; i < fresh->size(); ++i) {
      if ((*fresh)[i]) found[i] = DriverLocation{*(*fresh)[i], Age(*(*fresh)[i]), true};
    }
  }
  std::vector<std::string> asked;
  std::vector<size_t> places;
  bool missing = false;
  for (size_t i = 0; i < found.size(); ++i) {
    missing = missing || !found[i];
    if (found[i] && !stale) continue;
    asked.push_back(std::move(driver_ids[i]));
    places.push_back(i);
  }
  if (asked.empty()) {
    done(std::move(found));
    return;
  }
  using Latest = std::vector<std::optional<DriverPosition>>;
  Done<Latest> merge = [this, missing, found = std::move(found), places = std::move(places),
                        done = std::move(done)](absl::StatusOr<Latest> latest) mutable {
    if (!latest.ok() && missing) {
      done(latest.status());
      return;
    }
    for (size_t i = 0; latest.ok() && i < latest->size(); ++i) {
      const std::optional<DriverPosition>& position = (*latest)[i];
      std::optional<DriverLocation>& one = found[places[i]];
      if (!position || (one && one->position.recorded_at >= position->recorded_at)) continue;
      one = DriverLocation{*position, Age(*position), false};
    }
    done(std::move(found));
  };
  const size_t ids = asked.size();
  OnWorker(history_workers_, ids, std::move(merge), gone,
           [this, asked = std::move(asked)](Done<Latest> then) { then(history_.Latest(asked)); });
}

void LocationApi::Near(const storage::NearestQuery& query, Done<Nearby> done, Gone gone) {
  fleet_.Nearest(query, [this, query, done = std::move(done),
                         gone = std::move(gone)](absl::StatusOr<std::vector<storage::NearbyDriver>> near) mutable {
    if (!near.ok() || near->empty()) {
      if (near.ok()) {
        done(Nearby{{}, feeder_.stale()});
      } else {
        done(near.status());
      }
      return;
    }
    const size_t ids = near->size();
    OnWorker(view_workers_, ids, std::move(done), std::move(gone),
             [this, query, near = *std::move(near)](Done<Nearby> then) { then(Locate(query, near)); });
  });
}

absl::StatusOr<Nearby> LocationApi::Locate(const storage::NearestQuery& query,
                                           const std::vector<storage::NearbyDriver>& near) {
  std::vector<std::string> ids;
  for (const storage::NearbyDriver& driver : near) ids.push_back(driver.driver_id);
  auto positions = view_.Get(ids);
  if (!positions.ok()) return positions.status();
  Nearby answer{{}, feeder_.stale()};
  for (std::optional<DriverPosition>& position : *positions) {
    if (!position) continue;  // expired meanwhile
    // Of the very position that is answered: he may have moved since the search.
    const double distance_m = domain::DistanceM(query.point, position->point);
    if (distance_m > query.radius_m) continue;
    const absl::Duration age = Age(*position);
    answer.drivers.push_back({*std::move(position), distance_m, age});
  }
  std::stable_sort(answer.drivers.begin(), answer.drivers.end(),
                   [](const auto& a, const auto& b) { return a.distance_m < b.distance_m; });
  return answer;
}

void LocationApi::Track(TrackRequest request, Done<TrackPage> done, Gone gone) {
  OnWorker(history_workers_, 1, std::move(done), std::move(gone),
           [this, request = std::move(request)](Done<TrackPage> then) { then(ReadTrack(request)); });
}

absl::StatusOr<TrackPage> LocationApi::ReadTrack(const TrackRequest& request) {
  const bool thinning = request.thinner.min_interval > absl::ZeroDuration() || request.thinner.min_distance_m > 0;
  std::optional<TrackCursor> cursor;
  absl::Time from, to;
  if (!request.page_token.empty()) {
    cursor = TakeToken(request);
    if (!cursor) return domain::BadField("page_token", "is none that this request was given");
    from = absl::FromUnixMicros(cursor->from_us);
    to = absl::FromUnixMicros(cursor->to_us);
  } else {
    to = request.to.value_or(clock_.Now());
    from = request.from.value_or(to - absl::Hours(24));
    if (from > to) return domain::BadField("end_time", "is before start_time");
  }

  std::optional<DriverPosition> kept;
  if (cursor && thinning) {
    const absl::Time at = absl::FromUnixMicros(cursor->kept_us);
    auto row = history_.Track({request.driver_id, at, at + absl::Microseconds(1), 1});
    if (!row.ok()) return row.status();
    if (!row->empty()) kept = row->front();
  }
  tracks::Thinner thinner(request.thinner, kept);

  TrackPage page;
  std::optional<DriverPosition> last;  // looked at, and not kept
  absl::Time next = cursor ? absl::FromUnixMicros(cursor->seen_us) : from;
  bool first_again = cursor.has_value();  // the first row is the last one of the page before
  const size_t page_size = static_cast<size_t>(request.page_size);
  auto more = [&](absl::Time seen) {
    TrackCursor end{absl::ToUnixMicros(from), absl::ToUnixMicros(to), absl::ToUnixMicros(seen), 0};
    end.kept_us = absl::ToUnixMicros(thinner.last_kept() ? thinner.last_kept()->recorded_at : seen);
    page.next_page_token = MakeToken(end, request);
    return page;
  };
  for (int looked = 0;;) {
    // One more than fits says whether there is another page.
    const int limit = thinning ? kThinningPage : request.page_size + (first_again ? 2 : 1);
    auto rows = history_.Track({request.driver_id, next, to, limit});
    if (!rows.ok()) return rows.status();
    for (DriverPosition& row : *rows) {
      if (first_again) {
        first_again = false;
        if (row.recorded_at == next) {
          if (!kept || kept->recorded_at != row.recorded_at) last = row;
          continue;
        }
      }
      if (page.points.size() == page_size) return more(next);
      next = row.recorded_at;
      if (thinner.Keep(row)) {
        page.points.push_back(std::move(row));
        last.reset();
      } else {
        last = std::move(row);
      }
    }
    looked += static_cast<int>(rows->size());
    if (rows->size() < static_cast<size_t>(limit)) break;
    if (looked >= kThinningMax) return more(next);
    first_again = true;
    kept = thinner.last_kept();
  }
  // A track ends where it ended, however it is thinned out.
  if (last && thinning) {
    if (page.points.size() == page_size) return more(next);
    page.points.push_back(*std::move(last));
  }
  return page;
}

}  // namespace waybill::ingest

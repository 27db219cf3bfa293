#include "services/ingest/location_watches.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "domain/reasons.h"

namespace waybill::ingest {

using storage::LocationEvent;

bool BoundingBox::Holds(const domain::GeoPoint& point) const {
  if (point.latitude < south || point.latitude > north) return false;
  auto between = [this](double longitude) {
    if (west <= east) return longitude >= west && longitude <= east;
    return longitude >= west || longitude <= east;
  };
  // 180 and -180 are one meridian.
  return between(point.longitude) || (std::abs(point.longitude) == 180 && between(-point.longitude));
}

bool WatchFilter::Wants(const domain::DriverPosition& position) const {
  if (!driver_ids.empty() && !driver_ids.contains(position.driver_id)) return false;
  return !area || area->Holds(position.point);
}

// All but `peer`'s functions are used under the watches' mutex.
class LocationWatches::Watch {
 public:
  uint64_t number = 0;
  WatchFilter filter;
  std::string resume_after;  // until `cursor` is known
  bool located = false;      // cursor is known
  EventId cursor{0, 0};      // the last event looked at
  std::string cursor_id;
  uint64_t losses = 0;              // as many as losses_ when its cursor was found
  bool busy = false;                // sending, or catching up
  bool gap = false;                 // to be told with the next events
  bool stirred = false;             // something that was just read concerns it
  bool quiet = false;               // nothing was sent since the last beat
  std::shared_ptr<WatchPeer> peer;  // none: ended
};

bool LocationWatches::AddedBefore::operator()(const WatchPtr& one, const WatchPtr& other) const {
  return one->number < other->number;
}

void LocationWatches::Index::Add(Watch& watch) {
  drivers_ += watch.filter.driver_ids.size();
  for (const std::string& id : watch.filter.driver_ids) by_driver_[id].push_back(&watch);
  if (!watch.filter.driver_ids.empty()) return;
  (watch.filter.area ? by_area_ : of_all_).push_back(&watch);
}

void LocationWatches::Index::Remove(Watch& watch) {
  drivers_ -= watch.filter.driver_ids.size();
  for (const std::string& id : watch.filter.driver_ids) {
    auto found = by_driver_.find(id);
    std::erase(found->second, &watch);
    if (found->second.empty()) by_driver_.erase(found);
  }
  if (!watch.filter.driver_ids.empty()) return;
  std::erase(watch.filter.area ? by_area_ : of_all_, &watch);
}

void LocationWatches::Index::Stir(const domain::DriverPosition& position) {
  for (Watch* watch : of_all_) watch->stirred = true;
  for (Watch* watch : by_area_) watch->stirred = watch->stirred || watch->filter.area->Holds(position.point);
  auto found = by_driver_.find(position.driver_id);
  if (found == by_driver_.end()) return;
  for (Watch* watch : found->second) watch->stirred = true;
}

LocationWatches::EventId LocationWatches::ParseId(const std::string& id) {
  EventId parsed{0, 0};
  const size_t dash = std::min(id.find('-'), id.size());
  std::from_chars(id.data(), id.data() + dash, parsed.first);
  if (dash < id.size()) std::from_chars(id.data() + dash + 1, id.data() + id.size(), parsed.second);
  return parsed;
}

void LocationWatches::Start(const Loops& loops) {
  loop_ = loops.Start([this](const Clock& clock) { return TakeTurn(clock); });
}

void LocationWatches::Stop() {
  Watches watches;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    watches = watches_;
  }
  if (loop_) loop_->Join();
  for (const WatchPtr& watch : watches) End(watch, domain::ReasonError("SHUTTING_DOWN", "this process is draining"));
}

size_t LocationWatches::size() const {
  std::lock_guard lock(mutex_);
  return watches_.size();
}

std::shared_ptr<LocationWatches::Watch> LocationWatches::Add(WatchFilter filter, std::string resume_after,
                                                             std::shared_ptr<WatchPeer> peer) {
  auto watch = std::make_shared<Watch>();
  watch->filter = std::move(filter);
  watch->resume_after = std::move(resume_after);
  watch->peer = std::move(peer);
  watch->busy = true;  // until it is located
  metrics_.WatchOpened();
  bool stopping, full;
  {
    std::lock_guard lock(mutex_);
    stopping = stopping_;
    full = watches_.size() >= options_.watches_max ||
           index_.drivers() + watch->filter.driver_ids.size() > options_.drivers_max;
    watch->number = ++added_;
    watches_.insert(watch);
    index_.Add(*watch);
  }
  if (stopping) {
    End(watch, domain::ReasonError("SHUTTING_DOWN", "this process is draining"));
  } else if (full) {
    End(watch, domain::QueueFull("too many watches are open", absl::Seconds(5)));
  } else {
    CatchUp(watch);
    if (loop_) loop_->Wake();
  }
  return watch;
}

void LocationWatches::Remove(const WatchPtr& watch) { End(watch, absl::CancelledError("the client went away")); }

void LocationWatches::End(const WatchPtr& watch, const absl::Status& status) {
  std::shared_ptr<WatchPeer> peer;
  {
    std::lock_guard lock(mutex_);
    peer = std::move(watch->peer);
    watch->peer = nullptr;
    if (watches_.erase(watch) > 0) index_.Remove(*watch);
  }
  if (peer == nullptr) return;
  metrics_.WatchClosed();
  peer->Finish(status);
}

std::optional<SteadyTime> LocationWatches::TakeTurn(const Clock& clock) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return std::nullopt;
    if (watches_.empty()) {
      // Nobody looks: the window goes, and whoever comes next starts a new one.
      window_.clear();
      tail_.clear();
      next_poll_ = SteadyTime::InfinitePast();
      return Loop::kWhenWoken;
    }
  }
  if (clock.Steady() < next_poll_) return next_poll_;  // whoever comes is polled for with the others
  const bool answered = Poll();
  const SteadyTime now = clock.Steady();
  if (now >= next_beat_) {
    if (next_beat_ != SteadyTime::InfinitePast()) Beat();
    next_beat_ = now + options_.beat;
  }
  next_poll_ = now + (answered ? options_.poll : options_.retry);
  return next_poll_;
}

bool LocationWatches::Poll() {
  std::string tail;
  {
    std::lock_guard lock(mutex_);
    tail = tail_;
  }
  bool more = true;
  for (int pages = 0; more && pages < options_.pages_max; ++pages) {
    storage::EventPage page;
    if (tail.empty()) {
      absl::StatusOr<std::string> last = view_.LastEventId();
      if (!last.ok()) return false;
      tail = *last;
      std::lock_guard lock(mutex_);
      window_.clear();
      window_start_ = ParseId(tail);
      tail_ = tail;
    } else {
      absl::StatusOr<storage::EventPage> next = view_.Follow(tail, options_.page_max);
      if (!next.ok()) return false;
      page = *std::move(next);
    }
    more = page.events.size() == static_cast<size_t>(options_.page_max);
    std::vector<WatchPtr> stirred;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return true;
      const EventId before = ParseId(tail_);
      if (page.gap && !page.events.empty()) {
        // The tail itself is gone, trimmed or with the stream: what was between is not known.
        window_.clear();
        ++losses_;
        window_start_ = ParseId(page.events.front().id);
        if (window_start_.second > 0) {
          --window_start_.second;
        } else {
          window_start_ = {window_start_.first - 1, UINT64_MAX};
        }
      }
      if (page.gap && page.events.empty() && page.next != tail) {
        // Another stream, that ends before the tail: a Redis whose clock is behind the last one's, or that came back
        // empty. The watches' places are not in it either, and they find out for themselves.
        window_.clear();
        window_start_ = ParseId(page.next);
        tail_ = tail = page.next;
        ++losses_;
      }
      if (!page.events.empty()) tail_ = tail = page.next;
      for (LocationEvent& event : page.events) {
        const EventId id = ParseId(event.id);
        index_.Stir(event.position);
        window_.emplace_back(id, std::move(event));
      }
      while (window_.size() > options_.window_max) {
        window_start_ = window_.front().first;
        window_.pop_front();
      }
      const EventId now = ParseId(tail_);
      for (const WatchPtr& watch : watches_) {
        const bool concerned = std::exchange(watch->stirred, false);
        if (watch->busy) continue;
        if (page.gap || concerned || !watch->located || watch->gap || watch->losses != losses_ ||
            watch->cursor < before) {
          stirred.push_back(watch);
        } else if (watch->cursor < now) {  // it had seen all there was, and what came does not concern it
          watch->cursor = now;
          watch->cursor_id = tail_;
        }
      }
    }
    for (const WatchPtr& watch : stirred) Pump(watch);
  }
  return true;
}

// Sends the watch what the window has for it, or, where the window does not reach back to it, sends it to Redis.
void LocationWatches::Pump(const WatchPtr& watch) {
  std::vector<LocationEvent> events;
  bool gap = false, far = false;
  {
    std::lock_guard lock(mutex_);
    if (watch->busy || watch->peer == nullptr) return;
    far = !watch->located || tail_.empty() || watch->losses != losses_ || watch->cursor < window_start_ ||
          ParseId(tail_) < watch->cursor;
    if (!far) {
      auto next = std::upper_bound(window_.begin(), window_.end(), watch->cursor,
                                   [](const EventId& cursor, const auto& entry) { return cursor < entry.first; });
      for (; next != window_.end() && events.size() < static_cast<size_t>(options_.page_max); ++next) {
        watch->cursor = next->first;
        watch->cursor_id = next->second.id;
        if (watch->filter.Wants(next->second.position)) events.push_back(next->second);
      }
      if (events.empty() && !watch->gap) return;
      gap = std::exchange(watch->gap, false);
    }
    watch->busy = true;
  }
  if (far) {
    CatchUp(watch);
  } else {
    Deliver(watch, std::move(events), gap);
  }
}

void LocationWatches::CatchUp(const WatchPtr& watch) {
  Executor::Task task = [this, watch] { CatchUpOnWorker(watch); };
  if (workers_.Submit(task)) return;
  std::lock_guard lock(mutex_);
  watch->busy = false;  // the next poll tries again
}

void LocationWatches::CatchUpOnWorker(const WatchPtr& watch) {
  std::string after;
  EventId reached{0, 0};  // by the window's start, before Redis is asked
  uint64_t losses = 0;
  bool lost = false;
  {
    std::lock_guard lock(mutex_);
    losses = losses_;
    // Once the stream has come past where the watch was, it cannot tell that something is missing. A watch that finds
    // the loss by itself, just before the poll does, is told twice rather than never.
    lost = watch->located && watch->losses != losses;
    after = watch->located ? watch->cursor_id : watch->resume_after;
    if (!tail_.empty()) reached = window_start_;
  }
  storage::EventPage page;
  absl::Status status;
  if (after.empty()) {  // from now on
    absl::StatusOr<std::string> last = view_.LastEventId();
    status = last.status();
    if (last.ok()) page.next = *last;
  } else {
    absl::StatusOr<storage::EventPage> next = view_.Follow(after, options_.page_max);
    status = next.status();
    if (next.ok()) page = *std::move(next);
  }
  // Only a Redis that is away is worth another try.
  if (!status.ok() && status.code() != absl::StatusCode::kUnavailable) {
    End(watch, status);
    return;
  }
  std::vector<LocationEvent> events;
  bool gap = false;
  {
    std::lock_guard lock(mutex_);
    if (!status.ok()) {
      watch->busy = false;  // the next poll tries again
      return;
    }
    watch->located = true;
    watch->losses = losses;
    watch->gap = watch->gap || page.gap || lost;
    watch->cursor_id = page.next;
    watch->cursor = ParseId(watch->cursor_id);
    // Nothing came after it, so nothing is missed by going on where the window started then.
    if (page.events.empty()) watch->cursor = std::max(watch->cursor, reached);
    for (LocationEvent& event : page.events) {
      if (watch->filter.Wants(event.position)) events.push_back(std::move(event));
    }
    if (page.events.empty()) {
      watch->busy = false;  // the next poll goes on
      return;
    }
    if (!events.empty()) gap = std::exchange(watch->gap, false);
  }
  Deliver(watch, std::move(events), gap);
}

// The watch is busy until its peer has taken the events.
void LocationWatches::Deliver(const WatchPtr& watch, std::vector<LocationEvent> events, bool gap) {
  if (!events.empty() || gap) {
    Send(watch, events, gap);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    watch->busy = false;
  }
  Pump(watch);
}

void LocationWatches::Beat() {
  std::vector<std::pair<WatchPtr, bool>> quiet;  // with what it was not told yet of a gap
  {
    std::lock_guard lock(mutex_);
    for (const WatchPtr& watch : watches_) {
      if (!watch->busy && watch->quiet) {
        watch->busy = true;
        quiet.emplace_back(watch, std::exchange(watch->gap, false));
      }
      watch->quiet = true;
    }
  }
  for (const auto& [watch, gap] : quiet) Send(watch, {}, gap);
}

// The watch is busy.
void LocationWatches::Send(const WatchPtr& watch, const std::vector<LocationEvent>& events, bool gap) {
  std::shared_ptr<WatchPeer> peer;
  std::string reached;
  {
    std::lock_guard lock(mutex_);
    peer = watch->peer;
    reached = watch->located ? watch->cursor_id : watch->resume_after;
    if (!events.empty() || gap) watch->quiet = false;
  }
  if (peer == nullptr) return;
  peer->Send(events, gap, reached, [this, watch](bool ok) {
    if (!ok) {
      Remove(watch);
      return;
    }
    {
      std::lock_guard lock(mutex_);
      watch->busy = false;
    }
    Pump(watch);
  });
}

}  // namespace waybill::ingest

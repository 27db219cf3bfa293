#include "services/order/nearest_driver_dispatch.h"

#include <algorithm>
#include <set>

#include "domain/reasons.h"

namespace waybill::order {
namespace {

AssignResult NoDriver() { return {std::nullopt, std::string(kNoDriverAvailable)}; }

AssignResult Picked(domain::DriverSlot slot) { return {std::move(slot), ""}; }

absl::Status TooBusy() { return domain::ReasonError("QUEUE_FULL", "too many reads of the fleet are waiting"); }

}  // namespace

struct NearestDriverDispatch::Search {
  Uuid order_id;
  domain::GeoPoint point;
  int limit = 0;
  SteadyTime started;
  bool reconciled = false;
  std::optional<std::string> doubtful;  // a driver whose load is asked for as well
  Done done;
};

NearestDriverDispatch::NearestDriverDispatch(storage::Fleet& fleet, storage::OrderStore& store, Executor& workers,
                                             const Clock& clock, Random& random, NearestDriverOptions options)
    : fleet_(fleet),
      store_(store),
      workers_(workers),
      clock_(clock),
      random_(random),
      options_(std::move(options)),
      book_(random, options_.fresh_for) {}

void NearestDriverDispatch::Assign(const ParticipantCall&, const Uuid& order_id, const domain::Order& order,
                                   int conflicts, Done done) {
  std::shared_ptr<Search> search;
  if (order.pickup.has_value()) {
    search = std::make_shared<Search>();
    search->order_id = order_id;
    search->point = *order.pickup;
    search->limit = options_.nearest_first;
    search->started = clock_.Steady();
  }
  {
    std::lock_guard lock(mutex_);
    if (conflicts > 0) {
      LearnOfLoss(order_id, search.get());
    } else {
      book_.Drop(order_id, clock_.Steady());  // picked in an attempt that came to nothing
    }
  }
  if (search) {
    search->done = std::move(done);
    FindNearest(std::move(search));
  } else {
    AssignAny(order_id, conflicts > 0, std::move(done));
  }
}

void NearestDriverDispatch::LearnOfLoss(const Uuid& order_id, Search* search) {
  others_until_ = clock_.Steady() + options_.others_for;
  // A driver who seems to have room: his capacity may have been lowered, and no pick shall lose to that again.
  std::optional<std::string> doubtful = book_.Lost(order_id);
  if (search != nullptr) {
    search->doubtful = std::move(doubtful);
    return;
  }
  if (doubtful.has_value()) doubtful_.insert(*std::move(doubtful));
  if (++lost_of_pool_ * options_.pool_lost_part < book_.pool_size()) return;
  lost_of_pool_ = 0;
  elsewhere_ = true;
  pool_doubtful_ = book_.pool_size() > 0;
}

void NearestDriverDispatch::Release(const ParticipantCall&, const Uuid& order_id, const domain::Order& order,
                                    absl::AnyInvocable<void(absl::Status)> done) {
  {
    std::lock_guard lock(mutex_);
    SteadyTime now = clock_.Steady();
    if (!book_.Drop(order_id, now) && order.driver.has_value()) book_.Release(order_id, *order.driver, now);
  }
  done(absl::OkStatus());
}

void NearestDriverDispatch::OnDurable(const Uuid& order_id) {
  std::lock_guard lock(mutex_);
  size_t before = book_.taken();
  book_.Durable(order_id, clock_.Steady());
  if (book_.taken() < before) exhausted_until_ = SteadyTime::InfinitePast();
}

void NearestDriverDispatch::OnFenced(const Uuid& order_id) {
  std::lock_guard lock(mutex_);
  book_.Forget(order_id, clock_.Steady());
}

// --- Any driver: from a pool of ready ones that is refilled by reading the fleet page by page.

void NearestDriverDispatch::AssignAny(const Uuid& order_id, bool lost, Done done) {
  std::optional<domain::DriverSlot> slot;
  size_t candidates = 0;
  bool exhausted = false;
  bool refill = false;
  {
    std::lock_guard lock(mutex_);
    SteadyTime now = clock_.Steady();
    candidates = book_.pool_size();
    const bool doubt = lost && (settling_ || pool_doubtful_ || !doubtful_.empty());
    if (!doubt) slot = book_.PickAny(order_id, now);
    if (slot.has_value()) {
      refill = ReadIsDue(now);
    } else if (!doubt && now < exhausted_until_) {
      exhausted = true;
    } else {
      waiting_.push_back({order_id, std::move(done)});
      refill = true;
    }
    if (refilling_) refill = false;
    if (refill) refilling_ = true;
  }
  if (refill) StartRefill();
  if (slot.has_value()) {
    options_.on_candidates(candidates);
    done(Picked(*std::move(slot)));  // NOLINT(bugprone-use-after-move): it waits only where there was no slot
  } else if (exhausted) {
    options_.on_candidates(0);
    done(NoDriver());
  }
}

// Before the pool grows old or runs low, so that no order has to wait. A small fleet never fills the pool.
bool NearestDriverDispatch::ReadIsDue(SteadyTime now) const {
  const SteadyTime last_useful_read = book_.pool_size() < options_.pool_low ? read_whole_ : read_;
  return now - last_useful_read > options_.fresh_for / 2;
}

void NearestDriverDispatch::StartRefill() {
  Executor::Task task = [this] { Refill(); };
  if (workers_.Submit(task)) return;
  {
    std::lock_guard lock(mutex_);
    refilling_ = false;
  }
  AnswerWaiting(TooBusy());
}

void NearestDriverDispatch::Refill() {
  SteadyTime started = clock_.Steady();
  SettleDoubts();
  ServeWaiting();
  bool read;
  {
    std::lock_guard lock(mutex_);
    read = !waiting_.empty() || ReadIsDue(started);
  }
  absl::StatusOr<bool> exhausted = false;
  if (read) exhausted = ReadFleet();
  if (exhausted.ok() && *exhausted && ReconcileIfDue(started)) exhausted = ReadFleet();
  bool again;
  std::vector<Waiting> unserved;
  {
    std::lock_guard lock(mutex_);
    if (exhausted.ok() && *exhausted) {
      SteadyTime now = clock_.Steady();
      exhausted_until_ = now + std::clamp(4 * (now - started), options_.exhausted_min, options_.exhausted_max);
    }
    if (!exhausted.ok() || *exhausted) unserved.swap(waiting_);
    again = !waiting_.empty();  // came while the last page was being handed out
    refilling_ = again;
  }
  for (Waiting& waiting : unserved) {
    if (exhausted.ok()) {
      options_.on_candidates(0);
      waiting.done(NoDriver());
    } else {
      waiting.done(exhausted.status());
    }
  }
  if (again) StartRefill();
}

absl::StatusOr<bool> NearestDriverDispatch::ReadFleet() {
  {
    std::lock_guard lock(mutex_);
    // Not like other processes, nor always from the same driver on. Cursors of the fleet are small numbers.
    if (elsewhere_) cursor_ = random_.Next() >> 32;
    elsewhere_ = false;
  }
  // Pages have no order, so only a read from cursor 0 to the end has seen the whole fleet.
  bool from_start = cursor_ == 0;
  while (true) {
    absl::StatusOr<storage::FleetPage> page = fleet_.Scan(cursor_, options_.scan_page);
    if (!page.ok()) return page.status();
    cursor_ = page->cursor;
    const bool whole = cursor_ == 0 && from_start;
    bool others;
    {
      std::lock_guard lock(mutex_);
      others = clock_.Steady() < others_until_;
    }
    if (others) Ask(page->driver_ids);
    {
      std::lock_guard lock(mutex_);
      SteadyTime now = clock_.Steady();
      for (const std::string& driver_id : page->driver_ids) book_.Offer(driver_id, now);
      read_ = now;
      if (whole) read_whole_ = now;
    }
    SettleDoubts();
    ServeWaiting();
    std::lock_guard lock(mutex_);
    if (waiting_.empty() && (whole || book_.pool_size() >= options_.pool_high)) return false;
    if (whole) return true;
    if (cursor_ == 0) from_start = true;
  }
}

void NearestDriverDispatch::ServeWaiting() {
  std::vector<std::pair<Done, domain::DriverSlot>> served;
  size_t candidates;
  {
    std::lock_guard lock(mutex_);
    candidates = book_.pool_size();
    SteadyTime now = clock_.Steady();
    size_t next = 0;
    for (; next < waiting_.size(); ++next) {
      std::optional<domain::DriverSlot> slot = book_.PickAny(waiting_[next].order_id, now);
      if (!slot.has_value()) break;
      served.emplace_back(std::move(waiting_[next].done), *std::move(slot));
    }
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(next));
  }
  for (auto& [done, slot] : served) {
    options_.on_candidates(candidates);
    done(Picked(std::move(slot)));
  }
}

void NearestDriverDispatch::AnswerWaiting(const absl::StatusOr<AssignResult>& answer) {
  std::vector<Waiting> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  for (Waiting& one : waiting) one.done(answer);
}

// --- The nearest driver: straight from the fleet, for each order.

void NearestDriverDispatch::FindNearest(std::shared_ptr<Search> search) {
  storage::NearestQuery query{search->point, options_.radius_m, search->limit};
  fleet_.Nearest(
      query, [this, search = std::move(search)](absl::StatusOr<std::vector<storage::NearbyDriver>> candidates) mutable {
        if (!candidates.ok()) {
          search->done(candidates.status());
          return;
        }
        Found found{std::move(search), *std::move(candidates), 0};
        if (!AskFirst(found)) Choose(std::move(found));
      });
}

void NearestDriverDispatch::Choose(Found found) {
  std::shared_ptr<Search> search = std::move(found.search);
  const std::vector<storage::NearbyDriver>& candidates = found.candidates;
  std::optional<domain::DriverSlot> slot;
  {
    std::lock_guard lock(mutex_);
    SteadyTime now = clock_.Steady();
    for (const storage::NearbyDriver& candidate : candidates) {
      slot = book_.Pick(search->order_id, candidate.driver_id, now);
      if (slot.has_value()) break;
    }
  }
  if (slot.has_value()) {
    options_.on_candidates(candidates.size());
    search->done(Picked(*std::move(slot)));
  } else if (static_cast<int>(candidates.size()) >= search->limit && search->limit < options_.nearest_max) {
    search->limit = std::min(search->limit * 4, options_.nearest_max);
    FindNearest(std::move(search));
  } else if (candidates.empty() || search->reconciled) {
    options_.on_candidates(0);
    search->done(NoDriver());
  } else {
    // They may be busy only because this process has not heard that another one freed them.
    search->reconciled = true;
    Executor::Task task = [this, search] {
      if (ReconcileIfDue(search->started)) {
        FindNearest(search);
      } else {
        search->done(NoDriver());
      }
    };
    if (!workers_.Submit(task)) search->done(NoDriver());
  }
}

bool NearestDriverDispatch::AskFirst(Found& found) {
  if (found.candidates.empty()) return false;
  {
    std::lock_guard lock(mutex_);
    if (clock_.Steady() >= others_until_) return false;
    found_.push_back(std::move(found));
    if (asking_) return true;
    asking_ = true;
  }
  Executor::Task task = [this] { AskAboutFound(); };
  if (workers_.Submit(task)) return true;
  std::vector<Found> unasked;
  {
    std::lock_guard lock(mutex_);
    asking_ = false;
    unasked.swap(found_);
  }
  for (Found& one : unasked) Choose(std::move(one));
  return true;
}

void NearestDriverDispatch::AskAboutFound() {
  while (true) {
    std::vector<Found> all;
    std::set<std::string> driver_ids;  // orders near each other have the same
    {
      std::lock_guard lock(mutex_);
      all.swap(found_);
      asking_ = !all.empty();
      for (Found& found : all) ListNext(found, driver_ids);
    }
    if (all.empty()) return;
    Ask({driver_ids.begin(), driver_ids.end()});
    for (Found& found : all) {
      bool settled = found.asked == found.candidates.size();
      {
        std::lock_guard lock(mutex_);
        for (size_t at = 0; at < found.asked && !settled; ++at)
          settled = book_.SeemsFree(found.candidates[at].driver_id);
        if (!settled) found_.push_back(std::move(found));
      }
      if (settled) Choose(std::move(found));  // NOLINT(bugprone-use-after-move): it was not moved
    }
  }
}

void NearestDriverDispatch::ListNext(Found& found, std::set<std::string>& driver_ids) const {
  const Search& search = *found.search;
  if (search.doubtful.has_value()) driver_ids.insert(*search.doubtful);
  // Those that seem busy may be free; but those of an earlier, narrower search were asked about, and they are many.
  const bool first = search.limit <= options_.nearest_first;
  for (int free = 0; found.asked < found.candidates.size() && free < options_.nearest_checked; ++found.asked) {
    const std::string& driver_id = found.candidates[found.asked].driver_id;
    const bool seems_free = book_.SeemsFree(driver_id);
    if (seems_free) ++free;
    if (seems_free || first) driver_ids.insert(driver_id);
  }
}

// --- What other replicas did meanwhile.

void NearestDriverDispatch::Ask(const std::vector<std::string>& driver_ids) {
  constexpr size_t kPiece = 1'000;  // picks wait while the book is told
  std::lock_guard one(ask_mutex_);
  for (size_t from = 0; from < driver_ids.size(); from += kPiece) {
    const size_t to = std::min(driver_ids.size(), from + kPiece);
    const std::vector<std::string> piece(driver_ids.begin() + static_cast<std::ptrdiff_t>(from),
                                         driver_ids.begin() + static_cast<std::ptrdiff_t>(to));
    {
      std::lock_guard lock(mutex_);
      book_.BeginCheck();
    }
    const absl::StatusOr<std::vector<domain::DriverLoad>> loads = store_.Loads(piece);
    std::lock_guard lock(mutex_);
    const SteadyTime now = clock_.Steady();
    for (size_t at = 0; loads.ok() && at < piece.size(); ++at) book_.Check(piece[at], (*loads)[at], now);
    book_.EndCheck();
    if (!loads.ok()) return;
  }
}

void NearestDriverDispatch::SettleDoubts() {
  std::vector<std::string> doubtful;
  {
    std::lock_guard lock(mutex_);
    if (pool_doubtful_) doubtful = book_.Pooled();
    doubtful.insert(doubtful.end(), doubtful_.begin(), doubtful_.end());
    pool_doubtful_ = false;
    doubtful_.clear();
    settling_ = !doubtful.empty();
  }
  Ask(doubtful);
  std::lock_guard lock(mutex_);
  settling_ = false;
}

bool NearestDriverDispatch::ReconcileIfDue(SteadyTime asked) {
  {
    std::lock_guard lock(mutex_);
    if (reconciled_ >= asked) return true;
    if (book_.all_free() || clock_.Steady() < reconcile_due_) return false;
    reconcile_due_ = clock_.Steady() + options_.reconcile_min;
  }
  return Reconcile().ok();
}

absl::Status NearestDriverDispatch::Reconcile() {
  constexpr size_t kPiece = 1'000;
  std::lock_guard one(reconcile_mutex_);
  SteadyTime started = clock_.Steady();
  absl::StatusOr<std::vector<domain::DriverSlot>> capacities = store_.Capacities();
  if (!capacities.ok()) return capacities.status();
  {
    std::lock_guard lock(mutex_);
    book_.BeginReconcile(*capacities, started);
  }
  absl::StatusOr<std::vector<domain::DriverSlot>> taken = store_.TakenSlots();
  if (taken.ok()) {
    // A piece at a time, because picks wait for the lock.
    for (size_t at = 0; at < taken->size(); at += kPiece) {
      std::lock_guard lock(mutex_);
      book_.Reconcile(taken->data() + at, std::min(kPiece, taken->size() - at));
    }
  }
  bool more = true;
  while (more) {
    std::lock_guard lock(mutex_);
    more = book_.EndReconcile(taken.ok(), clock_.Steady());
  }
  std::lock_guard lock(mutex_);
  SteadyTime now = clock_.Steady();
  if (taken.ok()) reconciled_ = started;
  reconcile_due_ = now + std::max(options_.reconcile_min, 20 * (now - started));
  exhausted_until_ = SteadyTime::InfinitePast();
  return taken.status();
}

}  // namespace waybill::order

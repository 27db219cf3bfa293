#include "services/order/nearest_driver_dispatch.h"

#include <algorithm>

#include "storage/reasons.h"

namespace waybill::order {
namespace {

AssignResult NoDriver() { return {std::nullopt, std::string(kNoDriverAvailable)}; }

AssignResult Picked(storage::DriverSlot slot) { return {std::move(slot), ""}; }

absl::Status TooBusy() { return storage::ReasonError("QUEUE_FULL", "too many reads of the fleet are waiting"); }

}  // namespace

struct NearestDriverDispatch::Search {
  Uuid order_id;
  storage::GeoPoint point;
  int limit = 0;
  SteadyTime started;
  bool reconciled = false;
  Done done;
};

NearestDriverDispatch::NearestDriverDispatch(storage::Fleet& fleet, storage::OrderStore& store, WorkerPool& workers,
                                             const Clock& clock, Random& random, NearestDriverOptions options)
    : fleet_(fleet),
      store_(store),
      workers_(workers),
      clock_(clock),
      options_(std::move(options)),
      book_(random, options_.fresh_for) {}

void NearestDriverDispatch::Assign(const ParticipantCall&, const Uuid& order_id, const storage::Order& order,
                                   int conflicts, Done done) {
  std::optional<std::string> doubtful;
  {
    std::lock_guard lock(mutex_);
    if (conflicts > 0) {
      doubtful = book_.Lost(order_id);
    } else {
      book_.Drop(order_id, clock_.Steady());  // picked in an attempt that came to nothing
    }
  }
  if (!doubtful.has_value()) {
    Pick(order_id, order, std::move(done));
    return;
  }
  // Its capacity may have been lowered: the next pick shall not lose to that again. The order waits for this call.
  auto shared = std::make_shared<Done>(std::move(done));
  WorkerPool::Task learn = [this, order_id, &order, driver_id = *std::move(doubtful), shared] {
    absl::StatusOr<storage::DriverLoad> load = store_.Load(driver_id);
    if (load.ok()) {
      std::lock_guard lock(mutex_);
      book_.Correct(driver_id, *load);
    }
    Pick(order_id, order, std::move(*shared));
  };
  if (!workers_.Submit(learn)) Pick(order_id, order, std::move(*shared));
}

void NearestDriverDispatch::Pick(const Uuid& order_id, const storage::Order& order, Done done) {
  if (!order.pickup.has_value()) {
    AssignAny(order_id, std::move(done));
    return;
  }
  auto search = std::make_shared<Search>();
  search->order_id = order_id;
  search->point = *order.pickup;
  search->limit = options_.nearest_first;
  search->started = clock_.Steady();
  search->done = std::move(done);
  FindNearest(std::move(search));
}

void NearestDriverDispatch::Release(const ParticipantCall&, const Uuid& order_id, const storage::Order& order,
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

void NearestDriverDispatch::AssignAny(const Uuid& order_id, Done done) {
  std::optional<storage::DriverSlot> slot;
  size_t candidates = 0;
  bool exhausted = false;
  bool refill = false;
  {
    std::lock_guard lock(mutex_);
    SteadyTime now = clock_.Steady();
    candidates = book_.pool_size();
    slot = book_.PickAny(order_id, now);
    if (slot.has_value()) {
      // Before the pool grows old or runs low, so that no order has to wait. A small fleet never fills the pool.
      const SteadyTime last_useful_read = book_.pool_size() < options_.pool_low ? read_whole_ : read_;
      refill = now - last_useful_read > options_.fresh_for / 2;
    } else if (now < exhausted_until_) {
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

void NearestDriverDispatch::StartRefill() {
  WorkerPool::Task task = [this] { Refill(); };
  if (workers_.Submit(task)) return;
  {
    std::lock_guard lock(mutex_);
    refilling_ = false;
  }
  AnswerWaiting(TooBusy());
}

void NearestDriverDispatch::Refill() {
  SteadyTime started = clock_.Steady();
  absl::StatusOr<bool> exhausted = ReadFleet();
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
  // Pages have no order, so only a read from cursor 0 to the end has seen the whole fleet.
  bool from_start = cursor_ == 0;
  while (true) {
    absl::StatusOr<storage::FleetPage> page = fleet_.Scan(cursor_, options_.scan_page);
    if (!page.ok()) return page.status();
    cursor_ = page->cursor;
    const bool whole = cursor_ == 0 && from_start;
    {
      std::lock_guard lock(mutex_);
      SteadyTime now = clock_.Steady();
      for (const std::string& driver_id : page->driver_ids) book_.Offer(driver_id, now);
      read_ = now;
      if (whole) read_whole_ = now;
    }
    ServeWaiting();
    std::lock_guard lock(mutex_);
    if (waiting_.empty() && (whole || book_.pool_size() >= options_.pool_high)) return false;
    if (whole) return true;
    if (cursor_ == 0) from_start = true;
  }
}

void NearestDriverDispatch::ServeWaiting() {
  std::vector<std::pair<Done, storage::DriverSlot>> served;
  size_t candidates;
  {
    std::lock_guard lock(mutex_);
    candidates = book_.pool_size();
    SteadyTime now = clock_.Steady();
    size_t next = 0;
    for (; next < waiting_.size(); ++next) {
      std::optional<storage::DriverSlot> slot = book_.PickAny(waiting_[next].order_id, now);
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
        std::optional<storage::DriverSlot> slot;
        {
          std::lock_guard lock(mutex_);
          SteadyTime now = clock_.Steady();
          for (const storage::NearbyDriver& candidate : *candidates) {
            slot = book_.Pick(search->order_id, candidate.driver_id, now);
            if (slot.has_value()) break;
          }
        }
        if (slot.has_value()) {
          options_.on_candidates(candidates->size());
          search->done(Picked(*std::move(slot)));
        } else if (static_cast<int>(candidates->size()) >= search->limit && search->limit < options_.nearest_max) {
          search->limit = std::min(search->limit * 4, options_.nearest_max);
          FindNearest(std::move(search));
        } else if (candidates->empty() || search->reconciled) {
          options_.on_candidates(0);
          search->done(NoDriver());
        } else {
          // They may be busy only because this process has not heard that another one freed them.
          search->reconciled = true;
          WorkerPool::Task task = [this, search] {
            if (ReconcileIfDue(search->started)) {
              FindNearest(search);
            } else {
              search->done(NoDriver());
            }
          };
          if (!workers_.Submit(task)) search->done(NoDriver());
        }
      });
}

// --- What other replicas did meanwhile.

bool NearestDriverDispatch::ReconcileIfDue(SteadyTime asked) {
  {
    std::lock_guard lock(mutex_);
    if (reconciled_ >= asked) return true;
    if (book_.taken() == 0 || clock_.Steady() < reconcile_due_) return false;
    reconcile_due_ = clock_.Steady() + options_.reconcile_min;
  }
  return Reconcile().ok();
}

absl::Status NearestDriverDispatch::Reconcile() {
  constexpr size_t kPiece = 1'000;
  std::lock_guard one(reconcile_mutex_);
  SteadyTime started = clock_.Steady();
  absl::StatusOr<std::vector<storage::DriverSlot>> capacities = store_.Capacities();
  if (!capacities.ok()) return capacities.status();
  {
    std::lock_guard lock(mutex_);
    book_.BeginReconcile(*capacities, started);
  }
  absl::StatusOr<std::vector<storage::DriverSlot>> taken = store_.TakenSlots();
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

#include "services/order/order_watch.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "domain/reasons.h"

namespace waybill::order {
namespace {

constexpr size_t kAskedAtOnce = 1'000;

}  // namespace

// A watch looks, sends, or rests; one of these at a time, and whoever looks or sends owns the first group. At rest it
// belongs to nobody: a tick, a transition or the end of the watch takes it up again.
class OrderWatches::Watch {
 public:
  Watch(const Uuid& order_id, storage::Owner whose, int64_t from_seq, std::unique_ptr<WatchSink> to, bool and_refunds,
        absl::Duration first_pause)
      : id(order_id),
        owner(std::move(whose)),
        refunds(and_refunds),
        next(from_seq),
        sink(std::move(to)),
        pause(first_pause) {}

  // Into `batch`, those that stand otherwise than they were told. How many of them are open.
  int TakeRefunds(const storage::OrderRecord& record, std::vector<Transition>& batch) {
    int open = 0;
    refund_changes = 0;
    for (const domain::PartialRefund& refund : record.payload.refunds) {
      refund_changes += refund.decided_at ? 2 : 1;
      if (refund.state == domain::PartialRefund::State::kOpen) ++open;
      const auto [last, fresh] = told.try_emplace(refund.refund_id, refund.state);
      if (!fresh && last->second == refund.state) continue;
      last->second = refund.state;
      Transition& news = batch.emplace_back();
      news.status = StatusOf(record);
      news.refund = refund;
    }
    return open;
  }

  const Uuid id;
  const storage::Owner owner;
  const bool refunds;
  int64_t next;
  std::map<std::string, domain::PartialRefund::State> told;  // by refund_id
  int64_t refund_changes = 0;                                // as of the last look
  std::unique_ptr<WatchSink> sink;
  bool known = false;     // the order is there, and was not terminal before `next`
  bool terminal = false;  // nothing comes after what was sent
  absl::Duration pause;

  bool resting = false;  // these under the mutex of all watches
  bool woken = false;
  bool gone = false;
  std::optional<absl::Status> ending;  // asked to end
  SteadyTime due;                      // at rest: to be asked after
  SteadyTime beat;                     // at rest: to be sent a heartbeat
};

std::shared_ptr<OrderWatches::Watch> OrderWatches::Add(const Uuid& order_id, storage::Owner owner, int64_t from_seq,
                                                       std::unique_ptr<WatchSink> sink, bool refunds) {
  auto watch =
      std::make_shared<Watch>(order_id, std::move(owner), from_seq, std::move(sink), refunds, options_.poll_initial);
  absl::Status refused;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) {
      refused = domain::ReasonError("SHUTTING_DOWN", "this process is draining");
    } else if (count_ >= options_.watches_max) {
      refused = domain::QueueFull("too many watches are open", absl::Seconds(5));
    } else {
      watch->beat = clock_.Steady() + options_.heartbeat;
      watches_[order_id].push_back(watch);
      ++count_;
    }
  }
  if (refused.ok()) {
    Look(watch);
  } else {
    watch->sink->End(refused);
  }
  return watch;
}

void OrderWatches::Look(const WatchPtr& watch) {
  Executor::Task look = [this, watch] { LookOnWorker(watch); };
  if (!workers_.Submit(look)) Rest(watch);
}

void OrderWatches::LookOnWorker(const WatchPtr& watch) {
  Watch& w = *watch;
  bool gone;
  {
    std::lock_guard lock(mutex_);
    w.woken = false;
    gone = w.gone;
  }
  if (gone) return Forget(watch);
  absl::StatusOr<std::vector<saga::LogEntry>> log = store_.Log(w.id, std::max<int64_t>(w.next, 1));
  if (log.ok() && log->empty() && w.known && !w.refunds) return Rest(watch);
  // After the log, so that it knows why the last entry stands there.
  absl::StatusOr<storage::OrderRecord> record = store_.GetOf(w.id, w.owner);
  absl::Status status = log.ok() ? record.status() : log.status();
  if (!status.ok()) {
    return absl::IsUnavailable(status) ? Rest(watch) : End(watch, status);
  }
  w.known = true;
  std::vector<Transition> batch = TransitionsOf(*record, *std::move(log), w.next);
  if (!batch.empty()) w.next = batch.back().entry.seq + 1;
  // What was written since the log was read is still to come.
  w.terminal = saga::IsTerminal(record->state) && record->seq < w.next;
  if (w.refunds && w.TakeRefunds(*record, batch) > 0) w.terminal = false;
  // Asked from a sequence beyond the end of a terminal order: there is nothing to wait for.
  if (batch.empty() && w.terminal) return End(watch, absl::OkStatus());
  if (batch.empty()) return Rest(watch);
  w.pause = options_.poll_initial;
  Send(watch, std::move(batch));
}

void OrderWatches::Send(const WatchPtr& watch, std::vector<Transition> batch) {
  {
    std::lock_guard lock(mutex_);
    watch->beat = clock_.Steady() + options_.heartbeat;
  }
  watch->sink->Send(std::move(batch), [this, watch](bool ok) { Sent(watch, ok); });
}

void OrderWatches::Sent(const WatchPtr& watch, bool ok) {
  if (!ok) {
    Forget(watch);
  } else if (watch->terminal) {
    End(watch, absl::OkStatus());
  } else {
    Rest(watch);
  }
}

void OrderWatches::Rest(const WatchPtr& watch) {
  {
    std::lock_guard lock(mutex_);
    if (!watch->gone && !watch->ending && !watch->woken) {
      watch->resting = true;
      watch->due = clock_.Steady() + watch->pause;
      watch->pause = std::min(watch->pause * 2, options_.poll_max);
      ScheduleTick();
      return;
    }
  }
  GoOn(watch);
}

// Ends the watch that was asked to end, and looks otherwise.
void OrderWatches::GoOn(const WatchPtr& watch) {
  std::optional<absl::Status> ending;
  {
    std::lock_guard lock(mutex_);
    ending = watch->gone ? absl::CancelledError("the client went away") : watch->ending;
  }
  if (ending) {
    End(watch, *ending);
  } else {
    Look(watch);
  }
}

void OrderWatches::OnTransition(const Uuid& order_id) {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  std::vector<WatchPtr> rested;
  {
    std::lock_guard lock(mutex_);
    auto it = watches_.find(order_id);
    if (it == watches_.end()) return;
    for (const WatchPtr& watch : it->second) {
      watch->woken = true;  // if it is busy, it goes on at once afterwards
      if (std::exchange(watch->resting, false)) rested.push_back(watch);
    }
  }
  for (const WatchPtr& watch : rested) GoOn(watch);
}

void OrderWatches::Remove(const WatchPtr& watch) {
  bool rested;
  {
    std::lock_guard lock(mutex_);
    watch->gone = true;
    rested = std::exchange(watch->resting, false);
  }
  if (rested) GoOn(watch);
}

void OrderWatches::Stop() {
  std::vector<WatchPtr> rested;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    for (auto& [id, watches] : watches_) {
      for (const WatchPtr& watch : watches) {
        watch->ending = domain::ReasonError("SHUTTING_DOWN", "this process is draining; watch at another replica");
        if (std::exchange(watch->resting, false)) rested.push_back(watch);
      }
    }
  }
  for (const WatchPtr& watch : rested) GoOn(watch);
}

void OrderWatches::End(const WatchPtr& watch, const absl::Status& status) {
  watch->sink->End(status);
  Forget(watch);
}

void OrderWatches::Forget(const WatchPtr& watch) {
  watch->sink.reset();
  std::lock_guard lock(mutex_);
  auto it = watches_.find(watch->id);
  if (it == watches_.end()) return;
  if (std::erase(it->second, watch) > 0) --count_;
  if (it->second.empty()) watches_.erase(it);
  if (watches_.empty() && tick_ && scheduler_.Cancel(*tick_)) tick_.reset();
}

void OrderWatches::ScheduleTick() {
  if (tick_ || sweeping_) return;
  tick_ = scheduler_.At(clock_.Steady() + options_.poll_initial, [this] { Tick(); });
}

void OrderWatches::Tick() {
  std::lock_guard lock(mutex_);
  tick_.reset();
  Executor::Task sweep = [this] { SweepOnWorker(); };
  sweeping_ = workers_.Submit(sweep);
  if (!watches_.empty()) ScheduleTick();
}

// Takes up the watches that were silent for long, and asks after those whose pause is over.
void OrderWatches::SweepOnWorker() {
  std::vector<WatchPtr> silent, due;
  {
    std::lock_guard lock(mutex_);
    const SteadyTime now = clock_.Steady();
    for (auto& [id, watches] : watches_) {
      for (const WatchPtr& watch : watches) {
        if (!watch->resting || std::min(watch->beat, watch->due) > now) continue;
        watch->resting = false;
        (watch->beat <= now ? silent : due).push_back(watch);
      }
    }
  }
  for (const WatchPtr& watch : silent) Send(watch, {});
  for (size_t at = 0; at < due.size(); at += kAskedAtOnce) {
    AskAfter({due.begin() + at, due.begin() + std::min(at + kAskedAtOnce, due.size())});
  }
  std::lock_guard lock(mutex_);
  sweeping_ = false;
  if (!watches_.empty()) ScheduleTick();
}

// Only what has moved is read: any number of quiet orders costs one question a thousand.
void OrderWatches::AskAfter(const std::vector<WatchPtr>& watches) {
  std::vector<Uuid> ids;
  ids.reserve(watches.size());
  for (const WatchPtr& watch : watches) ids.push_back(watch->id);
  absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> found = store_.LastSequences(ids);
  absl::flat_hash_map<Uuid, int64_t> newest, refunds;
  if (found.ok()) newest.insert(found->begin(), found->end());
  ids.clear();
  for (const WatchPtr& watch : watches) {
    if (watch->refunds) ids.push_back(watch->id);
  }
  if (found.ok() && !ids.empty()) {
    found = store_.RefundChanges(ids);
    if (found.ok()) refunds.insert(found->begin(), found->end());
  }
  for (const WatchPtr& watch : watches) {
    auto it = newest.find(watch->id);
    bool quiet = it != newest.end() && watch->known && it->second < watch->next;
    if (watch->refunds) {
      auto changes = refunds.find(watch->id);
      quiet = quiet && (changes == refunds.end() ? 0 : changes->second) == watch->refund_changes;
    }
    if (quiet || !found.ok()) {
      Rest(watch);
    } else {
      Look(watch);
    }
  }
}

}  // namespace waybill::order

#include "services/order/order_metrics.h"

#include <cstdlib>
#include <iterator>
#include <set>
#include <string>
#include <utility>

#include "runtime/status.h"
#include "services/order/order_status.h"

namespace waybill::order {
namespace {

enum SettledAs { kConfirmed, kFailed, kCancelled, kCompleted, kResolved };
constexpr const char* kSettledNames[] = {"confirmed", "failed", "cancelled", "completed", "resolved"};
// SQLSTATE classes that refuse a write for what is in it, and the rest.
constexpr const char* kRefusedClasses[] = {"21", "22", "23", "54", "other"};
constexpr const char* kDirectionNames[] = {"do", "undo", "close"};  // by saga::Direction
constexpr const char* kOutcomeNames[] = {"succeeded", "rejected", "unknown", "later", "again"};

}  // namespace

OrderMetrics::OrderMetrics(Metrics& metrics)
    : metrics_(metrics),
      settle_seconds_(metrics.AddHistogram("waybill_saga_settle_seconds",
                                           "From an order's acceptance until it was confirmed or turned back.",
                                           LatencyBuckets())),
      running_(metrics.AddGauge("waybill_sagas_unfinished", "Sagas that have not come to rest, by state.",
                                {{"state", "running"}})),
      closing_(metrics.AddGauge("waybill_sagas_unfinished", "Sagas that have not come to rest, by state.",
                                {{"state", "closing"}})),
      compensating_(metrics.AddGauge("waybill_sagas_unfinished", "Sagas that have not come to rest, by state.",
                                     {{"state", "compensating"}})),
      waiting_(metrics.AddGauge("waybill_sagas_waiting",
                                "Sagas that wait for a signal, or for their time; 100,000 are counted at most.")),
      overdue_(metrics.AddGauge("waybill_saga_wait_overdue_seconds",
                                "How long a saga that waits should have been taken up; 0 when none should.")),
      oldest_(metrics.AddGauge("waybill_saga_oldest_unfinished_seconds",
                               "Age of the oldest saga that has not come to rest.")),
      unswept_(metrics.AddGauge("waybill_saga_sweep_waits_seconds",
                                "How long recovery's sweep of young sagas has waited for older transactions to end.")),
      attention_(metrics.AddGauge("waybill_sagas_needing_attention",
                                  "Sagas that do not come to an end by themselves and that a person should look at.")),
      not_driven_here_(
          metrics.AddGauge("waybill_sagas_not_driven_here",
                           "Unfinished sagas that do not wait, of kinds or versions that this process does not "
                           "drive.")),
      recovered_(metrics.AddCounter("waybill_sagas_recovered_total",
                                    "Sagas claimed from a process that no longer held the lease.")),
      fenced_(metrics.AddCounter("waybill_saga_fenced_writes_total",
                                 "Journal writes refused because another process owns the saga.")),
      lost_claims_(metrics.AddCounter("waybill_dispatch_lost_claims_total",
                                      "Drivers picked here that another order had claimed first.")),
      unreadable_(metrics.AddCounter("waybill_sagas_unreadable_total",
                                     "Claims of sagas that this version cannot read; they were left alone.")),
      repeated_(metrics.AddCounter("waybill_journal_repeated_writes_total",
                                   "Journal writes that an earlier try had made already; its answer was lost.")),
      candidates_(metrics.AddHistogram("waybill_dispatch_candidates",
                                       "Drivers that the built-in dispatch had to pick from, at each pick.",
                                       SizeBuckets())),
      batch_items_(metrics.AddHistogram("waybill_journal_batch_items", "Items in one journal commit.", SizeBuckets())),
      commit_seconds_(
          metrics.AddHistogram("waybill_journal_commit_seconds", "Duration of one journal commit.", LatencyBuckets())) {
  for (size_t i = 0; i < settled_.size(); ++i) {
    settled_[i] = &metrics.AddCounter("waybill_sagas_settled_total", "Sagas that came to rest, by outcome.",
                                      {{"outcome", kSettledNames[i]}});
  }
  for (size_t i = 0; i < refused_.size(); ++i) {
    refused_[i] = &metrics.AddCounter("waybill_journal_refused_writes_total",
                                      "Journal writes that the database refused for good, by class of SQLSTATE.",
                                      {{"class", kRefusedClasses[i]}});
  }
  for (size_t i = 0; i < signals_.size(); ++i) {
    signals_[i] = &metrics.AddCounter("waybill_saga_signals_total", "What was said to sagas, by what became of it.",
                                      {{"result", std::string(saga::Name(static_cast<saga::SignalResult>(i)))}});
  }
}

void OrderMetrics::AddSteps(const saga::Kinds& kinds) {
  std::set<std::string> names;  // kinds and versions may have steps of one name
  for (const saga::Definition& definition : kinds.all()) {
    for (const saga::Step& step : definition.steps) names.insert(step.name);
  }
  for (const std::string& name : names) {
    Step step;
    step.name = name;
    for (size_t direction = 0; direction < std::size(kDirectionNames); ++direction) {
      for (size_t outcome = 0; outcome < std::size(kOutcomeNames); ++outcome) {
        step.attempts[direction][outcome] = &metrics_.AddCounter(
            "waybill_saga_step_attempts_total", "Calls to participants, by what became of them.",
            {{"step", name}, {"action", kDirectionNames[direction]}, {"outcome", kOutcomeNames[outcome]}});
      }
    }
    step.retries = &metrics_.AddCounter("waybill_saga_retries_total", "Calls to participants that were to be repeated.",
                                        {{"step", name}});
    steps_.push_back(std::move(step));
  }
}

const OrderMetrics::Step& OrderMetrics::Find(std::string_view step_name) const {
  for (const Step& step : steps_) {
    if (step.name == step_name) return step;
  }
  std::abort();  // a step outside the definition
}

void OrderMetrics::Attempt(std::string_view step, saga::Direction direction, saga::Outcome::Kind outcome) {
  Find(step).attempts[static_cast<size_t>(direction)][static_cast<size_t>(outcome)]->Increment();
}

void OrderMetrics::Retry(std::string_view step) { Find(step).retries->Increment(); }

void OrderMetrics::Settled(const saga::Header& header, absl::Duration age) {
  const OrderStatus status = StatusOf(header);
  SettledAs as = kConfirmed;
  if (status == OrderStatus::kFailed) as = kFailed;
  if (status == OrderStatus::kCancelled) as = kCancelled;
  if (status == OrderStatus::kCompleted) as = kCompleted;
  if (status == OrderStatus::kResolved) as = kResolved;
  settled_[as]->Increment();
  // A completion or a late cancellation says how long the delivery took, not the saga.
  if (as == kConfirmed || as == kFailed) settle_seconds_.Observe(absl::ToDoubleSeconds(age));
}

void OrderMetrics::Refused(const absl::Status& why) {
  size_t index = refused_.size() - 1;
  for (const auto& [key, value] : GetErrorDetail(why).metadata) {
    for (size_t i = 0; key == "sqlstate" && i < refused_.size(); ++i) {
      if (value.compare(0, 2, kRefusedClasses[i]) == 0) index = i;
    }
  }
  refused_[index]->Increment();
}

void OrderMetrics::SetUnfinished(const storage::UnfinishedStats& stats) {
  running_.Set(static_cast<double>(stats.running));
  closing_.Set(static_cast<double>(stats.closing));
  compensating_.Set(static_cast<double>(stats.compensating));
  waiting_.Set(static_cast<double>(stats.waiting));
  overdue_.Set(absl::ToDoubleSeconds(stats.overdue));
  unswept_.Set(absl::ToDoubleSeconds(stats.unswept));
  attention_.Set(static_cast<double>(stats.needing_attention));
  not_driven_here_.Set(static_cast<double>(stats.not_driven_here));
  oldest_.Set(absl::ToDoubleSeconds(stats.oldest_age));
}

void OrderMetrics::Committed(size_t items, absl::Duration took) {
  batch_items_.Observe(static_cast<double>(items));
  commit_seconds_.Observe(absl::ToDoubleSeconds(took));
}

}  // namespace waybill::order

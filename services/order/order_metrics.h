// What the order service counts. Names are listed in docs/operations.md.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/metrics.h"
#include "saga/runner.h"
#include "storage/order_store.h"

namespace waybill::order {

class OrderMetrics {
 public:
  // `metrics` outlives this.
  explicit OrderMetrics(Metrics& metrics);
  // The counters of the steps of what is driven; once, before anything is.
  void AddSteps(const saga::Kinds& kinds);

  void Attempt(std::string_view step, saga::Direction direction, saga::Outcome::Kind outcome);
  void Retry(std::string_view step);
  void Settled(const saga::Header& header, absl::Duration age);
  void Recovered() { recovered_.Increment(); }
  void Fenced() { fenced_.Increment(); }
  void LostClaim() { lost_claims_.Increment(); }
  // A journal write will never be made; `why` has an SQLSTATE.
  void Refused(const absl::Status& why);
  void Repeated(size_t writes) { repeated_.Increment(static_cast<double>(writes)); }
  void Unreadable() { unreadable_.Increment(); }
  void Signal(saga::SignalResult result) { signals_[static_cast<size_t>(result)]->Increment(); }

  // From the store, every few seconds: counting at each scrape would cost more than it tells.
  void SetUnfinished(const storage::UnfinishedStats& stats);

  void Candidates(size_t count) { candidates_.Observe(static_cast<double>(count)); }
  void Committed(size_t items, absl::Duration took);

 private:
  struct Step {
    std::string name;
    std::array<std::array<prometheus::Counter*, 5>, 3> attempts;  // [direction][outcome]
    prometheus::Counter* retries;
  };
  const Step& Find(std::string_view step_name) const;

  Metrics& metrics_;
  std::vector<Step> steps_;
  std::array<prometheus::Counter*, 5> settled_;
  prometheus::Histogram& settle_seconds_;
  prometheus::Gauge& running_;
  prometheus::Gauge& closing_;
  prometheus::Gauge& compensating_;
  prometheus::Gauge& waiting_;
  prometheus::Gauge& overdue_;
  prometheus::Gauge& oldest_;
  prometheus::Gauge& unswept_;
  prometheus::Gauge& attention_;
  prometheus::Gauge& not_driven_here_;
  prometheus::Counter& recovered_;
  prometheus::Counter& fenced_;
  prometheus::Counter& lost_claims_;
  prometheus::Counter& unreadable_;
  prometheus::Counter& repeated_;
  std::array<prometheus::Counter*, 5> refused_;
  std::array<prometheus::Counter*, saga::kSignalResults> signals_;  // by saga::SignalResult
  prometheus::Histogram& candidates_;
  prometheus::Histogram& batch_items_;
  prometheus::Histogram& commit_seconds_;
};

}  // namespace waybill::order

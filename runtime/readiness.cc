#include "runtime/readiness.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace waybill {

Readiness::Readiness(const Clock& clock, absl::Duration cache_for) : clock_(clock), cache_for_(cache_for) {}

Readiness::~Readiness() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& check : checks_) check->thread.join();
}

void Readiness::Add(std::string name, absl::Duration budget, std::function<absl::Status()> check) {
  auto added = std::make_unique<Check>();
  added->name = std::move(name);
  added->budget = budget;
  added->run = std::move(check);
  Check& running = *added;
  {
    std::lock_guard lock(mutex_);
    checks_.push_back(std::move(added));
  }
  running.thread = std::thread([this, &running] { Run(running); });
}

void Readiness::SetDraining() {
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
  }
  changed_.notify_all();
}

void Readiness::Run(Check& check) {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || check.wanted; });
    if (stopping_) return;
    lock.unlock();
    absl::Status result = check.run();
    lock.lock();
    check.result = std::move(result);
    check.fresh_until = clock_.Steady() + cache_for_;
    check.wanted = false;
    changed_.notify_all();
  }
}

Readiness::Report Readiness::Get() {
  Report report;
  std::unique_lock lock(mutex_);
  if (!draining_) {
    for (auto& check : checks_) {
      if (check->wanted || clock_.Steady() < check->fresh_until) continue;
      check->wanted = true;
      check->deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(check->budget);
    }
    changed_.notify_all();
  }
  for (auto& check : checks_) {
    // A run that began before this probe has used part of its budget already: a check that hangs is answered at once.
    bool done = changed_.wait_until(lock, check->deadline, [&] { return draining_ || stopping_ || !check->wanted; });
    if (draining_ || stopping_) break;
    std::string late = fmt::format("timed out after {}", absl::FormatDuration(check->budget));
    report.checks.push_back({check->name, done ? check->result : absl::DeadlineExceededError(late)});
  }
  if (draining_ || stopping_) {
    report.checks.clear();
    report.draining = true;
    return report;
  }
  report.ready = std::all_of(report.checks.begin(), report.checks.end(),
                             [](const CheckResult& result) { return result.status.ok(); });
  return report;
}

void AddReadinessMetrics(Metrics& metrics, Readiness& readiness) {
  metrics.AddCallbackGauge("waybill_ready", "1 when this process should get traffic.",
                           [&readiness] { return readiness.Get().ready ? 1 : 0; });
  metrics.AddCallbackGauges("waybill_ready_check", "1 when what is checked answers.", [&readiness] {
    std::vector<Metrics::Sample> samples;
    for (const auto& check : readiness.Get().checks) {
      samples.push_back({{{"check", check.name}}, check.status.ok() ? 1.0 : 0.0});
    }
    return samples;
  });
}

}  // namespace waybill

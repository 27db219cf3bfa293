#include "runtime/readiness.h"

#include <utility>

#include "fmt/format.h"

namespace waybill {

Readiness::Readiness(const Clock& clock, absl::Duration every) : clock_(clock), every_(every) {}

void Readiness::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  for (auto& check : checks_) {
    if (check->thread.joinable()) check->thread.join();
  }
}

void Readiness::Add(std::string name, Severity severity, absl::Duration budget, std::function<absl::Status()> check) {
  auto added = std::make_unique<Check>();
  added->result = {std::move(name), severity, absl::UnavailableError("not checked yet")};
  added->budget = budget;
  added->run = std::move(check);
  added->running_since = clock_.Steady();
  std::lock_guard lock(mutex_);
  Check& running = *checks_.emplace_back(std::move(added));
  running.thread = std::thread([this, &running] { Run(running); });
}

void Readiness::AwaitServing() {
  std::lock_guard lock(mutex_);
  serving_ = false;
}

void Readiness::SetServing() {
  std::lock_guard lock(mutex_);
  serving_ = true;
}

void Readiness::SetDraining() {
  std::lock_guard lock(mutex_);
  draining_ = true;
}

void Readiness::Run(Check& check) {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    check.running_since = clock_.Steady();
    lock.unlock();
    absl::Status status = check.run();
    lock.lock();
    check.result.status = std::move(status);
    check.running_since.reset();
    stopped_.wait_for(lock, absl::ToChronoNanoseconds(every_), [this] { return stopping_; });
  }
}

Readiness::Report Readiness::Get() const {
  Report report;
  const SteadyTime now = clock_.Steady();
  std::lock_guard lock(mutex_);
  if (draining_) {
    report.draining = true;
    return report;
  }
  report.ready = serving_.value_or(true);
  for (const auto& check : checks_) {
    CheckResult result = check->result;
    if (check->running_since.has_value() && now - *check->running_since >= check->budget) {
      result.status =
          absl::DeadlineExceededError(fmt::format("timed out after {}", absl::FormatDuration(check->budget)));
    }
    if (!result.status.ok() && result.severity == Severity::kRequired) report.ready = false;
    if (!result.status.ok() && result.severity == Severity::kDegraded) report.degraded = true;
    report.checks.push_back(std::move(result));
  }
  if (serving_) {
    report.checks.push_back(
        {"serving", Severity::kRequired, *serving_ ? absl::OkStatus() : absl::UnavailableError("it is starting")});
  }
  return report;
}

void AddReadinessMetrics(Metrics& metrics, const Readiness& readiness) {
  metrics.AddCallbackGauge("waybill_ready", "1 when this process should get traffic.",
                           [&readiness] { return readiness.Get().ready ? 1 : 0; });
  metrics.AddCallbackGauge("waybill_degraded", "1 when a part of what this process offers is down.",
                           [&readiness] { return readiness.Get().degraded ? 1 : 0; });
  metrics.AddCallbackGauges("waybill_ready_check", "1 when what is checked answers.", [&readiness] {
    std::vector<Metrics::Sample> samples;
    for (const auto& check : readiness.Get().checks) {
      samples.push_back({{{"check", check.name}}, check.status.ok() ? 1.0 : 0.0});
    }
    return samples;
  });
}

}  // namespace waybill

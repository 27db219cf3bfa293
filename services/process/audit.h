// What a process says of itself in the audit: that it has started, and which of its settings were changed. Those deeds
// are done whether or not the store answers, so they are kept until it does.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "domain/deed.h"
#include "runtime/build.h"
#include "runtime/chores.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "services/process/settings.h"
#include "storage/audit_log.h"

namespace waybill::process {

class ProcessAudit {
 public:
  // `service` is its name, "waybill-order", and the client of what is written.
  ProcessAudit(std::string service, const Build& build, const std::vector<Setting>& in_force);

  // Which process it is among those of its service. Before WriteChore.
  void SetInstance(std::string instance);
  // A setting was changed while running. Thread-safe. While kPendingMax wait, further ones are lost, with their count
  // in the next.
  void Changed(const Setting& before, const Setting& after);

  // Writes what waits, the oldest first. `audit` and this outlive it.
  Chore WriteChore(storage::AuditLog& audit);
  // One more time, once that chore has ended. What the store does not take even then is in the log.
  void WriteLast(storage::AuditLog& audit, const Logger& log);
  size_t pending() const { return pending_count_; }

  static constexpr size_t kPendingMax = 1'000;

 private:
  absl::Status Write(storage::AuditLog& audit);

  const domain::Actor by_;
  const std::string host_;
  mutable std::mutex mutex_;
  std::string instance_;
  std::deque<domain::Deed> pending_;
  size_t lost_ = 0;
  std::atomic<size_t> pending_count_{0};
};

void AddMetrics(Metrics& metrics, const ProcessAudit& audit);

}  // namespace waybill::process

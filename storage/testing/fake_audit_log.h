// The audit in memory. Also what the other fakes keep the deeds in that they were told to do.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "storage/audit_log.h"

namespace waybill::storage::testing {

class FakeAuditLog final : public AuditLog {
 public:
  // Every call answers this until it is OK again.
  void set_error(absl::Status error);
  std::vector<domain::Deed> deeds() const;
  // "saga.resolve", the oldest first.
  std::vector<std::string> actions() const;

  absl::Status Append(const domain::Deed& deed) override;
  absl::StatusOr<std::vector<AuditEntry>> List(const AuditQuery& query) override;
  absl::StatusOr<AuditHead> Head() override;

 private:
  mutable std::mutex mutex_;
  absl::Status error_;
  std::vector<domain::Deed> deeds_;
  std::vector<AuditEntry> entries_;
};

}  // namespace waybill::storage::testing

// Keys in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "storage/key_store.h"
#include "storage/testing/fake_audit_log.h"

namespace waybill::storage::testing {

class FakeKeyStore final : public KeyStore {
 public:
  FakeAuditLog audit;

  // Every call answers this until it is OK again.
  void set_error(absl::Status error);

  // As somebody's hand does, or (not `counted`) a failover that lost as many changes as have been made since.
  void Change(const AccessKey& key, bool counted);

  // Called by WriteUses before it does anything; set before there are threads.
  std::function<void()> before_write_uses = [] {};

  absl::StatusOr<int64_t> Version() override;
  absl::StatusOr<std::vector<AccessKey>> Recent(absl::Time now, absl::Duration over_for) override;
  absl::Status Add(const AccessKey& key, const domain::Deed& deed) override;
  absl::StatusOr<std::vector<AccessKey>> List(const std::string& after, int limit) override;
  absl::StatusOr<AccessKey> Get(const std::string& id) override;
  absl::StatusOr<AccessKey> Rotate(const std::string& id, const AccessKey& fresh, absl::Time now,
                                   absl::Time old_expires_at, const domain::Deed& deed) override;
  absl::StatusOr<AccessKey> Revoke(const std::string& id, absl::Time now, const domain::Deed& deed) override;
  absl::Status WriteUses(const std::vector<std::pair<std::string, absl::Time>>& uses) override;

 private:
  std::mutex mutex_;  // over all below
  absl::Status error_;
  int64_t version_ = 1;
  std::map<std::string, AccessKey> keys_;
};

}  // namespace waybill::storage::testing

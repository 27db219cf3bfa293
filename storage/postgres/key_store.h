// Keys in Postgres: access_keys, access_key_uses and access_version.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "storage/key_store.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

class PostgresKeyStore final : public KeyStore {
 public:
  explicit PostgresKeyStore(Pool& pool) : pool_(pool) {}

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
  absl::StatusOr<Rows> Execute(const std::string& sql, absl::Span<const Param> params);
  absl::StatusOr<AccessKey> ExecuteForOne(const std::string& id, const std::string& sql,
                                          absl::Span<const Param> params);

  Pool& pool_;
};

}  // namespace waybill::storage

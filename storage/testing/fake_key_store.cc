#include "storage/testing/fake_key_store.h"

#include <algorithm>

#include "absl/status/status.h"

namespace waybill::storage::testing {
namespace {

absl::Time OverAt(const AccessKey& key) { return std::min(key.expires_at, key.revoked_at); }

}  // namespace

void FakeKeyStore::set_error(absl::Status error) {
  std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

void FakeKeyStore::Change(const AccessKey& key, bool counted) {
  std::lock_guard lock(mutex_);
  keys_[key.id] = key;
  if (counted) ++version_;
}

absl::StatusOr<int64_t> FakeKeyStore::Version() {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  return version_;
}

absl::StatusOr<std::vector<AccessKey>> FakeKeyStore::Recent(absl::Time now, absl::Duration over_for) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<AccessKey> recent;
  for (const auto& [id, key] : keys_) {
    if (OverAt(key) > now - over_for) recent.push_back(key);
  }
  return recent;
}

absl::Status FakeKeyStore::Add(const AccessKey& key, const domain::Deed& deed) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const bool in_use = std::any_of(keys_.begin(), keys_.end(), [&](const auto& other) {
    return !key.certificate.empty() && other.second.certificate == key.certificate &&
           other.second.revoked_at == absl::InfiniteFuture();
  });
  if (in_use) return CertificateInUse(key.certificate);
  AccessKey& added = keys_[key.id] = key;
  added.used_at.reset();
  ++version_;
  return audit.Append(deed);
}

absl::StatusOr<std::vector<AccessKey>> FakeKeyStore::List(const std::string& after, int limit) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<AccessKey> found;
  for (auto it = keys_.upper_bound(after); it != keys_.end() && found.size() < static_cast<size_t>(limit); ++it) {
    found.push_back(it->second);
  }
  return found;
}

absl::StatusOr<AccessKey> FakeKeyStore::Get(const std::string& id) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const auto it = keys_.find(id);
  if (it == keys_.end()) return KeyNotFound(id);
  return it->second;
}

absl::StatusOr<AccessKey> FakeKeyStore::Rotate(const std::string& id, const AccessKey& fresh, absl::Time now,
                                               absl::Time old_expires_at, const domain::Deed& deed) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const auto it = keys_.find(id);
  if (it == keys_.end() || it->second.secret_hash.empty() || OverAt(it->second) <= now) return KeyNotFound(id);
  AccessKey& old = it->second;
  AccessKey rotated = fresh;
  rotated.name = old.name;
  rotated.client = old.client;
  rotated.scopes = old.scopes;
  rotated.drivers = old.drivers;
  rotated.used_at.reset();
  old.expires_at = std::min(old.expires_at, old_expires_at);
  if (old_expires_at <= now) old.revoked_at = now;
  keys_[rotated.id] = rotated;
  ++version_;
  if (absl::Status audited = audit.Append(deed); !audited.ok()) return audited;
  return rotated;
}

absl::StatusOr<AccessKey> FakeKeyStore::Revoke(const std::string& id, absl::Time now, const domain::Deed& deed) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const auto it = keys_.find(id);
  if (it == keys_.end()) return KeyNotFound(id);
  if (it->second.revoked_at > now) {
    if (absl::Status audited = audit.Append(deed); !audited.ok()) return audited;
    it->second.revoked_at = now;
  }
  ++version_;
  return it->second;
}

absl::Status FakeKeyStore::WriteUses(const std::vector<std::pair<std::string, absl::Time>>& uses) {
  before_write_uses();
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  for (const auto& [id, time] : uses) {
    const auto it = keys_.find(id);
    if (it != keys_.end()) it->second.used_at = std::max(it->second.used_at.value_or(time), time);
  }
  return absl::OkStatus();
}

}  // namespace waybill::storage::testing

#include "edge/access/key_ring.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "domain/reasons.h"

namespace waybill::access {
namespace {

using domain::ReasonError;

absl::Status Unknown() { return ReasonError("KEY_UNKNOWN", "there is no such key"); }

absl::Time OverAt(const storage::AccessKey& key) { return std::min(key.expires_at, key.revoked_at); }

std::string_view View(const KeyHash::Digest& digest) { return {digest.data(), digest.size()}; }

bool SameKey(storage::AccessKey a, const storage::AccessKey& b) {
  a.used_at = b.used_at;
  return a == b;
}

}  // namespace

void KeyRing::SetAdmin(const std::optional<std::string>& secret) {
  std::shared_ptr<const Admin> next;
  if (secret) {
    next = std::make_shared<Admin>(
        Admin{hash_.Of(*secret),
              std::make_shared<Caller>(Caller{kAdmin, domain::Scopes::All(), domain::DriverPatterns::All(), kAdmin})});
  }
  {
    std::lock_guard lock(mutex_);
    const bool same = (next == nullptr) == (admin_ == nullptr) && (next == nullptr || next->digest == admin_->digest);
    if (same) return;
    admin_ = std::move(next);
  }
  Changed();
}

std::shared_ptr<const KeyRing::Keys> KeyRing::keys() const {
  std::lock_guard lock(mutex_);
  return keys_;
}

std::shared_ptr<const KeyRing::Admin> KeyRing::admin() const {
  std::lock_guard lock(mutex_);
  return admin_;
}

absl::Time KeyRing::NextLapse() const {
  const std::shared_ptr<const Keys> current = keys();
  const absl::Time now = clock_.Now();
  absl::flat_hash_map<std::pair<std::string_view, std::string_view>, absl::Time> last;  // of each client and name
  for (const auto& [id, entry] : current->by_id) {
    const absl::Time over = OverAt(entry.key);
    if (over <= now) continue;
    absl::Time& latest = last.try_emplace({entry.key.client, entry.key.name}, over).first->second;
    latest = std::max(latest, over);
  }
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [name, over] : last) next = std::min(next, over);
  return next;
}

bool KeyRing::Stale() const {
  std::lock_guard lock(mutex_);
  return clock_.Steady() - fresh_at_ > kTrust;
}

absl::Status KeyRing::CheckFresh() const {
  if (!Stale()) return absl::OkStatus();
  return ReasonError("STORE_UNAVAILABLE", "the keys could not be read for a minute, so no key is trusted",
                     {.retry_after = absl::Seconds(1)});
}

// What has not changed is kept: a call compares callers by what they are.
std::shared_ptr<const KeyRing::Keys> KeyRing::Read(int64_t version, std::vector<storage::AccessKey> found) const {
  const std::shared_ptr<const Keys> before = keys();
  auto read = std::make_shared<Keys>();
  read->version = version;
  read->next_over = absl::InfiniteFuture();
  const absl::Time now = clock_.Now();
  for (storage::AccessKey& key : found) {
    const auto known = before->by_id.find(key.id);
    Entry entry;
    if (known != before->by_id.end()) {
      entry.use = known->second.use;
      if (SameKey(known->second.key, key)) entry.caller = known->second.caller;
    }
    if (entry.use == nullptr) entry.use = std::make_shared<LastUse>();
    if (entry.caller == nullptr) {
      entry.caller =
          std::make_shared<Caller>(Caller{key.client, key.scopes, domain::DriverPatterns(key.drivers), key.id});
    }
    if (OverAt(key) > now) read->next_over = std::min(read->next_over, OverAt(key));
    // Of several keys with one name all but one are revoked.
    if (!key.certificate.empty()) {
      std::string& id = read->by_certificate[key.certificate];
      if (id.empty() || key.revoked_at == absl::InfiniteFuture()) id = key.id;
    }
    std::string id = key.id;
    entry.key = std::move(key);
    read->by_id.emplace(std::move(id), std::move(entry));
  }
  return read;
}

absl::Status KeyRing::Refresh() {
  std::lock_guard turn(refreshing_);
  const SteadyTime asked_at = clock_.Steady();  // before: what is answered is at least as new
  const std::shared_ptr<const Keys> before = keys();
  std::shared_ptr<const Keys> read;
  absl::StatusOr<int64_t> version = store_.Version();
  absl::Status failed = version.status();
  // And now and then without a reason: a failover that lost changes may count up to the same number again.
  if (version.ok() && (*version != before->version || asked_at - read_at_ > kReread)) {
    absl::StatusOr<std::vector<storage::AccessKey>> found = store_.Recent(clock_.Now(), kRemembered);
    failed = found.status();
    if (found.ok()) {
      read = Read(*version, *std::move(found));
      read_at_ = asked_at;
    }
  }
  bool changed = read != nullptr;
  {
    std::lock_guard lock(mutex_);
    if (read != nullptr) keys_ = read;
    if (failed.ok()) fresh_at_ = asked_at;
  }
  // Keys expire, and cease to be trusted, without anybody doing something about it.
  const absl::Time now = clock_.Now();
  const std::shared_ptr<const Keys> current = keys();
  for (auto entry = current->by_id.begin(); !changed && now >= current->next_over && entry != current->by_id.end();
       ++entry) {
    const absl::Time over = OverAt(entry->second.key);
    changed = over > looked_at_ && over <= now;
  }
  looked_at_ = now;
  const bool stale = Stale();
  changed = changed || (stale && !told_stale_);
  told_stale_ = stale;
  if (changed) Changed();
  return failed;
}

absl::Status KeyRing::WriteUses() {
  std::lock_guard turn(writing_);
  const std::shared_ptr<const Keys> current = keys();
  std::vector<std::pair<std::string, absl::Time>> uses;
  std::vector<std::pair<LastUse*, int64_t>> written;
  for (const auto& [id, entry] : current->by_id) {
    const int64_t at = entry.use->at_us.load(std::memory_order_relaxed);
    if (at <= entry.use->written_us) continue;
    uses.emplace_back(id, absl::FromUnixMicros(at));
    written.emplace_back(entry.use.get(), at);
  }
  if (uses.empty()) return absl::OkStatus();
  if (absl::Status status = store_.WriteUses(uses); !status.ok()) return status;
  for (const auto& [use, at] : written) use->written_us = at;
  return absl::OkStatus();
}

absl::Status KeyRing::CheckEntry(const Entry& entry) const {
  const absl::Time now = clock_.Now();
  // Whatever this host's clock says: the time is that of the process that revoked it.
  if (entry.key.revoked_at != absl::InfiniteFuture()) return ReasonError("KEY_REVOKED", "the key was revoked");
  if (entry.key.expires_at <= now) return ReasonError("KEY_EXPIRED", "the key has expired");
  return absl::OkStatus();
}

absl::StatusOr<CallerPtr> KeyRing::Use(const Entry& entry) const {
  if (absl::Status over = CheckEntry(entry); !over.ok()) return over;
  entry.use->at_us.store(absl::ToUnixMicros(clock_.Now()), std::memory_order_relaxed);
  return entry.caller;
}

absl::StatusOr<CallerPtr> KeyRing::FindSecret(std::string_view authorization) const {
  const std::optional<Secret> secret = ParseAuthorization(authorization);
  if (!secret) return ReasonError("NO_IDENTITY", "the authorization header is not \"Bearer wb_...\", once");
  const KeyHash::Digest digest = hash_.Of(secret->text);
  if (const auto root = admin(); root != nullptr && SameBytes(View(root->digest), View(digest))) return root->caller;
  if (absl::Status fresh = CheckFresh(); !fresh.ok()) return fresh;
  const std::shared_ptr<const Keys> current = keys();
  const auto found = current->by_id.find(absl::string_view(secret->id.data(), secret->id.size()));
  if (found == current->by_id.end() || !SameBytes(found->second.key.secret_hash, View(digest))) return Unknown();
  return Use(found->second);
}

absl::StatusOr<CallerPtr> KeyRing::FindCertificate(std::span<const std::string> names) const {
  if (absl::Status fresh = CheckFresh(); !fresh.ok()) return fresh;
  const std::shared_ptr<const Keys> current = keys();
  for (const std::string& name : names) {
    const auto id = current->by_certificate.find(name);
    if (id != current->by_certificate.end()) return Use(current->by_id.at(id->second));
  }
  return ReasonError("KEY_UNKNOWN", "no name in the client's certificate is a key");
}

absl::Status KeyRing::Check(const Caller& caller) const {
  if (caller.key_id == kAdmin) {
    const auto root = admin();
    return root != nullptr && root->caller.get() == &caller ? absl::OkStatus() : Unknown();
  }
  if (absl::Status fresh = CheckFresh(); !fresh.ok()) return fresh;
  const std::shared_ptr<const Keys> current = keys();
  const auto found = current->by_id.find(caller.key_id);
  if (found == current->by_id.end()) return Unknown();
  if (absl::Status over = CheckEntry(found->second); !over.ok()) return over;
  if (found->second.caller.get() != &caller) {
    return ReasonError("KEY_UNKNOWN", "the key has been changed; a new call goes by what it may do now");
  }
  return absl::OkStatus();
}

}  // namespace waybill::access

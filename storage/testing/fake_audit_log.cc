#include "storage/testing/fake_audit_log.h"

#include <algorithm>

namespace waybill::storage::testing {

void FakeAuditLog::set_error(absl::Status error) {
  std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

std::vector<domain::Deed> FakeAuditLog::deeds() const {
  std::lock_guard lock(mutex_);
  return deeds_;
}

std::vector<std::string> FakeAuditLog::actions() const {
  std::vector<std::string> actions;
  for (const domain::Deed& deed : deeds()) actions.push_back(deed.action);
  return actions;
}

absl::Status FakeAuditLog::Append(const domain::Deed& deed) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  AuditEntry entry;
  entry.sequence = static_cast<int64_t>(entries_.size()) + 1;
  entry.at = absl::FromUnixSeconds(1'800'000'000 + entry.sequence);
  entry.by = deed.by;
  entry.action = deed.action;
  entry.subject_kind = deed.subject_kind;
  entry.subject = deed.subject;
  entry.detail = "{}";
  entry.previous_hash = entries_.empty() ? AuditHead().hash : entries_.back().hash;
  entry.hash = AuditHash(entry);
  entries_.push_back(std::move(entry));
  deeds_.push_back(deed);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<AuditEntry>> FakeAuditLog::List(const AuditQuery& query) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<AuditEntry> found;
  const auto take = [&](const AuditEntry& entry) {
    const auto fits = [](const std::string& wanted, const std::string& is) { return wanted.empty() || wanted == is; };
    const bool action =
        fits(query.action, entry.action) || (query.action.ends_with('.') && entry.action.starts_with(query.action));
    if (!fits(query.client, entry.by.client) || !action || !fits(query.subject_kind, entry.subject_kind) ||
        !fits(query.subject, entry.subject) || entry.at < query.from || entry.at >= query.to) {
      return;
    }
    if (query.beyond && (query.oldest_first ? entry.sequence <= *query.beyond : entry.sequence >= *query.beyond))
      return;
    if (found.size() < static_cast<size_t>(query.limit)) found.push_back(entry);
  };
  if (query.oldest_first) {
    std::for_each(entries_.begin(), entries_.end(), take);
  } else {
    std::for_each(entries_.rbegin(), entries_.rend(), take);
  }
  return found;
}

absl::StatusOr<AuditHead> FakeAuditLog::Head() {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  if (entries_.empty()) return AuditHead();
  return AuditHead{entries_.back().sequence, entries_.back().hash};
}

}  // namespace waybill::storage::testing

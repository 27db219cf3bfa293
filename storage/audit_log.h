// The audit: who did what, in entries that are only ever added, each with the hash of the one before (ADR 0041).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"

namespace waybill::storage {

struct AuditEntry {
  int64_t sequence = 0;  // from 1, without gaps
  absl::Time at;         // by the store's clock; to the microsecond
  domain::Actor by;
  std::string action;
  std::string subject_kind;
  std::string subject;
  std::string detail;         // a JSON object of texts, as it was hashed
  std::string previous_hash;  // 32 bytes
  std::string hash;           // 32 bytes

  bool operator==(const AuditEntry&) const = default;
};

// An entry by its place and its hash, which vouches for all that came before it.
struct AuditHead {
  int64_t sequence = 0;
  std::string hash = std::string(32, '\0');  // of no entry: what the first one follows

  bool operator==(const AuditHead&) const = default;
};

// "17:9f86d0…", for people to keep elsewhere.
std::string ShowHead(const AuditHead& head);
// INVALID_ARGUMENT.
absl::StatusOr<AuditHead> ParseHead(std::string_view text);

// What the entry's hash has to be: SHA-256 over its fields, each behind its length.
std::string AuditHash(const AuditEntry& entry);

// Goes along the chain, entry by entry.
class AuditChain {
 public:
  explicit AuditChain(AuditHead from = {}) : head_(std::move(from)) {}

  // What is wrong with the chain at `next`, the one behind the last; "" where nothing is, and then the chain goes on
  // from it.
  std::string Add(const AuditEntry& next);
  const AuditHead& head() const { return head_; }

 private:
  AuditHead head_;
};

// Filters are conjunctive; an empty one does not filter.
struct AuditQuery {
  std::string client;
  std::string action;  // "key.revoke", or "key." for all that begin so
  std::string subject_kind;
  std::string subject;
  absl::Time from = absl::InfinitePast();
  absl::Time to = absl::InfiniteFuture();
  bool oldest_first = false;
  std::optional<int64_t> beyond;  // page: only entries behind this one, in the order of the list
  int limit = 50;
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer.
class AuditLog {
 public:
  virtual ~AuditLog() = default;

  // For deeds that no other statement of the store does. Durable when it answers.
  virtual absl::Status Append(const domain::Deed& deed) = 0;
  // Newest first, or `oldest_first`.
  virtual absl::StatusOr<std::vector<AuditEntry>> List(const AuditQuery& query) = 0;
  // As the store has it written down, beside the entries.
  virtual absl::StatusOr<AuditHead> Head() = 0;
};

}  // namespace waybill::storage

#include "storage/audit_log.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/escaping.h"
#include "fmt/format.h"
#include "runtime/sha256.h"

namespace waybill::storage {
namespace {

constexpr size_t kHashSize = 32;

void AppendNumber(std::string& out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
}

void AppendField(std::string& out, std::string_view field) {
  AppendNumber(out, field.size(), 4);
  out += field;
}

void AppendNumberField(std::string& out, int64_t value) {
  std::string bytes;
  AppendNumber(bytes, static_cast<uint64_t>(value), 8);
  AppendField(out, bytes);
}

}  // namespace

std::string ShowHead(const AuditHead& head) {
  return fmt::format("{}:{}", head.sequence, absl::BytesToHexString(head.hash));
}

absl::StatusOr<AuditHead> ParseHead(std::string_view text) {
  AuditHead head;
  const size_t colon = std::min(text.find(':'), text.size());
  const auto number = std::from_chars(text.data(), text.data() + colon, head.sequence);
  const std::string_view hex = text.substr(std::min(colon + 1, text.size()));
  const bool is_hex =
      hex.size() == 2 * kHashSize && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
  if (number.ec != std::errc() || number.ptr != text.data() + colon || head.sequence < 0 || !is_hex) {
    return absl::InvalidArgumentError(fmt::format(
        "\"{}\" is no head of the audit: a number, a colon and 64 hexadecimal digits, as audit verify prints it",
        text));
  }
  head.hash = absl::HexStringToBytes({hex.data(), hex.size()});
  return head;
}

// migrations/0016_audit.sql says the same.
std::string AuditHash(const AuditEntry& entry) {
  std::string hashed;
  AppendField(hashed, "waybill.audit.1");
  AppendNumberField(hashed, entry.sequence);
  AppendNumberField(hashed, absl::ToUnixMicros(entry.at));
  for (const std::string* field : {&entry.by.client, &entry.by.key_id, &entry.by.operator_name, &entry.action,
                                   &entry.subject_kind, &entry.subject, &entry.detail, &entry.previous_hash}) {
    AppendField(hashed, *field);
  }
  return Sha256(hashed);
}

std::string AuditChain::Add(const AuditEntry& next) {
  const int64_t due = head_.sequence + 1;
  if (next.sequence > due) {
    const std::string which = next.sequence == due + 1 ? fmt::format("entry {} is", due)
                                                       : fmt::format("entries {} to {} are", due, next.sequence - 1);
    return fmt::format("{} missing", which);
  }
  if (next.sequence < due) return fmt::format("entry {} is there twice", next.sequence);
  if (next.previous_hash != head_.hash) {
    return fmt::format("entry {} does not follow the one before it: one of the two was changed", next.sequence);
  }
  if (AuditHash(next) != next.hash) return fmt::format("entry {} was changed: its hash is another", next.sequence);
  head_ = {next.sequence, next.hash};
  return "";
}

}  // namespace waybill::storage

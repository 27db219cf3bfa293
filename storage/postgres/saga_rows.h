// What every kind of saga has in its tables: the header's columns and the log's. Rows are read with care: a newer
// version beside this one may have written them, or a hand.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/ids.h"
#include "saga/record.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

// UNREADABLE_ROW: `id`'s row holds in `column` what this version does not know.
absl::Status UnreadableRow(const Uuid& id, std::string_view column, std::string_view why);

// Reads one row, whose column 0 is the key. A field that is not of the expected kind reads as 0, false or "", and the
// first such field is remembered. NULL is no error: ask IsNull where it matters.
class RowReader {
 public:
  RowReader(const Rows& rows, int row);

  const Uuid& id() const { return id_; }
  bool IsNull(int column) const { return rows_.IsNull(row_, column); }
  int64_t Int(int column, std::string_view name);
  // UNREADABLE when it is below `least`.
  int64_t IntFrom(int64_t least, int column, std::string_view name);
  bool Bool(int column, std::string_view name);
  double Double(int column, std::string_view name);
  absl::Time Time(int column, std::string_view name);  // finite
  std::string_view Json(int column, std::string_view name);
  std::string Text(int column) { return std::string(rows_.Text(row_, column)); }
  std::string Bytes(int column) { return std::string(rows_.Bytes(row_, column)); }
  saga::State State(int column);
  saga::LogOutcome Outcome(int column);

  void Refuse(std::string_view column, std::string_view why);
  const absl::Status& status() const { return status_; }

 private:
  // Whether the field is as many bytes as one of these, or NULL.
  bool HasWidth(int column, std::string_view name, std::initializer_list<size_t> widths);

  const Rows& rows_;
  const int row_;
  Uuid id_;
  absl::Status status_;
};

// Of the header table as `s`, without its key.
inline constexpr std::string_view kHeaderColumns =
    "s.state::text, s.step, s.attempt, s.seq, s.epoch, s.needs_attention, s.failure_reason, s.failure_detail, "
    "s.traceparent, s.created_at, s.updated_at, s.waits_for, s.wakes_at, s.wakes_at <= now(), s.version, s.branches";
inline constexpr int kHeaderColumnCount = 16;
inline constexpr int kNeedsAttentionColumn = 6;  // counting the key
// Fills in all but the kind, from the key in column 0 and kHeaderColumns after it.
void DecodeHeader(RowReader& row, saga::Header& header);

// The header's branches as JSON; "" when there are none.
std::string EncodeBranches(const std::vector<saga::Branch>& branches);
// Says what is wrong with them; "": nothing is.
std::string DecodeBranches(std::string_view text, std::vector<saga::Branch>& branches);

// From the saga's key, the outcome, its reason and detail, the signal's number, and what it answers. UNREADABLE_ROW.
absl::StatusOr<saga::KeptSignal> DecodeSignal(const Rows& rows, int at);

// Of the log table, after its key.
inline constexpr std::string_view kLogColumns = "seq, step, attempt, outcome, state::text, detail, at";
absl::StatusOr<std::vector<saga::LogEntry>> DecodeLog(const Rows& rows);

}  // namespace waybill::storage

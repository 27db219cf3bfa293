// What every kind of saga has in its tables: the header's columns and the log's.
#pragma once

#include <string_view>
#include <vector>

#include "saga/record.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

// Of the header table as `s`, without its key.
inline constexpr std::string_view kHeaderColumns =
    "s.state::text, s.step, s.attempt, s.seq, s.epoch, s.needs_attention, s.failure_reason, s.failure_detail, "
    "s.traceparent, s.created_at, s.updated_at";
inline constexpr int kHeaderColumnCount = 11;
// The key in column 0 and kHeaderColumns after it.
saga::Header DecodeHeader(const Rows& rows, int row);

// Of the log table.
inline constexpr std::string_view kLogColumns = "seq, step, attempt, outcome, state::text, detail, at";
std::vector<saga::LogEntry> DecodeLog(const Rows& rows);

}  // namespace waybill::storage

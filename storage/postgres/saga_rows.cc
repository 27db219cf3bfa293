#include "storage/postgres/saga_rows.h"

#include <cstdlib>

namespace waybill::storage {
namespace {

saga::State ParseState(std::string_view name) {
  for (saga::State state : saga::kStates) {
    if (saga::Name(state) == name) return state;
  }
  std::abort();  // the enum type in Postgres and ours have parted
}

saga::LogOutcome ParseOutcome(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(saga::LogOutcome::kResolved); ++i) {
    auto outcome = static_cast<saga::LogOutcome>(i);
    if (saga::Name(outcome) == name) return outcome;
  }
  std::abort();  // the CHECK on the log's outcomes and our list have parted
}

}  // namespace

saga::Header DecodeHeader(const Rows& rows, int row) {
  saga::Header header;
  header.id = rows.Id(row, 0);
  header.state = ParseState(rows.Text(row, 1));
  header.step = static_cast<int>(rows.Int(row, 2));
  header.attempt = static_cast<int>(rows.Int(row, 3));
  header.seq = rows.Int(row, 4);
  header.epoch = rows.Int(row, 5);
  header.needs_attention = rows.Bool(row, 6);
  header.failure.reason = std::string(rows.Text(row, 7));
  header.failure.detail = std::string(rows.Text(row, 8));
  header.traceparent = std::string(rows.Text(row, 9));
  header.created_at = rows.Time(row, 10);
  header.updated_at = rows.Time(row, 11);
  return header;
}

std::vector<saga::LogEntry> DecodeLog(const Rows& rows) {
  std::vector<saga::LogEntry> log;
  for (int row = 0; row < rows.size(); ++row) {
    saga::LogEntry entry;
    entry.seq = rows.Int(row, 0);
    entry.step = std::string(rows.Text(row, 1));
    entry.attempt = static_cast<int>(rows.Int(row, 2));
    entry.outcome = ParseOutcome(rows.Text(row, 3));
    entry.state = ParseState(rows.Text(row, 4));
    entry.detail = std::string(rows.Text(row, 5));
    entry.at = rows.Time(row, 6);
    log.push_back(std::move(entry));
  }
  return log;
}

}  // namespace waybill::storage

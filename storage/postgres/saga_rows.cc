#include "storage/postgres/saga_rows.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace waybill::storage {

absl::Status UnreadableRow(const Uuid& id, std::string_view column, std::string_view why) {
  ErrorDetail detail;
  detail.metadata = {{"id", id.ToString()}, {"column", std::string(column)}};
  return domain::ReasonError("UNREADABLE_ROW",
                             fmt::format("this version cannot read {}: {} {}", id.ToString(), column, why),
                             std::move(detail));
}

RowReader::RowReader(const Rows& rows, int row) : rows_(rows), row_(row) {
  if (HasWidth(0, "the key", {id_.bytes.size()})) id_ = rows_.Id(row_, 0);
}

void RowReader::Refuse(std::string_view column, std::string_view why) {
  if (status_.ok()) status_ = UnreadableRow(id_, column, why);
}

bool RowReader::HasWidth(int column, std::string_view name, std::initializer_list<size_t> widths) {
  const size_t width = rows_.Bytes(row_, column).size();
  if (width == 0 || std::find(widths.begin(), widths.end(), width) != widths.end()) return true;
  Refuse(name, "has another type");
  return false;
}

int64_t RowReader::Int(int column, std::string_view name) {
  return HasWidth(column, name, {2, 4, 8}) ? rows_.Int(row_, column) : 0;
}

int64_t RowReader::IntFrom(int64_t least, int column, std::string_view name) {
  const int64_t value = Int(column, name);
  if (value < least) Refuse(name, fmt::format("is {}", value));
  return value;
}

bool RowReader::Bool(int column, std::string_view name) {
  return HasWidth(column, name, {1}) && rows_.Bool(row_, column);
}

double RowReader::Double(int column, std::string_view name) {
  return HasWidth(column, name, {4, 8}) ? rows_.Double(row_, column) : 0;
}

absl::Time RowReader::Time(int column, std::string_view name) {
  if (!HasWidth(column, name, {8})) return absl::UnixEpoch();
  const absl::Time time = rows_.Time(row_, column);
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) Refuse(name, "is infinite");
  return time;
}

std::string_view RowReader::Json(int column, std::string_view name) {
  const std::string_view field = rows_.Bytes(row_, column);
  if (field.empty() || field[0] == 1) return rows_.Json(row_, column);  // the binary format's version
  Refuse(name, "has another type");
  return "";
}

saga::State RowReader::State(int column) {
  const std::string_view name = rows_.Text(row_, column);
  for (saga::State state : saga::kStates) {
    if (saga::Name(state) == name) return state;
  }
  Refuse("state", fmt::format("is '{}'", name));
  return saga::State::kRunning;
}

saga::LogOutcome RowReader::Outcome(int column) {
  const std::string_view name = rows_.Text(row_, column);
  for (int i = 0; i <= static_cast<int>(saga::kLastLogOutcome); ++i) {
    const auto outcome = static_cast<saga::LogOutcome>(i);
    if (saga::Name(outcome) == name) return outcome;
  }
  Refuse("outcome", fmt::format("is '{}'", name));
  return saga::LogOutcome::kUnknown;
}

namespace {

// As DecodeBranches.
std::string DecodeBranch(const nlohmann::json& json, saga::Branch& branch) {
  const auto text = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (!json.is_object()) return "holds what is no object";
  branch.step = text("step");
  if (branch.step.empty()) return "names no step";
  const std::string state = text("state");
  const auto known = std::find_if(std::begin(saga::kBranchStates), std::end(saga::kBranchStates),
                                  [&](saga::Branch::State one) { return saga::Name(one) == state; });
  if (known == std::end(saga::kBranchStates)) return fmt::format("has state '{}'", state);
  branch.state = *known;
  const auto attempt = json.find("attempt");
  if (attempt == json.end() || !attempt->is_number_integer() || attempt->get<int64_t>() < 1 ||
      attempt->get<int64_t>() > std::numeric_limits<int32_t>::max()) {
    return "has an attempt that is no number from 1";
  }
  branch.attempt = attempt->get<int>();
  if (branch.state != saga::Branch::State::kWaiting) return "";
  branch.token = text("token");
  std::string error;
  if (!saga::IsToken(branch.token)) return "waits without a token";
  if (!absl::ParseTime(absl::RFC3339_full, text("until"), &branch.until, &error)) return "waits without an end";
  if (branch.until == absl::InfinitePast() || branch.until == absl::InfiniteFuture()) return "waits without an end";
  return "";
}

}  // namespace

std::string DecodeBranches(std::string_view text, std::vector<saga::Branch>& branches) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_array()) return "is no list";
  for (const nlohmann::json& one : json) {
    std::string wrong = DecodeBranch(one, branches.emplace_back());
    if (!wrong.empty()) return wrong;
  }
  return "";
}

std::string EncodeBranches(const std::vector<saga::Branch>& branches) {
  if (branches.empty()) return "";
  nlohmann::json json = nlohmann::json::array();
  for (const saga::Branch& branch : branches) {
    nlohmann::json one = {
        {"step", branch.step}, {"state", std::string(saga::Name(branch.state))}, {"attempt", branch.attempt}};
    if (branch.state == saga::Branch::State::kWaiting) {
      one["token"] = branch.token;
      one["until"] = absl::FormatTime(absl::RFC3339_full, branch.until, absl::UTCTimeZone());
    }
    json.push_back(std::move(one));
  }
  return json.dump();
}

void DecodeHeader(RowReader& row, saga::Header& header) {
  header.id = row.id();
  header.state = row.State(1);
  header.step = static_cast<int>(row.IntFrom(0, 2, "step"));
  header.attempt = static_cast<int>(row.IntFrom(1, 3, "attempt"));
  header.seq = row.IntFrom(0, 4, "seq");
  header.epoch = row.IntFrom(0, 5, "epoch");
  header.needs_attention = row.Bool(kNeedsAttentionColumn, "needs_attention");
  header.failure.reason = row.Text(7);
  header.failure.detail = row.Text(8);
  header.traceparent = row.Text(9);
  header.created_at = row.Time(10, "created_at");
  header.updated_at = row.Time(11, "updated_at");
  header.waits_for = row.Text(12);
  if (!row.IsNull(13)) header.wakes_at = row.Time(13, "wakes_at");
  header.woken = !row.IsNull(14) && row.Bool(14, "woken");
  header.version = static_cast<int>(row.IntFrom(1, 15, "version"));
  if (row.IsNull(16)) return;
  const std::string wrong = DecodeBranches(row.Json(16, "branches"), header.branches);
  if (!wrong.empty()) row.Refuse("branches", wrong);
}

absl::StatusOr<saga::KeptSignal> DecodeSignal(const Rows& rows, int at) {
  const std::string_view kind = rows.Text(at, 1);
  std::string reason(rows.Text(at, 2)), detail(rows.Text(at, 3));
  saga::KeptSignal signal{rows.Int(at, 4), {}, std::string(rows.Text(at, 5))};
  if (kind == "succeeded") {
    signal.outcome = saga::Outcome::Succeeded(std::move(detail));
    return signal;
  }
  if (kind == "rejected") {
    signal.outcome = saga::Outcome::Rejected(std::move(reason), std::move(detail));
    return signal;
  }
  if (kind == "unknown") {
    signal.outcome = saga::Outcome::Unknown(std::move(reason), std::move(detail));
    return signal;
  }
  return UnreadableRow(rows.Id(at, 0), "outcome of a signal", fmt::format("is '{}'", kind));
}

absl::StatusOr<std::vector<saga::LogEntry>> DecodeLog(const Rows& rows) {
  std::vector<saga::LogEntry> log;
  for (int at = 0; at < rows.size(); ++at) {
    RowReader row(rows, at);
    saga::LogEntry entry;
    entry.seq = row.IntFrom(1, 1, "seq");
    entry.step = row.Text(2);
    entry.attempt = static_cast<int>(row.Int(3, "attempt"));
    entry.outcome = row.Outcome(4);
    entry.state = row.State(5);
    entry.detail = row.Text(6);
    entry.at = row.Time(7, "at");
    if (!row.status().ok()) return row.status();
    log.push_back(std::move(entry));
  }
  return log;
}

}  // namespace waybill::storage

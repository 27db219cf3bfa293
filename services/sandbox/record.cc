#include "services/sandbox/record.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace waybill::sandbox {
namespace {

constexpr std::array<std::pair<Effect, std::string_view>, 20> kNames = {{
    {Effect::kCharge, "charge"},
    {Effect::kDecline, "decline"},
    {Effect::kAuthorize, "authorize"},
    {Effect::kCapture, "capture"},
    {Effect::kRefuseCapture, "refuse_capture"},
    {Effect::kVoid, "void"},
    {Effect::kPending, "pending"},
    {Effect::kRefund, "refund"},
    {Effect::kRefundPart, "refund_part"},
    {Effect::kRefusePart, "refuse_part"},
    {Effect::kChargeBack, "charge_back"},
    {Effect::kClose, "close"},
    {Effect::kAssign, "assign"},
    {Effect::kNoDriver, "no_driver"},
    {Effect::kRelease, "release"},
    {Effect::kCloseAssignment, "close_assignment"},
    {Effect::kPurge, "purge"},
    {Effect::kPay, "pay"},
    {Effect::kRefusePayout, "refuse_payout"},
    {Effect::kPendingPayout, "pending_payout"},
}};

constexpr char kTimeFormat[] = "%Y-%m-%dT%H:%M:%E6SZ";

std::string FormatMicros(absl::Time time) { return absl::FormatTime(kTimeFormat, time, absl::UTCTimeZone()); }

void PutText(std::string& line, std::string_view name, const std::string& text) {
  if (text.empty()) return;
  bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 127 && c != '"' && c != '\\'; });
  // The JSON library escapes, but takes a microsecond: not needed for ids.
  if (plain) {
    fmt::format_to(std::back_inserter(line), R"(,"{}":"{}")", name, text);
  } else {
    fmt::format_to(std::back_inserter(line), R"(,"{}":{})", name,
                   nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
  }
}

}  // namespace

std::string ToLine(const Record& record) {
  auto name = std::find_if(kNames.begin(), kNames.end(), [&](const auto& row) { return row.first == record.effect; });
  std::string line = fmt::format(R"({{"effect":"{}")", name->second);
  PutText(line, "key", record.key);
  PutText(line, "order_id", record.order_id);
  if (record.amount_minor != 0) fmt::format_to(std::back_inserter(line), R"(,"amount_minor":{})", record.amount_minor);
  PutText(line, "currency", record.currency);
  PutText(line, "refund_id", record.refund_id);
  PutText(line, "reference", record.reference);
  PutText(line, "driver_id", record.driver_id);
  PutText(line, "destination", record.destination);
  PutText(line, "reason", record.reason);
  PutText(line, "token", record.token);
  if (record.hold)
    fmt::format_to(std::back_inserter(line), R"(,"hold_ms":{})", absl::ToInt64Milliseconds(*record.hold));
  if (record.until.has_value())
    fmt::format_to(std::back_inserter(line), R"(,"until":"{}")", FormatMicros(*record.until));
  if (record.expires.has_value())
    fmt::format_to(std::back_inserter(line), R"(,"expires":"{}")", FormatMicros(*record.expires));
  if (record.lapses) line += R"(,"lapses":true)";
  fmt::format_to(std::back_inserter(line), ",\"time\":\"{}\"}}\n", FormatMicros(record.time));
  return line;
}

std::optional<Record> ParseLine(std::string_view line) {
  nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  auto text = [&](const char* name) {
    auto it = json.find(name);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  Record record;
  std::string effect = text("effect");
  auto name = std::find_if(kNames.begin(), kNames.end(), [&](const auto& row) { return row.second == effect; });
  if (name == kNames.end()) return std::nullopt;
  record.effect = name->first;
  record.key = text("key");
  record.order_id = text("order_id");
  if (auto it = json.find("amount_minor"); it != json.end() && it->is_number_integer()) {
    record.amount_minor = it->get<int64_t>();
  }
  record.currency = text("currency");
  record.refund_id = text("refund_id");
  record.reference = text("reference");
  record.driver_id = text("driver_id");
  record.destination = text("destination");
  record.reason = text("reason");
  record.token = text("token");
  if (auto it = json.find("hold_ms"); it != json.end() && it->is_number_integer()) {
    record.hold = absl::Milliseconds(it->get<int64_t>());
  }
  std::string error;
  if (const std::string until = text("until"); !until.empty()) {
    if (!absl::ParseTime(kTimeFormat, until, absl::UTCTimeZone(), &record.until.emplace(), &error)) return std::nullopt;
  }
  if (const std::string expires = text("expires"); !expires.empty()) {
    if (!absl::ParseTime(kTimeFormat, expires, absl::UTCTimeZone(), &record.expires.emplace(), &error))
      return std::nullopt;
  }
  if (auto it = json.find("lapses"); it != json.end() && it->is_boolean()) record.lapses = it->get<bool>();
  if (!absl::ParseTime(kTimeFormat, text("time"), absl::UTCTimeZone(), &record.time, &error)) return std::nullopt;
  return record;
}

}  // namespace waybill::sandbox

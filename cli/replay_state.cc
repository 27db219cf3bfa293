#include "cli/replay_state.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/file.h"

namespace waybill::cli {

absl::StatusOr<double> ParsePace(std::string_view text) {
  if (text == "max") return 0.0;
  if (text == "real") return 1.0;
  std::string_view number = text;
  if (!number.empty() && number.back() == 'x') number.remove_suffix(1);
  double pace = 0;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), pace, std::chars_format::fixed);
  bool whole = error == std::errc() && end == number.data() + number.size();
  if (!whole || !(pace >= 0.001) || pace > 1e6) {
    return absl::InvalidArgumentError(fmt::format("\"{}\" is not a speed; write it like real, max, or 10", text));
  }
  return pace;
}

absl::Time TimeShift::Apply(absl::Time recorded_at) const {
  auto micros = static_cast<double>(absl::ToInt64Microseconds(recorded_at - from));
  return absl::FromUnixMicros(absl::ToUnixMicros(to) + std::llround(micros / pace));
}

void RecordingSpan::Add(absl::Time recorded_at) {
  Day& day = days_[absl::ToUnixSeconds(recorded_at) / 86'400];
  ++day.count;
  day.first = std::min(day.first, recorded_at);
  day.last = std::max(day.last, recorded_at);
  ++count_;
}

std::optional<RecordingSpan::Span> RecordingSpan::Find() const {
  if (days_.empty()) return std::nullopt;
  auto middle = days_.begin();
  for (int64_t before = middle->second.count; before <= count_ / 2; before += middle->second.count) ++middle;
  Span span{middle->second.first, middle->second.last};
  int64_t inside = middle->second.count;
  for (auto day = middle; day != days_.begin();) {
    --day;
    if (span.first - day->second.last > kClockJump) break;
    span.first = day->second.first;
    inside += day->second.count;
  }
  for (auto day = std::next(middle); day != days_.end() && day->second.first - span.last <= kClockJump; ++day) {
    span.last = day->second.last;
    inside += day->second.count;
  }
  span.outside = count_ - inside;
  return span;
}

absl::StatusOr<std::optional<ReplayState>> LoadReplayState(const std::string& path) {
  if (std::error_code error; !std::filesystem::exists(path, error)) return std::nullopt;
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  absl::Status wrong = absl::InvalidArgumentError(
      fmt::format("{} is not the state of a replay; without it the replay begins anew", path));
  auto integer = [](const nlohmann::json& object, const char* name) -> std::optional<int64_t> {
    auto it = object.is_object() ? object.find(name) : object.end();
    if (it == object.end() || !it->is_number_integer()) return std::nullopt;
    return it->get<int64_t>();
  };
  ReplayState state;
  std::optional<int64_t> points = integer(json, "points");
  std::optional<int64_t> recorded_at = integer(json, "recorded_at_unix_us");
  if (!points || *points < 1 || !recorded_at || !json["driver_id"].is_string()) return wrong;
  state.points = *points;
  state.driver_id = json["driver_id"].get<std::string>();
  state.recorded_at = absl::FromUnixMicros(*recorded_at);
  if (json.contains("shift")) {
    const nlohmann::json& shift = json["shift"];
    std::optional<int64_t> from = integer(shift, "from_unix_us");
    std::optional<int64_t> to = integer(shift, "to_unix_us");
    if (!from || !to || !shift.contains("pace") || !shift["pace"].is_number() || !(shift["pace"].get<double>() > 0)) {
      return wrong;
    }
    state.shift = TimeShift{absl::FromUnixMicros(*from), absl::FromUnixMicros(*to), shift["pace"].get<double>()};
  }
  return state;
}

absl::Status SaveReplayState(const std::string& path, const ReplayState& state) {
  nlohmann::ordered_json json{{"points", state.points},
                              {"driver_id", state.driver_id},
                              {"recorded_at_unix_us", absl::ToUnixMicros(state.recorded_at)}};
  if (state.shift) {
    json["shift"] = {{"from_unix_us", absl::ToUnixMicros(state.shift->from)},
                     {"to_unix_us", absl::ToUnixMicros(state.shift->to)},
                     {"pace", state.shift->pace}};
  }
  // A driver id of a file may hold any bytes.
  std::string text = json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  std::string fresh = path + ".new";
  {
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out) return absl::UnavailableError("cannot write " + fresh);
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(fmt::format("cannot write {}: {}", path, std::generic_category().message(errno)));
  }
  return absl::OkStatus();
}

}  // namespace waybill::cli

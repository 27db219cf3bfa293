#include "runtime/log.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <list>
#include <mutex>
#include <type_traits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "nlohmann/json.hpp"
#include "spdlog/logger.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace waybill {
namespace {

constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error", "off"};

bool IsPlain(char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; }

void AppendQuoted(std::string& out, std::string_view text) {
  if (std::all_of(text.begin(), text.end(), IsPlain)) {
    out += '"';
    out += text;
    out += '"';
    return;
  }
  using Json = nlohmann::json;
  out += Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// For text lines: quoted only where a reader or a splitter on spaces would be misled.
void AppendWord(std::string& out, std::string_view text) {
  auto word = [](char c) { return IsPlain(c) && c != ' ' && c != '='; };
  if (!text.empty() && std::all_of(text.begin(), text.end(), word)) {
    out += text;
  } else {
    AppendQuoted(out, text);
  }
}

void AppendNumber(std::string& out, double number) {
  if (std::isfinite(number)) {
    fmt::format_to(std::back_inserter(out), "{}", number);
  } else {
    out += std::isnan(number) ? "\"NaN\"" : number > 0 ? "\"+Inf\"" : "\"-Inf\"";  // JSON has no such numbers
  }
}

void AppendField(std::string& out, LogFormat format, const LogField& field) {
  if (format == LogFormat::kJson) {
    out += ',';
    AppendQuoted(out, field.key);
    out += ':';
  } else {
    out += ' ';
    AppendWord(out, field.key);
    out += '=';
  }
  std::visit(
      [&](auto value) {
        using T = decltype(value);
        if constexpr (std::is_same_v<T, std::string_view>) {
          format == LogFormat::kJson ? AppendQuoted(out, value) : AppendWord(out, value);
        } else if constexpr (std::is_same_v<T, double>) {
          AppendNumber(out, value);
        } else {
          fmt::format_to(std::back_inserter(out), "{}", value);
        }
      },
      field.value);
}

}  // namespace

std::optional<LogLevel> ParseLogLevel(std::string_view text) {
  for (size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (text == kLevelNames[i]) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

std::optional<LogFormat> ParseLogFormat(std::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return std::nullopt;
}

LogLevel LogLevels::Of(std::string_view package) const {
  LogLevel found = level;
  size_t longest = 0;
  for (const auto& [name, of] : packages) {
    const bool fits = package.starts_with(name) && (package.size() == name.size() || package[name.size()] == '.');
    if (!fits || name.size() < longest) continue;
    longest = name.size();
    found = of;
  }
  return found;
}

absl::StatusOr<std::vector<std::pair<std::string, LogLevel>>> ParsePackageLevels(std::string_view text) {
  std::vector<std::pair<std::string, LogLevel>> levels;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    const size_t equals = std::min(one.find('='), one.size());
    const std::string_view name = one.substr(0, equals);
    const std::optional<LogLevel> level = ParseLogLevel(one.substr(std::min(equals + 1, one.size())));
    const LogLevels is_known{LogLevel::kInfo, {{std::string(name), LogLevel::kOff}}};
    const bool known = !name.empty() && std::any_of(std::begin(kLogPackages), std::end(kLogPackages),
                                                    [&](auto of) { return is_known.Of(of) == LogLevel::kOff; });
    if (!known) {
      return absl::InvalidArgumentError(
          fmt::format("no package \"{}\"; there are {}", name, fmt::join(kLogPackages, ", ")));
    }
    if (!level) return absl::InvalidArgumentError(fmt::format("\"{}\" is not PACKAGE=debug|info|warn|error|off", one));
    levels.emplace_back(name, *level);
  }
  return levels;
}

// What all loggers share that come of one.
struct Logger::Shared {
  Shared(LogFormat of, LogLevel level, const Clock& by) : format(of), clock(by) {
    for (std::atomic<LogLevel>& each : by_package) each = level;
  }

  // Under mutex.
  struct Line {
    std::string rest;  // behind its time
    SteadyTime since;
    int64_t repeated = 0;
  };
  static constexpr size_t kLinesMax = 512;        // that are kept in mind
  static constexpr size_t kLineBytesMax = 4'096;  // longer ones are printed each time

  void Print(std::string_view rest, int64_t repeated);
  void SayBefore(SteadyTime since);

  const LogFormat format;
  const Clock& clock;
  std::shared_ptr<spdlog::logger> out;
  std::array<std::atomic<LogLevel>, std::size(kLogPackages) + 1> by_package;  // the last: of none
  std::mutex mutex;
  absl::Duration window;
  std::list<Line> lines;  // the oldest first
  absl::flat_hash_map<std::string_view, std::list<Line>::iterator> places;
};

void Logger::Shared::Print(std::string_view rest, int64_t repeated) {
  std::string line;
  line.reserve(rest.size() + 64);
  line += format == LogFormat::kJson ? R"({"ts":")" : "";
  line += absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", clock.Now(), absl::UTCTimeZone());
  line += rest;
  if (repeated > 0) AppendField(line, format, {"repeated", repeated});
  if (format == LogFormat::kJson) line += '}';
  out->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

void Logger::Shared::SayBefore(SteadyTime since) {
  while (!lines.empty() && (lines.front().since <= since || lines.size() > kLinesMax)) {
    places.erase(lines.front().rest);
    if (lines.front().repeated > 0) Print(lines.front().rest, lines.front().repeated);
    lines.pop_front();
  }
}

Logger::Logger(LogFormat format, LogLevel level, const Clock& clock, std::shared_ptr<spdlog::sinks::sink> sink)
    : shared_(std::make_shared<Shared>(format, level, clock)), level_(&shared_->by_package.back()) {
  if (sink == nullptr) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  shared_->out = std::make_shared<spdlog::logger>("waybill", std::move(sink));
  shared_->out->set_pattern("%v");
  shared_->out->set_level(spdlog::level::trace);  // our own check comes first
}

void Logger::CountRepeated(absl::Duration window) {
  std::lock_guard lock(shared_->mutex);
  shared_->window = window;
}

void Logger::SayRepeated(bool all) const {
  std::lock_guard lock(shared_->mutex);
  shared_->SayBefore(all ? SteadyTime::InfiniteFuture() : shared_->clock.Steady() - shared_->window);
}

Logger Logger::For(LogPackage package) const {
  Logger of = With({{"package", package.name}});
  const auto at = std::find(std::begin(kLogPackages), std::end(kLogPackages), package.name) - std::begin(kLogPackages);
  of.level_ = &shared_->by_package[static_cast<size_t>(at)];
  return of;
}

Logger Logger::With(Fields fields) const {
  Logger bound = *this;
  for (const LogField& field : fields) AppendField(bound.bound_, shared_->format, field);
  return bound;
}

void Logger::SetLevels(LogLevels levels) {
  shared_->by_package.back() = levels.level;
  for (size_t i = 0; i < std::size(kLogPackages); ++i) shared_->by_package[i] = levels.Of(kLogPackages[i]);
}

void Logger::Write(LogLevel level, std::string_view message, Fields fields) const {
  const LogFormat format = shared_->format;
  std::string line;
  line.reserve(256);
  const std::string_view name = kLevelNames[static_cast<size_t>(level)];
  if (format == LogFormat::kJson) {
    fmt::format_to(std::back_inserter(line), R"(","level":"{}","msg":)", name);
    AppendQuoted(line, message);
  } else {
    fmt::format_to(std::back_inserter(line), " {:<5} ", name);
    std::all_of(message.begin(), message.end(), IsPlain) ? void(line += message) : AppendQuoted(line, message);
  }
  line += bound_;
  for (const LogField& field : fields) AppendField(line, format, field);
  std::lock_guard lock(shared_->mutex);
  if (shared_->window > absl::ZeroDuration() && line.size() <= Shared::kLineBytesMax) {
    const SteadyTime now = shared_->clock.Steady();
    shared_->SayBefore(now - shared_->window);
    if (const auto place = shared_->places.find(line); place != shared_->places.end()) {
      ++place->second->repeated;
      return;
    }
    shared_->lines.push_back({line, now});
    shared_->places.emplace(shared_->lines.back().rest, std::prev(shared_->lines.end()));
  }
  shared_->Print(line, 0);
}

}  // namespace waybill

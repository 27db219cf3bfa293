#include "runtime/log.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <type_traits>
#include <utility>

#include "absl/time/time.h"
#include "fmt/format.h"
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

Logger::Logger(LogFormat format, LogLevel level, const Clock& clock, std::shared_ptr<spdlog::sinks::sink> sink)
    : format_(format), level_(std::make_shared<std::atomic<LogLevel>>(level)), clock_(&clock) {
  if (sink == nullptr) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  out_ = std::make_shared<spdlog::logger>("waybill", std::move(sink));
  out_->set_pattern("%v");
  out_->set_level(spdlog::level::trace);  // our own check comes first
}

Logger Logger::With(Fields fields) const {
  Logger bound = *this;
  for (const LogField& field : fields) AppendField(bound.bound_, format_, field);
  return bound;
}

void Logger::Write(LogLevel level, std::string_view message, Fields fields) const {
  std::string line;
  line.reserve(256);
  std::string ts = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", clock_->Now(), absl::UTCTimeZone());
  std::string_view name = kLevelNames[static_cast<size_t>(level)];
  if (format_ == LogFormat::kJson) {
    fmt::format_to(std::back_inserter(line), R"({{"ts":"{}","level":"{}","msg":)", ts, name);
    AppendQuoted(line, message);
  } else {
    fmt::format_to(std::back_inserter(line), "{} {:<5} ", ts, name);
    std::all_of(message.begin(), message.end(), IsPlain) ? void(line += message) : AppendQuoted(line, message);
  }
  line += bound_;
  for (const LogField& field : fields) AppendField(line, format_, field);
  if (format_ == LogFormat::kJson) line += '}';
  out_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace waybill

// Structured logs: one line an event on stderr, with typed fields. A Logger is passed in; there is no global one.
//
//   log.Info("order settled", {{"order_id", id}, {"attempts", 3}, {"trace_id", trace}});
//   {"ts":"2026-01-02T03:04:05.678901Z","level":"info","msg":"order
//   settled","order_id":"0190…","attempts":3,"trace_id":"4bf9…"}
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "runtime/clock.h"
#include "spdlog/fwd.h"

namespace waybill {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat { kText, kJson };

std::optional<LogLevel> ParseLogLevel(std::string_view text);    // debug, info, warn, error, off
std::optional<LogFormat> ParseLogFormat(std::string_view text);  // text, json

// Views only: key and value live until the call returns. `ts`, `level` and `msg` are taken as keys. Any bytes are fine;
// those that are not UTF-8 are written as U+FFFD.
struct LogField {
  using Value = std::variant<std::string_view, int64_t, uint64_t, double, bool>;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, std::integral auto v) : key(k) {
    if constexpr (std::is_same_v<decltype(v), bool>) {
      value = v;
    } else if constexpr (std::is_signed_v<decltype(v)>) {
      value = static_cast<int64_t>(v);
    } else {
      value = static_cast<uint64_t>(v);
    }
  }
  LogField(std::string_view k, std::floating_point auto v) : key(k), value(static_cast<double>(v)) {}

  std::string_view key;
  Value value;
};

class Logger {
 public:
  using Fields = std::initializer_list<LogField>;

  // `clock` outlives the logger. `sink` is where lines go; null: stderr.
  Logger(LogFormat format, LogLevel level, const Clock& clock, std::shared_ptr<spdlog::sinks::sink> sink = nullptr);

  // A logger that writes `fields` in each of its lines, after `msg`; shares sink and level with this one.
  Logger With(Fields fields) const;

  bool Enabled(LogLevel level) const { return level >= level_->load(std::memory_order_relaxed); }
  LogLevel level() const { return level_->load(std::memory_order_relaxed); }
  void SetLevel(LogLevel level) { level_->store(level, std::memory_order_relaxed); }

  void Debug(std::string_view message, Fields fields = {}) const { Log(LogLevel::kDebug, message, fields); }
  void Info(std::string_view message, Fields fields = {}) const { Log(LogLevel::kInfo, message, fields); }
  void Warn(std::string_view message, Fields fields = {}) const { Log(LogLevel::kWarn, message, fields); }
  void Error(std::string_view message, Fields fields = {}) const { Log(LogLevel::kError, message, fields); }
  void Log(LogLevel level, std::string_view message, Fields fields = {}) const {
    if (Enabled(level)) Write(level, message, fields);
  }

 private:
  void Write(LogLevel level, std::string_view message, Fields fields) const;

  LogFormat format_;
  std::shared_ptr<std::atomic<LogLevel>> level_;
  const Clock* clock_;
  std::shared_ptr<spdlog::logger> out_;
  std::string bound_;  // the fields of With, already formatted
};

}  // namespace waybill

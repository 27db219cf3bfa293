// Structured logs: one line an event on stderr, with typed fields. A Logger is passed in; there is no global one.
//
//   log.Info("order settled", {{"order_id", id}, {"attempts", 3}, {"trace_id", trace}});
//   {"ts":"2026-01-02T03:04:05.678901Z","level":"info","msg":"order
//   settled","order_id":"0190…","attempts":3,"trace_id":"4bf9…"}
//
// A package is a folder of ours, whose lines may have a level of their own. A line that is the same as one of the last
// seconds but for its time is counted, and said once with "repeated": how often it came besides.
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
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "spdlog/fwd.h"

namespace waybill {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat { kText, kJson };

std::optional<LogLevel> ParseLogLevel(std::string_view text);    // debug, info, warn, error, off
std::optional<LogFormat> ParseLogFormat(std::string_view text);  // text, json

// Those that have lines of their own.
inline constexpr std::string_view kLogPackages[] = {
    "edge.amqp",      "edge.http",       "edge.otlp",      "edge.rpc",         "edge.tls",
    "runtime.chores", "services.ingest", "services.order", "storage.postgres", "storage.redis",
};
// One of them, by name; another one does not compile.
struct LogPackage {
  consteval LogPackage(const char* of) : name(of) {  // NOLINT(google-explicit-constructor): it is one
    for (const std::string_view known : kLogPackages) {
      if (known == name) return;
    }
    throw "no such package in kLogPackages";
  }
  std::string_view name;
};

// What is logged, and of packages something else: each by its name or the beginning of it up to a dot ("edge").
struct LogLevels {
  LogLevel level = LogLevel::kInfo;
  std::vector<std::pair<std::string, LogLevel>> packages;

  LogLevel Of(std::string_view package) const;  // the longest name that fits counts
};
// "edge.http=debug,services=warn"; INVALID_ARGUMENT names what is wrong.
absl::StatusOr<std::vector<std::pair<std::string, LogLevel>>> ParsePackageLevels(std::string_view text);

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

  // Lines that repeat are counted for so long, and printed again then with how often they came; zero, as at first:
  // never. Whoever asks for it calls SayRepeated now and then, and at the end.
  void CountRepeated(absl::Duration window);
  // What was counted for as long; or all of it.
  void SayRepeated(bool all = false) const;

  // A logger of this package: its lines have the name, and its level counts. Shares all else with this one.
  Logger For(LogPackage package) const;
  // A logger that writes `fields` in each of its lines, after `msg`; shares sink and level with this one.
  Logger With(Fields fields) const;

  bool Enabled(LogLevel level) const { return level >= level_->load(std::memory_order_relaxed); }
  LogLevel level() const { return level_->load(std::memory_order_relaxed); }
  // Of all loggers that share it.
  void SetLevels(LogLevels levels);
  void SetLevel(LogLevel level) { SetLevels({level, {}}); }

  void Debug(std::string_view message, Fields fields = {}) const { Log(LogLevel::kDebug, message, fields); }
  void Info(std::string_view message, Fields fields = {}) const { Log(LogLevel::kInfo, message, fields); }
  void Warn(std::string_view message, Fields fields = {}) const { Log(LogLevel::kWarn, message, fields); }
  void Error(std::string_view message, Fields fields = {}) const { Log(LogLevel::kError, message, fields); }
  void Log(LogLevel level, std::string_view message, Fields fields = {}) const {
    if (Enabled(level)) Write(level, message, fields);
  }

 private:
  void Write(LogLevel level, std::string_view message, Fields fields) const;

  struct Shared;

  std::shared_ptr<Shared> shared_;
  std::atomic<LogLevel>* level_;  // of its package; in shared_
  std::string bound_;             // the fields of With, already formatted
};

}  // namespace waybill

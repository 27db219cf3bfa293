#include "services/process/limits.h"

#include <utility>

#include "edge/limits/rules.h"
#include "fmt/format.h"
#include "runtime/text.h"

namespace waybill::process {
namespace {

// Calls wait for this connection: it is given up soon.
storage::RedisOptions LimitRedisOptions() {
  storage::RedisOptions options;
  options.connect_timeout = limits::LimiterOptions().wait_max;  // who is slower, is away: nobody waits for longer
  options.timeout = options.connect_timeout;
  return options;
}

std::string Summary(const std::vector<limits::Rule>& rules) {
  constexpr size_t kBytesMax = 2'000;
  std::string summary;
  for (const limits::Rule& rule : rules) {
    summary += fmt::format("{}{}: {} for {} of {}{}{}", summary.empty() ? "" : "; ", rule.name,
                           limits::Describe(rule.rate), rule.client, rule.method,
                           rule.open_when_away ? "" : ", closed without Redis", rule.shadow ? ", shadow" : "");
  }
  return CleanText(std::move(summary), kBytesMax);
}

}  // namespace

void AddLimitsFlag(CLI::App& app, LimitsOptions& options) {
  app.add_option(
         "--limits-file", options.file,
         "TOML file with rules of how often whom may call what; its rules are read again at SIGHUP (default: no "
         "limits)")
      ->type_name("FILE");
}

absl::Status CheckLimits(const LimitsOptions& options, const std::vector<std::string>& methods) {
  if (options.file.empty()) return absl::OkStatus();
  const absl::Status read = limits::ReadRules(options.file, methods).status();
  if (read.ok()) return read;
  return absl::InvalidArgumentError(fmt::format("--limits-file: {}", std::string(read.message())));
}

absl::StatusOr<std::unique_ptr<CallLimits>> CallLimits::Open(const std::string& service, const LimitsOptions& options,
                                                             std::vector<std::string> methods,
                                                             const storage::RedisUrl& redis, const Clock& clock,
                                                             Metrics& metrics, const Logger& log) {
  std::unique_ptr<CallLimits> limits(new CallLimits(options, std::move(methods), log));
  limits->store_ = std::make_unique<storage::RedisLimitStore>(redis, LimitRedisOptions(), service);
  limits::LimiterOptions limiter_options;
  limiter_options.on_store = [&log](const absl::Status& answers) {
    if (answers.ok()) {
      log.Info("limits are held by Redis again", {});
    } else {
      log.Warn("limits are held without Redis", {{"error", std::string(answers.message())}});
    }
  };
  limits->limiter_ = std::make_unique<limits::Limiter>(*limits->store_, clock, metrics, limiter_options);
  if (options.file.empty()) return limits;
  if (absl::Status read = limits->Read(/*also_unchanged=*/true); !read.ok()) return read;
  return limits;
}

absl::Status CallLimits::Read(bool also_unchanged) {
  std::lock_guard turn(reading_);
  absl::StatusOr<std::vector<limits::Rule>> rules = limits::ReadRules(options_.file, methods_);
  if (!rules.ok()) return rules.status();
  std::string summary = Summary(*rules);
  if (!also_unchanged && summary == in_force_) return absl::OkStatus();
  limiter_->Use(*rules);
  const std::string before = std::exchange(in_force_, std::move(summary));
  log_.Info("limits are in force", {{"file", options_.file}, {"rules", rules->size()}, {"what", in_force_}});
  if (on_change_ && before != in_force_) on_change_(before, in_force_);
  return absl::OkStatus();
}

void CallLimits::AddCheck(Readiness& readiness) {
  if (options_.file.empty()) return;
  readiness.Add("limits", Readiness::Severity::kDegraded, absl::Seconds(1), [this] { return store_->Ping(); });
}

void CallLimits::Start(const Loops& loops, StopRequest& stop, OnChange on_change) {
  if (options_.file.empty()) return;
  limiter_->Start(loops);
  on_change_ = std::move(on_change);
  stop_ = &stop;
  const auto read_again = [this](bool also_unchanged) {
    if (absl::Status read = Read(also_unchanged); !read.ok()) {
      log_.Error("limits are as before: they could not be read", {{"error", std::string(read.message())}});
    }
  };
  stop.AlsoOnHangup(this, [read_again] { read_again(true); });
  read_again(false);  // a SIGHUP since the first time has told nobody
}

void CallLimits::Stop() {
  if (stop_ == nullptr) return;
  stop_->AlsoOnHangup(this, nullptr);
  limiter_->Stop();
}

}  // namespace waybill::process

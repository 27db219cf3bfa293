#include "services/order/risk_rules.h"

#include <utility>

#include "fmt/format.h"
#include "risk/rules_file.h"

namespace waybill::order {

absl::StatusOr<std::unique_ptr<RiskRules>> RiskRules::Open(std::string file, const Logger& log) {
  absl::StatusOr<risk::Rules> rules = risk::ReadRules(file);
  if (!rules.ok()) return rules.status();
  log.Info("orders are assessed", {{"file", file}, {"rules", risk::Describe(*rules)}});
  return std::unique_ptr<RiskRules>(new RiskRules(std::move(file), *std::move(rules), log));
}

std::shared_ptr<const risk::Rules> RiskRules::in_force() const {
  std::lock_guard lock(mutex_);
  return in_force_;
}

absl::Status RiskRules::ReadAgain() {
  std::lock_guard turn(reading_);
  absl::StatusOr<risk::Rules> rules = risk::ReadRules(file_);
  if (!rules.ok()) return rules.status();
  const std::shared_ptr<const risk::Rules> before = in_force();
  if (*rules == *before) return absl::OkStatus();
  if (rules->version == before->version) {
    return absl::FailedPreconditionError(fmt::format(
        "version {} is in force with other rules: rules that change need another version", before->version));
  }
  auto after = std::make_shared<const risk::Rules>(*std::move(rules));
  {
    std::lock_guard lock(mutex_);
    in_force_ = after;
  }
  log_.Info("orders are assessed anew", {{"file", file_}, {"rules", risk::Describe(*after)}});
  if (on_change_) on_change_(risk::Describe(*before), risk::Describe(*after));
  return absl::OkStatus();
}

void RiskRules::Start(StopRequest& stop, OnChange on_change) {
  {
    std::lock_guard turn(reading_);
    on_change_ = std::move(on_change);
    stop_ = &stop;
  }
  const auto read_again = [this] {
    if (absl::Status read = ReadAgain(); !read.ok()) {
      log_.Error("orders are assessed as before: the file was not taken", {{"error", std::string(read.message())}});
    }
  };
  stop.AlsoOnHangup(this, read_again);
  read_again();  // a SIGHUP since the start has told nobody
}

void RiskRules::Stop() {
  if (stop_ != nullptr) stop_->AlsoOnHangup(this, nullptr);
}

}  // namespace waybill::order

// The rules of risk that are in force: read from a file, and again while the process runs.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "risk/rules.h"
#include "runtime/log.h"
#include "runtime/shutdown.h"

namespace waybill::order {

class RiskRules {
 public:
  // Told what the rules were, and what they are.
  using OnChange = std::function<void(const std::string& before, const std::string& after)>;

  // INVALID_ARGUMENT says what is wrong with the file.
  static absl::StatusOr<std::unique_ptr<RiskRules>> Open(std::string file, const Logger& log);

  std::shared_ptr<const risk::Rules> in_force() const;

  // Reads the file again at each SIGHUP. With a mistake in it all stays as it was; so it does when the rules are others
  // and their version is not.
  void Start(StopRequest& stop, OnChange on_change);
  void Stop();
  absl::Status ReadAgain();

 private:
  RiskRules(std::string file, risk::Rules rules, const Logger& log)
      : file_(std::move(file)), log_(log), in_force_(std::make_shared<const risk::Rules>(std::move(rules))) {}

  const std::string file_;
  const Logger log_;
  std::mutex reading_;  // one at a time; over the next two
  OnChange on_change_;
  StopRequest* stop_ = nullptr;

  mutable std::mutex mutex_;  // over what follows
  std::shared_ptr<const risk::Rules> in_force_;
};

}  // namespace waybill::order

#include "services/process/audit.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "fmt/format.h"
#include "runtime/sha256.h"
#include "runtime/text.h"

namespace waybill::process {
namespace {

// Of what is in force, passwords apart: two processes with the same digest are told to do the same.
std::string SettingsDigest(const std::vector<Setting>& in_force) {
  std::string text;
  for (const Setting& setting : in_force) text += fmt::format("{}={}\n", setting.name, WithoutPasswords(setting.value));
  return absl::BytesToHexString(Sha256(text));
}

std::string HostName() {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return host;
}

}  // namespace

ProcessAudit::ProcessAudit(std::string service, const Build& build, const std::vector<Setting>& in_force)
    : by_{std::move(service)}, host_(HostName()) {
  pending_.push_back({by_,
                      "process.start",
                      "process",
                      "",
                      {{"version", build.version},
                       {"commit", build.commit},
                       {"host", host_},
                       {"settings", SettingsDigest(in_force)}}});
  pending_count_ = 1;
}

void ProcessAudit::SetInstance(std::string instance) {
  std::lock_guard lock(mutex_);
  instance_ = std::move(instance);
}

void ProcessAudit::Changed(const Setting& before, const Setting& after) {
  std::lock_guard lock(mutex_);
  domain::Deed deed{by_,
                    "setting.change",
                    "setting",
                    after.name,
                    {{"before", WithoutPasswords(before.value)},
                     {"after", WithoutPasswords(after.value)},
                     {"from", after.from},
                     {"instance", instance_},
                     {"host", host_}}};
  if (pending_.size() >= kPendingMax) {
    ++lost_;
    return;
  }
  if (lost_ > 0) deed.detail.emplace_back("lost_before", fmt::format("{}", std::exchange(lost_, 0)));
  pending_.push_back(std::move(deed));
  pending_count_ = pending_.size();
}

absl::Status ProcessAudit::Write(storage::AuditLog& audit) {
  while (pending_count_ > 0) {
    domain::Deed deed;
    {
      std::lock_guard lock(mutex_);
      deed = pending_.front();
      if (deed.subject.empty()) deed.subject = instance_;
    }
    if (absl::Status written = audit.Append(deed); !written.ok()) return written;
    std::lock_guard lock(mutex_);
    pending_.pop_front();
    pending_count_ = pending_.size();
  }
  return absl::OkStatus();
}

Chore ProcessAudit::WriteChore(storage::AuditLog& audit) {
  return EveryChore(absl::Seconds(1), "writing the audit", [this, &audit] { return Write(audit); });
}

void ProcessAudit::WriteLast(storage::AuditLog& audit, const Logger& log) {
  const absl::Status written = Write(audit);
  if (written.ok()) return;
  std::lock_guard lock(mutex_);
  if (lost_ > 0) log.Error("not in the audit", {{"further_deeds", lost_}});
  for (const domain::Deed& deed : pending_) {
    std::string detail;
    for (const auto& [key, value] : deed.detail)
      detail += fmt::format("{}{}={}", detail.empty() ? "" : " ", key, value);
    log.Error("not in the audit", {{"action", deed.action},
                                   {"subject", deed.subject},
                                   {"detail", detail},
                                   {"error", std::string(written.message())}});
  }
}

void AddMetrics(Metrics& metrics, const ProcessAudit& audit) {
  metrics.AddCallbackGauge("waybill_audit_pending",
                           "What this process has to say in the audit and has not written yet.",
                           [&audit] { return static_cast<double>(audit.pending()); });
}

}  // namespace waybill::process

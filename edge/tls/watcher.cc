#include "edge/tls/watcher.h"

#include <functional>
#include <utility>

#include "fmt/format.h"

namespace waybill::tls {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(5);

constexpr char kReloads[] = "waybill_certificate_reloads_total";
constexpr char kReloadsHelp[] =
    "Changed certificate files that were taken over, and times that they were found and could not be.";

std::string Shown(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

absl::Status CheckValid(const std::string& file, const Credentials& credentials, absl::Time now) {
  if (now < credentials.not_before) {
    return absl::FailedPreconditionError(
        fmt::format("{}: the certificate is valid from {} only", file, Shown(credentials.not_before)));
  }
  if (now >= credentials.not_after) {
    return absl::FailedPreconditionError(
        fmt::format("{}: the certificate has expired, at {}", file, Shown(credentials.not_after)));
  }
  return absl::OkStatus();
}

}  // namespace

Watcher::Watcher(std::string use, Files files, const Clock& clock, const Logger& log, Metrics& metrics)
    : use_(std::move(use)),
      files_(std::move(files)),
      clock_(clock),
      log_(log.For("edge.tls")),
      taken_(metrics.AddCounter(kReloads, kReloadsHelp, {{"use", use_}, {"outcome", "taken"}})),
      refused_(metrics.AddCounter(kReloads, kReloadsHelp, {{"use", use_}, {"outcome", "refused"}})) {}

absl::StatusOr<std::unique_ptr<Watcher>> Watcher::Start(std::string use, Files files, const Clock& clock,
                                                        const Logger& log, Metrics& metrics) {
  absl::StatusOr<Credentials> first = ReadCredentials(files);
  if (!first.ok()) return first.status();
  std::unique_ptr<Watcher> watcher(new Watcher(std::move(use), std::move(files), clock, log, metrics));
  watcher->Taken(*std::move(first));
  if (watcher->files_.certificate.empty()) return watcher;
  metrics.AddCallbackGauge(
      "waybill_certificate_start_timestamp_seconds", "From when the certificate in use is valid, in Unix time.",
      [watched = watcher.get()] { return absl::ToDoubleSeconds(watched->current()->not_before - absl::UnixEpoch()); },
      {{"use", watcher->use_}});
  metrics.AddCallbackGauge(
      "waybill_certificate_expiration_timestamp_seconds", "Until when the certificate in use is valid, in Unix time.",
      [watched = watcher.get()] { return absl::ToDoubleSeconds(watched->current()->not_after - absl::UnixEpoch()); },
      {{"use", watcher->use_}});
  return watcher;
}

std::shared_ptr<const Credentials> Watcher::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

void Watcher::Taken(Credentials credentials) {
  const absl::Status valid = CheckValid(files_.certificate, credentials, clock_.Now());
  if (files_.certificate.empty()) {
    log_.Info("CA certificates are read", {{"use", use_}, {"ca", files_.ca}});
  } else if (valid.ok()) {
    log_.Info("a certificate is in use",
              {{"use", use_}, {"certificate", files_.certificate}, {"valid_until", Shown(credentials.not_after)}});
  } else {
    log_.Error("a certificate is in use that nobody accepts", {{"use", use_}, {"error", std::string(valid.message())}});
  }
  std::lock_guard lock(mutex_);
  current_ = std::make_shared<const Credentials>(std::move(credentials));
}

bool Watcher::Look() {
  absl::StatusOr<Credentials> read = ReadCredentials(files_);
  absl::Status refusal = read.status();
  const std::shared_ptr<const Credentials> before = current();
  const absl::Time now = clock_.Now();
  if (read.ok() && before->ValidAt(now)) refusal = CheckValid(files_.certificate, *read, now);
  bool told;
  {
    std::lock_guard lock(mutex_);
    told = refusal == refusal_;
    refusal_ = refusal;
  }
  if (!refusal.ok()) {
    refused_.Increment();
    if (!told) {
      log_.Error("new certificates are not taken over; those before stay in use",
                 {{"use", use_}, {"error", std::string(refusal.message())}});
    }
    return false;
  }
  if (read->certificate == before->certificate && read->key == before->key && read->ca == before->ca) return false;
  Taken(*std::move(read));
  taken_.Increment();
  return true;
}

absl::Status Watcher::Verdict() const {
  std::lock_guard lock(mutex_);
  if (!refusal_.ok()) return refusal_;
  return CheckValid(files_.certificate, *current_, clock_.Now());
}

Chore WatchChore(Watcher& watcher, std::function<void()> taken) {
  return EveryChore(kLookEvery, "reading certificates again", [&watcher, taken = std::move(taken)] {
    if (watcher.Look()) taken();
    return absl::OkStatus();
  });
}

}  // namespace waybill::tls

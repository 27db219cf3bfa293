#include "services/realtime/apps.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::realtime {
namespace {

constexpr std::string_view kTokenPrefix = "waybill.token.";
constexpr std::string_view kBearer = "bearer ";

bool IsBearer(std::string_view value) {
  return value.size() > kBearer.size() && std::equal(kBearer.begin(), kBearer.end(), value.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

}  // namespace

TokenKeys::TokenKeys(std::string path, const Logger& log, Metrics& metrics)
    : path_(std::move(path)),
      log_(log),
      refused_(metrics.AddCounter("waybill_realtime_token_keys_refused_total",
                                  "Times that the file of token keys was read and was wrong.")) {}

absl::StatusOr<std::unique_ptr<TokenKeys>> TokenKeys::Open(std::string path, const Logger& log, Metrics& metrics) {
  std::unique_ptr<TokenKeys> keys(new TokenKeys(std::move(path), log, metrics));
  absl::StatusOr<tokens::Keys> read = tokens::Keys::Read(keys->path_);
  if (!read.ok()) return read.status();
  keys->current_ = std::make_shared<const tokens::Keys>(*std::move(read));
  return keys;
}

std::shared_ptr<const tokens::Keys> TokenKeys::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

void TokenKeys::Look() {
  absl::StatusOr<tokens::Keys> read = tokens::Keys::Read(path_);
  if (!read.ok()) {
    refused_.Increment();
    std::string why(read.status().message());
    if (why != told_) log_.Error("token keys are as before: the file is wrong", {{"error", why}});
    told_ = std::move(why);
    return;
  }
  told_.clear();
  const std::vector<std::string> before = current()->ids(), now = read->ids();
  auto fresh = std::make_shared<const tokens::Keys>(*std::move(read));
  {
    std::lock_guard lock(mutex_);
    current_ = std::move(fresh);
  }
  if (before != now) log_.Info("token keys were read", {{"keys", fmt::format("{}", fmt::join(now, ", "))}});
}

std::string TokenOf(const http::Request& request) {
  std::vector<std::string> shown;
  for (const auto& [name, value] : request.fields) {
    if (name == "authorization" && IsBearer(value)) shown.push_back(value.substr(kBearer.size()));
  }
  for (const std::string& offered : http::OfferedSubprotocols(request)) {
    if (offered.starts_with(kTokenPrefix)) shown.push_back(offered.substr(kTokenPrefix.size()));
  }
  return shown.size() == 1 ? shown.front() : "";
}

websocket::Endpoint::Admit AdmitApps(const TokenKeys& keys, OrderChannels& channels, Scheduler& scheduler,
                                     const Clock& clock, const SessionOptions& options) {
  return [&keys, &channels, &scheduler, &clock,
          options](const http::Request& request) -> absl::StatusOr<websocket::Admission> {
    const std::string token = TokenOf(request);
    if (token.empty()) return domain::ReasonError("NO_IDENTITY", "the request shows no token, or several");
    absl::StatusOr<tokens::Claims> claims = keys.current()->Verify(token, clock.Now());
    if (!claims.ok()) return claims.status();
    // Whom the bound of connections is for: a user; where none is named, a device.
    const std::string client = fmt::format("{}\n{}\n{}", claims->tenant, claims->user,
                                           claims->user.empty() ? std::string_view(claims->device) : "");
    return websocket::Admission{client, [&channels, &scheduler, &clock, options, claims = *claims](const std::string&) {
                                  return std::make_shared<Session>(channels, scheduler, clock, options, claims);
                                }};
  };
}

}  // namespace waybill::realtime

#include "services/order/webhook_api.h"

#include <algorithm>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "services/order/intake.h"
#include "webhooks/event.h"
#include "webhooks/url.h"

namespace waybill::order {
namespace {

constexpr size_t kTypesMax = 32;

void CheckEndpointUrl(const std::string& text, bool plain_allowed, Violations& violations) {
  absl::StatusOr<webhooks::Url> url = webhooks::ParseUrl(text);
  if (!url.ok()) {
    violations.Add("url", std::string(url.status().message()));
  } else if (!url->tls && !plain_allowed) {
    violations.Add("url", "does not begin with https://");
  }
}

void CheckTypes(const std::vector<std::string>& types, Violations& violations) {
  if (types.size() > kTypesMax) violations.Add("types", fmt::format("have to be at most {}", kTypesMax));
  for (size_t i = 0; i < std::min(types.size(), kTypesMax); ++i) {
    if (!webhooks::IsTypePattern(types[i])) violations.Add(fmt::format("types[{}]", i), "is no type of event");
  }
}

// The host tells enough: what stands behind it in a URL may be a secret.
std::string HostOf(const std::string& text) {
  absl::StatusOr<webhooks::Url> url = webhooks::ParseUrl(text);
  return url.ok() ? fmt::format("{}:{}", url->host, url->port) : "";
}

domain::Deed DeedOf(const domain::Actor& by, std::string_view action, const Uuid& id,
                    std::vector<std::pair<std::string, std::string>> detail = {}) {
  return {by, fmt::format("webhook.{}", action), "webhook", id.ToString(), std::move(detail)};
}

}  // namespace

absl::StatusOr<WebhookApi::Made> WebhookApi::Create(const std::string& url, std::vector<std::string> types,
                                                    const domain::Actor& by) {
  Violations violations;
  CheckEndpointUrl(url, plain_allowed_, violations);
  if (types.empty()) violations.Add("types", "at least one is required");
  CheckTypes(types, violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  Made made;
  made.endpoint.id = ids_.Next();
  made.endpoint.client = ClientNamed(by.client);  // as of orders
  made.endpoint.url = url;
  made.endpoint.types = std::move(types);
  made.endpoint.created_at = clock_.Now();
  made.secret = webhooks::MakeSecret(entropy_);
  const domain::Deed deed =
      DeedOf(by, "create", made.endpoint.id,
             {{"host", HostOf(url)}, {"types", fmt::format("{}", fmt::join(made.endpoint.types, " "))}});
  if (absl::Status added = store_.AddEndpoint(made.endpoint, made.secret, deed); !added.ok()) return added;
  interest_.Learn(clock_.Steady(), true);
  return made;
}

absl::StatusOr<storage::WebhookEndpoint> WebhookApi::Update(const storage::Owner& owner, const std::string& id,
                                                            const storage::WebhookStore::Change& change,
                                                            const domain::Actor& by) {
  absl::StatusOr<Uuid> endpoint = TakeId(id, "endpoint_id");
  if (!endpoint.ok()) return endpoint.status();
  Violations violations;
  if (change.url) CheckEndpointUrl(*change.url, plain_allowed_, violations);
  CheckTypes(change.types, violations);
  if (!change.url && change.types.empty() && !change.enabled) violations.Add("url", "nothing is to be changed");
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  std::vector<std::pair<std::string, std::string>> detail;
  if (change.url) detail.emplace_back("host", HostOf(*change.url));
  if (!change.types.empty()) detail.emplace_back("types", fmt::format("{}", fmt::join(change.types, " ")));
  if (change.enabled) detail.emplace_back("enabled", *change.enabled ? "true" : "false");
  absl::StatusOr<storage::WebhookEndpoint> changed =
      store_.ChangeEndpoint(owner, *endpoint, change, DeedOf(by, "update", *endpoint, std::move(detail)));
  if (changed.ok() && changed->enabled) interest_.Learn(clock_.Steady(), true);
  return changed;
}

absl::Status WebhookApi::Delete(const storage::Owner& owner, const std::string& id, const domain::Actor& by) {
  absl::StatusOr<Uuid> endpoint = TakeId(id, "endpoint_id");
  if (!endpoint.ok()) return endpoint.status();
  return store_.DeleteEndpoint(owner, *endpoint, DeedOf(by, "delete", *endpoint));
}

absl::StatusOr<WebhookApi::Made> WebhookApi::Rotate(const storage::Owner& owner, const std::string& id,
                                                    absl::Duration overlap, const domain::Actor& by) {
  absl::StatusOr<Uuid> endpoint = TakeId(id, "endpoint_id");
  if (!endpoint.ok()) return endpoint.status();
  if (overlap < absl::ZeroDuration() || overlap > kOverlapMax) {
    return domain::BadField("overlap", fmt::format("has to be within 0 and {}", absl::FormatDuration(kOverlapMax)));
  }
  std::string secret = webhooks::MakeSecret(entropy_);
  absl::StatusOr<storage::WebhookEndpoint> rotated = store_.RotateSecret(
      owner, *endpoint, secret, overlap, DeedOf(by, "rotate", *endpoint, {{"overlap", absl::FormatDuration(overlap)}}));
  if (!rotated.ok()) return rotated.status();
  return Made{*std::move(rotated), std::move(secret)};
}

absl::StatusOr<storage::WebhookDelivery> WebhookApi::SendTest(const storage::Owner& owner, const std::string& id) {
  absl::StatusOr<Uuid> endpoint = TakeId(id, "endpoint_id");
  if (!endpoint.ok()) return endpoint.status();
  const webhooks::Event event = webhooks::TestEvent(ids_.Next(), clock_.Now());
  return store_.AddTest(owner, *endpoint, event.id, std::string(event.type), event.body);
}

absl::StatusOr<int64_t> WebhookApi::ReplayDead(const storage::Owner& owner, const std::string& id, int per_second) {
  absl::StatusOr<Uuid> endpoint = TakeId(id, "endpoint_id");
  if (!endpoint.ok()) return endpoint.status();
  if (per_second < 0 || per_second > kReplayRateMax) {
    return domain::BadField("per_second", fmt::format("has to be within 1 and {}", kReplayRateMax));
  }
  return store_.ReplayDead(owner, *endpoint, absl::Seconds(1) / (per_second == 0 ? kReplayRateDefault : per_second));
}

absl::StatusOr<storage::WebhookDelivery> WebhookApi::Discard(const storage::Owner& owner, const std::string& id,
                                                             const std::string& event_id, const std::string& reason) {
  absl::StatusOr<Uuid> endpoint = TakeId(id, "endpoint_id");
  if (!endpoint.ok()) return endpoint.status();
  Violations violations;
  CheckText(reason, 1, kReasonMax, "reason", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return store_.Discard(owner, *endpoint, event_id, reason);
}

}  // namespace waybill::order

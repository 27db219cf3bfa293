// Endpoints of clients and what is delivered to them, for those who call, without gRPC. Every call blocks on the store.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "storage/webhook_store.h"
#include "webhooks/signature.h"

namespace waybill::order {

class WebhookApi {
 public:
  static constexpr absl::Duration kOverlapMax = absl::Hours(24 * 30);
  static constexpr int kReplayRateMax = 1'000, kReplayRateDefault = 10;

  struct Made {
    storage::WebhookEndpoint endpoint;
    std::string secret;  // only here
  };

  // All outlive it. `plain_allowed`: there are networks that may be called without TLS.
  WebhookApi(storage::WebhookStore& store, storage::WebhookInterest& interest, webhooks::Entropy entropy,
             const Clock& clock, IdGenerator& ids, bool plain_allowed)
      : store_(store),
        interest_(interest),
        entropy_(std::move(entropy)),
        clock_(clock),
        ids_(ids),
        plain_allowed_(plain_allowed) {}

  // `by`: who does it, and whose the endpoint will be. BAD_REQUEST naming each wrong field, ENDPOINTS_FULL.
  absl::StatusOr<Made> Create(const std::string& url, std::vector<std::string> types, const domain::Actor& by);
  // BAD_REQUEST, ENDPOINT_NOT_FOUND.
  absl::StatusOr<storage::WebhookEndpoint> Update(const storage::Owner& owner, const std::string& id,
                                                  const storage::WebhookStore::Change& change, const domain::Actor& by);
  absl::Status Delete(const storage::Owner& owner, const std::string& id, const domain::Actor& by);
  absl::StatusOr<Made> Rotate(const storage::Owner& owner, const std::string& id, absl::Duration overlap,
                              const domain::Actor& by);
  absl::StatusOr<storage::WebhookDelivery> SendTest(const storage::Owner& owner, const std::string& id);
  // How many. `per_second` 0: kReplayRateDefault.
  absl::StatusOr<int64_t> ReplayDead(const storage::Owner& owner, const std::string& id, int per_second);
  absl::StatusOr<storage::WebhookDelivery> Discard(const storage::Owner& owner, const std::string& id,
                                                   const std::string& event_id, const std::string& reason);

  storage::WebhookStore& store() { return store_; }  // for what only reads

 private:
  storage::WebhookStore& store_;
  storage::WebhookInterest& interest_;  // learns at once what is done here
  const webhooks::Entropy entropy_;
  const Clock& clock_;
  IdGenerator& ids_;
  const bool plain_allowed_;
};

}  // namespace waybill::order

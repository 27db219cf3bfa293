// Webhooks in Postgres: webhook_endpoints and webhook_deliveries.
#pragma once

#include <string>
#include <vector>

#include "storage/postgres/pool.h"
#include "storage/webhook_store.h"

namespace waybill::storage {

class PostgresWebhookStore final : public WebhookStore {
 public:
  // What is delivered is written by `writes`, whose connections commit (WriteConnectionOptions); lists, which may look
  // through many deliveries, read by `reads`.
  PostgresWebhookStore(Pool& writes, Pool& reads) : writes_(writes), reads_(reads) {}

  absl::StatusOr<bool> AnyEndpoint() override;
  absl::Status AddEndpoint(const WebhookEndpoint& endpoint, const std::string& secret,
                           const domain::Deed& deed) override;
  absl::StatusOr<std::vector<WebhookEndpoint>> ListEndpoints(const Owner& owner, const Uuid& after, int limit) override;
  absl::StatusOr<WebhookEndpoint> GetEndpoint(const Owner& owner, const Uuid& id) override;
  absl::StatusOr<WebhookEndpoint> ChangeEndpoint(const Owner& owner, const Uuid& id, const Change& change,
                                                 const domain::Deed& deed) override;
  absl::Status DeleteEndpoint(const Owner& owner, const Uuid& id, const domain::Deed& deed) override;
  absl::StatusOr<WebhookEndpoint> RotateSecret(const Owner& owner, const Uuid& id, const std::string& secret,
                                               absl::Duration overlap, const domain::Deed& deed) override;
  absl::StatusOr<std::vector<WebhookDelivery>> ListDeliveries(const DeliveryQuery& query) override;
  absl::StatusOr<WebhookDelivery> GetDelivery(const Owner& owner, const Uuid& endpoint_id,
                                              const std::string& event_id) override;
  absl::StatusOr<WebhookDelivery> AddTest(const Owner& owner, const Uuid& endpoint_id, const std::string& event_id,
                                          const std::string& type, const std::string& body) override;
  absl::StatusOr<WebhookDelivery> Replay(const Owner& owner, const Uuid& endpoint_id,
                                         const std::string& event_id) override;
  absl::StatusOr<int64_t> ReplayDead(const Owner& owner, const Uuid& endpoint_id, absl::Duration apart) override;
  absl::StatusOr<WebhookDelivery> Discard(const Owner& owner, const Uuid& endpoint_id, const std::string& event_id,
                                          const std::string& reason) override;
  absl::StatusOr<std::vector<ClaimedDelivery>> Claim(const std::vector<Busy>& busy, int each, int limit,
                                                     absl::Duration lease) override;
  absl::StatusOr<std::vector<DisabledEndpoint>> Finish(const std::vector<DeliveryResult>& results,
                                                       absl::Duration failing_max) override;
  absl::StatusOr<int64_t> Bury() override;
  absl::StatusOr<int64_t> Forget(absl::Duration age) override;
  absl::StatusOr<WebhookStats> Count() override;

 private:
  static absl::StatusOr<Rows> Execute(Pool& pool, const std::string& sql, absl::Span<const Param> params);
  absl::StatusOr<WebhookEndpoint> ExecuteForEndpoint(const Uuid& id, const std::string& sql,
                                                     absl::Span<const Param> params);
  absl::Status CheckEnabled(const Owner& owner, const Uuid& id);

  Pool& writes_;
  Pool& reads_;
};

}  // namespace waybill::storage

// What is in the webhook inbox, read from Postgres.
#pragma once

#include <string>
#include <vector>

#include "storage/postgres/pool.h"
#include "storage/webhook_inbox.h"

namespace waybill::storage {

class PostgresWebhookInboxView final : public WebhookInboxView {
 public:
  // Both outlive it. The audit's entries are promised, so `writes` has connections that commit. A list may look through
  // many events, so `reads` are better not what others wait for.
  PostgresWebhookInboxView(Pool& writes, Pool& reads) : writes_(writes), reads_(reads) {}

  absl::StatusOr<std::vector<KeptWebhook>> List(const InboxQuery& query) override;
  absl::StatusOr<KeptWebhook> Show(const std::string& gateway, const std::string& event_id,
                                   const domain::Deed& deed) override;

 private:
  Pool& writes_;
  Pool& reads_;
};

}  // namespace waybill::storage

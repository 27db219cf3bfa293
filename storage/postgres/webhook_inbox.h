// The webhook inbox in Postgres: events that come together share a commit.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/batcher.h"
#include "runtime/executor.h"
#include "storage/postgres/pool.h"
#include "storage/webhook_inbox.h"

namespace waybill::storage {

struct WebhookInboxOptions {
  int writers = 2;                                      // connections, each with a thread
  size_t queue_max = 32 << 10;                          // KiB, about: more is refused
  absl::Duration statement_timeout = absl::Seconds(5);  // who sent it repeats it
  absl::Duration connect_timeout = absl::Seconds(2);
};

class PostgresWebhookInbox final : public WebhookInbox {
 public:
  // Connects when there is something to write. What is settled is promised, so `pool` has connections that commit.
  PostgresWebhookInbox(const std::string& url, Pool& pool, const WebhookInboxOptions& options, const Loops& loops);
  ~PostgresWebhookInbox() override;

  [[nodiscard]] bool Keep(WebhookArrival& arrival) override { return batcher_->Offer(arrival); }
  absl::StatusOr<std::vector<WebhookDue>> ClaimDue(int limit) override;
  absl::StatusOr<std::vector<std::optional<WebhookOrder>>> FindOrders(
      std::span<const WebhookEvent> events, std::span<const std::optional<Uuid>> order_ids) override;
  absl::Status Settle(std::span<const WebhookSettlement> settled) override;
  absl::StatusOr<int64_t> DeleteOld(absl::Duration keep, int limit) override;
  absl::StatusOr<InboxStats> Stats() override;

  // Writes what is queued, unless the store is away; then joins the threads.
  void Stop() { batcher_->Stop(); }

 private:
  class Writer;
  absl::StatusOr<Rows> Run(const std::string& name, const std::string& sql, const std::vector<Param>& params);

  Pool& pool_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::unique_ptr<Batcher<WebhookArrival>> batcher_;
};

}  // namespace waybill::storage

// A webhook inbox in memory that behaves like the real one: each event once, looked at by one at a time, settled
// forward only. Several inboxes over one book are several processes on one database.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "runtime/clock.h"
#include "storage/testing/memory_order_book.h"
#include "storage/webhook_inbox.h"

namespace waybill::storage::testing {

// What all processes share.
struct MemoryInboxBook {
  struct Row {
    WebhookEvent event;
    std::string body;
    InboxState state = InboxState::kNew;
    std::string reason;
    std::optional<Uuid> order_id;
    int attempts = 0;
    absl::Time received_at;
    absl::Time due_at = absl::InfiniteFuture();  // infinite: nobody looks at it again
  };
  std::map<std::pair<std::string, std::string>, Row> rows;  // by gateway and event
};

// Not thread-safe. Its Keep calls `done` at once; whoever wants it to wait, or to fail, stands before it.
class MemoryWebhookInbox final : public WebhookInbox {
 public:
  // All outlive this. `clock` is the store's.
  MemoryWebhookInbox(MemoryInboxBook& book, const MemoryOrderBook& orders, const Clock& clock)
      : book_(book), orders_(orders), clock_(clock) {}

  bool Keep(WebhookArrival& arrival) override;
  absl::StatusOr<std::vector<WebhookDue>> ClaimDue(int limit) override;
  absl::StatusOr<std::vector<std::optional<WebhookOrder>>> FindOrders(
      std::span<const WebhookEvent> events, std::span<const std::optional<Uuid>> order_ids) override;
  absl::Status Settle(std::span<const WebhookSettlement> settled) override;
  absl::StatusOr<int64_t> DeleteOld(absl::Duration keep, int limit) override;
  absl::StatusOr<InboxStats> Stats() override;

  // Whether it is new here.
  bool Insert(const WebhookArrival& arrival);

 private:
  // The order that is meant, or else has the event's token; and the one that it waits for at the event's gateway, empty
  // when it does so no more.
  std::optional<std::pair<Uuid, std::string>> Waiting(const WebhookEvent& event,
                                                      const std::optional<Uuid>& order) const;

  MemoryInboxBook& book_;
  const MemoryOrderBook& orders_;
  const Clock& clock_;
};

}  // namespace waybill::storage::testing

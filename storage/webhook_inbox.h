// What gateways said by webhook: each event once, durable before its sender is answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "runtime/ids.h"
#include "saga/state.h"

namespace waybill::storage {

// How far an event has come. Only forward: from kNew to any other, from kUnmatched to those behind it.
enum class InboxState : uint8_t {
  kNew,        // nobody has looked yet
  kUnmatched,  // no payment has its key or token yet; looked at again, ever more rarely
  kSignalled,  // its order was told to ask the gateway
  kLate,       // its order had been decided before
  kIgnored,    // about no payment of ours
  kAttention,  // a person has to look
};
inline constexpr InboxState kInboxStates[] = {InboxState::kNew,  InboxState::kUnmatched, InboxState::kSignalled,
                                              InboxState::kLate, InboxState::kIgnored,   InboxState::kAttention};
std::string_view Name(InboxState state);  // "new", as it is stored

struct WebhookEvent {
  std::string gateway;
  std::string id;     // with the gateway it is the event's key; 1-255 bytes
  std::string type;   // may be empty
  std::string key;    // the charge's idempotency key; may be empty
  std::string token;  // the gateway's name of the payment; may be empty
  std::optional<int64_t> amount_minor;
  std::string currency;  // may be empty
};

// An event to be kept.
struct WebhookArrival {
  WebhookEvent event;
  std::string body;  // kWebhookBytesMax at most
  InboxState state = InboxState::kNew;
  std::string reason;  // why it is neither new nor to be looked at
  // Called once, on a writer's thread. True: it is durable, and was not there before; false: it was.
  absl::AnyInvocable<void(absl::StatusOr<bool> fresh)> done;

  size_t weight() const { return 1 + body.size() / 1024; }
};

inline constexpr size_t kWebhookBytesMax = 256 << 10;

// One that somebody has to look at.
struct WebhookDue {
  WebhookEvent event;
  int attempts = 0;  // looks before
  absl::Duration age = absl::ZeroDuration();
};

// The order that an event is about.
struct WebhookOrder {
  Uuid order_id;
  int64_t amount_minor = 0;
  std::string currency;
  saga::State state = saga::State::kRunning;
  bool charged = false;
  // Of its pending charge, which may be another than the event names; empty: it is not known that it is pending.
  std::string token;
  // What became of its attempt at the event's gateway is decided; while the order is not, it is at another one.
  bool attempt_decided = false;
};

// What became of an event.
struct WebhookSettlement {
  std::string gateway;
  std::string id;
  InboxState state = InboxState::kIgnored;  // kNew: the look failed, and it stays what it was
  std::string reason;                       // may be empty
  std::optional<Uuid> order_id;
  absl::Duration again = absl::ZeroDuration();  // kNew, kUnmatched: when it is looked at next
};

struct InboxStats {
  int64_t attention = 0;                          // 10,000 at most are counted
  int64_t open = 0;                               // the same, of those that somebody looks at again
  absl::Duration overdue = absl::ZeroDuration();  // how long one of them should have been looked at
};

// Thread-safe. All but Keep block on the store: STORE_UNAVAILABLE when it does not answer.
class WebhookInbox {
 public:
  virtual ~WebhookInbox() = default;

  // Whoever keeps a new event looks at it himself; another one does when kInboxLease is over. False, and untouched:
  // too much waits to be written.
  [[nodiscard]] virtual bool Keep(WebhookArrival& arrival) = 0;

  // Those that are due, for kInboxLease; of each, who claims it looks alone.
  virtual absl::StatusOr<std::vector<WebhookDue>> ClaimDue(int limit) = 0;
  // The orders of these events by the order's id in their key, or by their token; in their order.
  virtual absl::StatusOr<std::vector<std::optional<WebhookOrder>>> FindOrders(
      std::span<const WebhookEvent> events, std::span<const std::optional<Uuid>> order_ids) = 0;
  // Leaves those alone that were settled meanwhile.
  virtual absl::Status Settle(std::span<const WebhookSettlement> settled) = 0;
  // Deletes what was received so long ago and needs nobody; how many there were, `limit` at most.
  virtual absl::StatusOr<int64_t> DeleteOld(absl::Duration keep, int limit) = 0;
  virtual absl::StatusOr<InboxStats> Stats() = 0;
};

inline constexpr absl::Duration kInboxLease = absl::Seconds(5);

// An event as it stands.
struct KeptWebhook {
  WebhookEvent event;
  InboxState state = InboxState::kNew;
  std::string reason;  // may be empty
  std::optional<Uuid> order_id;
  int attempts = 0;  // looks by others than who received it
  absl::Time received_at;
  std::optional<absl::Time> due_at;  // none: nobody looks any more
  std::optional<absl::Time> settled_at;
  int64_t body_bytes = 0;
  std::string body;  // as it came; Show only
};

// Filters are conjunctive; what is empty does not count.
struct InboxQuery {
  struct Place {
    absl::Time received_at;
    std::string gateway;
    std::string event_id;
  };
  std::optional<InboxState> state;
  std::string gateway;
  std::string event_id;  // with a gateway only
  std::optional<Uuid> order_id;
  std::optional<Place> after;  // page: only those behind it
  int limit = 50;
};

// What is in the inbox, for people. Thread-safe; both block on the store.
class WebhookInboxView {
 public:
  virtual ~WebhookInboxView() = default;

  // The newest first, without bodies.
  virtual absl::StatusOr<std::vector<KeptWebhook>> List(const InboxQuery& query) = 0;
  // One, with its body. `deed`: who reads it, audited by the same commit. EVENT_NOT_FOUND.
  virtual absl::StatusOr<KeptWebhook> Show(const std::string& gateway, const std::string& event_id,
                                           const domain::Deed& deed) = 0;
};

// One entry of the stream `payment_events`, for others to follow.
struct PaymentEvent {
  std::string gateway;
  std::string event_id;
  std::string type;
  std::string state;
  std::string order_id;  // may be empty
};

// A capped stream, and no record: what is in it happened, and not all that happened is in it.
class PaymentEvents {
 public:
  virtual ~PaymentEvents() = default;
  virtual absl::Status Add(std::span<const PaymentEvent> events) = 0;
};

}  // namespace waybill::storage

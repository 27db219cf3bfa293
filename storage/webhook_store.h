// Endpoints of clients, and what is delivered to them. Events are written by the journal, with what they tell.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "storage/order_store.h"

namespace waybill::storage {

struct WebhookEndpoint {
  Uuid id;
  std::string client;
  std::string url;
  std::vector<std::string> types;  // patterns (webhooks/event.h), one at least
  bool enabled = true;
  std::string disabled_reason;               // of one that is not
  std::optional<absl::Time> failing_since;   // no attempt has succeeded since
  std::optional<absl::Time> previous_until;  // so long it is signed with the secret before, too
  absl::Time created_at;
};

struct WebhookDelivery {
  enum class State : uint8_t {
    kWaiting,    // for its next attempt, or for what becomes of one
    kDelivered,  // a receiver answered 2xx
    kDead,       // no more attempts, see `reason`; it may be replayed
    kDiscarded,  // a person wants it no more
  };
  Uuid endpoint_id;
  std::string event_id;
  std::string type;
  std::optional<Uuid> order_id;  // none: a test
  std::string body;
  absl::Time created_at;
  State state = State::kWaiting;
  int attempts = 0;
  absl::Time next_at;
  std::optional<absl::Time> last_at;
  std::optional<int> last_code;  // HTTP; none: nothing was answered, or nothing was sent yet
  std::string last_answer;       // what it began with, or what went wrong
  std::string reason;            // of one that is dead or discarded
};
inline constexpr WebhookDelivery::State kDeliveryStates[] = {
    WebhookDelivery::State::kWaiting, WebhookDelivery::State::kDelivered, WebhookDelivery::State::kDead,
    WebhookDelivery::State::kDiscarded};
std::string_view Name(WebhookDelivery::State state);  // "waiting": persisted

absl::Status EndpointNotFound(const std::string& id);
absl::Status DeliveryNotFound(const std::string& event_id);

struct DeliveryQuery {
  Owner owner;
  std::optional<Uuid> endpoint_id;
  std::optional<WebhookDelivery::State> state;
  // Page: only what is behind this endpoint's event; "": from the first.
  Uuid after_endpoint;
  std::string after_event;
  int limit = 50;
};

// A delivery that is to be attempted now, by nobody else until the lease is over.
struct ClaimedDelivery {
  Uuid endpoint_id;
  std::string event_id;
  std::string type;
  std::string body;
  int attempts = 0;  // that have failed
  int64_t epoch = 0;
  absl::Time created_at;
  std::string url;
  std::vector<std::string> secrets;  // the present one first
};

// What became of an attempt.
struct DeliveryResult {
  Uuid endpoint_id;
  std::string event_id;
  std::string url;  // that was attempted: of another one it says nothing
  int64_t epoch = 0;
  WebhookDelivery::State state = WebhookDelivery::State::kDelivered;
  absl::Duration pause;  // of kWaiting
  std::optional<int> code;
  std::string answer;
  std::string reason;          // of kDead
  bool endpoint_gone = false;  // it is to be sent nothing any more
};

// Endpoints that were disabled by what became of attempts.
struct DisabledEndpoint {
  Uuid id;
  std::string client;
  std::string reason;
};

struct WebhookStats {
  int64_t endpoints = 0;  // enabled
  int64_t disabled = 0;   // not by their clients
  int64_t waiting = 0;
  int64_t dead = 0;
  absl::Duration overdue = absl::ZeroDuration();  // of what should have been attempted and was not, the oldest
};

// Endpoints of one client.
inline constexpr int kEndpointsMax = 16;
// What one call of ReplayMany or of a chore changes.
inline constexpr int kDeliveriesChanged = 10'000;

// Why an endpoint is disabled.
inline constexpr std::string_view kDisabledByClient = "by its client";
inline constexpr std::string_view kDisabledGone = "answered 410 Gone";
inline constexpr std::string_view kDisabledFailing = "failed for days";

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer. `owner`: another client's is
// as one that is not there: ENDPOINT_NOT_FOUND, DELIVERY_NOT_FOUND. What changes endpoints takes a deed, which is in
// the audit exactly when something has changed.
class WebhookStore {
 public:
  virtual ~WebhookStore() = default;

  virtual absl::StatusOr<bool> AnyEndpoint() = 0;  // that is enabled

  // ENDPOINTS_FULL: its client has kEndpointsMax.
  virtual absl::Status AddEndpoint(const WebhookEndpoint& endpoint, const std::string& secret,
                                   const domain::Deed& deed) = 0;
  virtual absl::StatusOr<std::vector<WebhookEndpoint>> ListEndpoints(const Owner& owner, const Uuid& after,
                                                                     int limit) = 0;
  virtual absl::StatusOr<WebhookEndpoint> GetEndpoint(const Owner& owner, const Uuid& id) = 0;
  struct Change {
    std::optional<std::string> url;
    std::vector<std::string> types;  // empty: as they are
    std::optional<bool> enabled;
  };
  virtual absl::StatusOr<WebhookEndpoint> ChangeEndpoint(const Owner& owner, const Uuid& id, const Change& change,
                                                         const domain::Deed& deed) = 0;
  // Of its secrets nothing is left.
  virtual absl::Status DeleteEndpoint(const Owner& owner, const Uuid& id, const domain::Deed& deed) = 0;
  // Signs with the one before as well, for so long; one before that is forgotten.
  virtual absl::StatusOr<WebhookEndpoint> RotateSecret(const Owner& owner, const Uuid& id, const std::string& secret,
                                                       absl::Duration overlap, const domain::Deed& deed) = 0;

  // By endpoint and event; bodies are left out.
  virtual absl::StatusOr<std::vector<WebhookDelivery>> ListDeliveries(const DeliveryQuery& query) = 0;
  virtual absl::StatusOr<WebhookDelivery> GetDelivery(const Owner& owner, const Uuid& endpoint_id,
                                                      const std::string& event_id) = 0;
  // Of an enabled endpoint: ENDPOINT_DISABLED.
  virtual absl::StatusOr<WebhookDelivery> AddTest(const Owner& owner, const Uuid& endpoint_id,
                                                  const std::string& event_id, const std::string& type,
                                                  const std::string& body) = 0;
  // From the first attempt again, at once. What becomes of an attempt that is under way is passed over.
  // ENDPOINT_DISABLED.
  virtual absl::StatusOr<WebhookDelivery> Replay(const Owner& owner, const Uuid& endpoint_id,
                                                 const std::string& event_id) = 0;
  // Those of an endpoint that are dead, the oldest orders' first, at most kDeliveriesChanged, one every `apart`. How
  // many. ENDPOINT_DISABLED.
  virtual absl::StatusOr<int64_t> ReplayDead(const Owner& owner, const Uuid& endpoint_id, absl::Duration apart) = 0;
  // DELIVERY_OVER: it is delivered, or was discarded before.
  virtual absl::StatusOr<WebhookDelivery> Discard(const Owner& owner, const Uuid& endpoint_id,
                                                  const std::string& event_id, const std::string& reason) = 0;

  // How many an endpoint has under way in this process.
  struct Busy {
    Uuid endpoint_id;
    int count = 0;
  };
  // Up to `limit` deliveries that are due, of each endpoint up to `each` with those under way.
  virtual absl::StatusOr<std::vector<ClaimedDelivery>> Claim(const std::vector<Busy>& busy, int each, int limit,
                                                             absl::Duration lease) = 0;
  // Writes what became of attempts. What was claimed or replayed since is passed over. Disables endpoints that are
  // gone, and those that have failed for longer than `failing_max`.
  virtual absl::StatusOr<std::vector<DisabledEndpoint>> Finish(const std::vector<DeliveryResult>& results,
                                                               absl::Duration failing_max) = 0;

  // What waits for endpoints that are disabled or deleted waits no more: at most kDeliveriesChanged. How many.
  virtual absl::StatusOr<int64_t> Bury() = 0;
  // Removes what has ended and was made so long ago: at most kDeliveriesChanged.
  virtual absl::StatusOr<int64_t> Forget(absl::Duration age) = 0;
  virtual absl::StatusOr<WebhookStats> Count() = 0;
};

// What a process knows of whether anybody wants events, so that where nobody does they cost nothing. "Nobody" is
// believed for kTrust since it was asked for, and a write ends or is given up within ten seconds: an endpoint is told
// everything that is committed from kHeardOf after it was made. Thread-safe.
class WebhookInterest {
 public:
  static constexpr absl::Duration kTrust = absl::Seconds(5);
  static constexpr absl::Duration kHeardOf = absl::Seconds(15);

  explicit WebhookInterest(const Clock& clock) : clock_(clock) {}

  bool MayBe() const {
    std::lock_guard lock(mutex_);
    return clock_.Steady() >= none_until_;
  }
  // What the store answered to a question of `asked_at`; that nobody does is no news once somebody did later.
  void Learn(SteadyTime asked_at, bool any) {
    std::lock_guard lock(mutex_);
    if (any) {
      some_at_ = std::max(some_at_, asked_at);
      none_until_ = SteadyTime::InfinitePast();
    } else if (asked_at > some_at_) {
      none_until_ = asked_at + kTrust;
    }
  }

 private:
  const Clock& clock_;
  mutable std::mutex mutex_;
  SteadyTime none_until_ = SteadyTime::InfinitePast();
  SteadyTime some_at_ = SteadyTime::InfinitePast();
};

}  // namespace waybill::storage

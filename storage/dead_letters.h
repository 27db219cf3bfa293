// What has failed for good, wherever it stands: read from its sources, so that nothing can disagree with them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "runtime/ids.h"

namespace waybill::storage {

enum class DeadLetterKind : uint8_t {
  kEvent,     // what a gateway said by webhook
  kDelivery,  // what a client's endpoint was to be told
  kCase,      // a difference between a gateway's settlement and our books
  kSaga,      // one that does not come to an end by itself
};
inline constexpr DeadLetterKind kDeadLetterKinds[] = {DeadLetterKind::kEvent, DeadLetterKind::kDelivery,
                                                      DeadLetterKind::kCase, DeadLetterKind::kSaga};
std::string_view Name(DeadLetterKind kind);  // "event": what its ids begin with

// What its source knows it by: gateway and event, endpoint and event, the number, or the saga.
struct DeadLetterKey {
  DeadLetterKind kind = DeadLetterKind::kEvent;
  std::string first, second;  // the second only of events and deliveries
};
// "event/acme/evt_1"; nullopt: no id of a dead letter.
std::optional<DeadLetterKey> ParseDeadLetterId(std::string_view id);

struct DeadLetter {
  std::string id;
  DeadLetterKind kind = DeadLetterKind::kEvent;
  std::string cause;    // machine-readable: "AMOUNT_MISMATCH"
  std::string detail;   // for people; may have words of others in it
  std::string gateway;  // may be empty, as is the client
  std::string client;
  std::optional<Uuid> endpoint_id;
  std::optional<Uuid> order_id;
  absl::Time since;  // when it failed last
  int attempts = 0;
  std::string blocked;  // the reason why it cannot be redriven now; "": it can be
};

// Conjunctive; what is empty does not filter.
struct DeadLetterFilter {
  std::optional<DeadLetterKey> key;  // this one alone
  std::optional<DeadLetterKind> kind;
  std::string cause, gateway, client;
  std::optional<Uuid> endpoint_id;
  absl::Time since_max = absl::InfiniteFuture();  // dead since then or longer
};

struct DeadLetterCount {
  DeadLetterKind kind = DeadLetterKind::kEvent;
  std::string cause;
  int64_t letters = 0;
  int64_t blocked = 0;  // of them
  absl::Time oldest;
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer.
class DeadLetterStore {
 public:
  // What one call of Redrive or Discard changes.
  static constexpr int kChangedMax = 1'000;

  virtual ~DeadLetterStore() = default;

  // The longest dead first, those behind the given one (by `since` and id).
  virtual absl::StatusOr<std::vector<DeadLetter>> List(const DeadLetterFilter& filter,
                                                       const std::optional<std::pair<absl::Time, std::string>>& after,
                                                       int limit) = 0;
  // By kind and cause; of each kind `most` are counted.
  virtual absl::StatusOr<std::vector<DeadLetterCount>> Count(const DeadLetterFilter& filter, int64_t most) = 0;
  // They live again, each by one call only: the first at once, the others one every `apart`. How many. The audit gets
  // the deed for each of them, its id as the subject, in the transaction that changes it.
  virtual absl::StatusOr<int> Redrive(const DeadLetterFilter& filter, int limit, absl::Duration apart,
                                      const domain::Deed& deed) = 0;
  // The same of giving them up. Sagas are passed over: what drives them resolves them.
  virtual absl::StatusOr<int> Discard(const DeadLetterFilter& filter, int limit, const std::string& reason,
                                      const domain::Deed& deed) = 0;
};

}  // namespace waybill::storage

// How often: each call's verdict by the rules that are about it, exact over all replicas. Knows no gRPC.
//
// What a client has used stands in a store that replicas share (Redis). A replica takes cells there ahead of need, a
// few hundredths of a burst for some milliseconds, and spends them here, so that hardly a call waits for the store: see
// Leases in limiter.cc, and ADR 0039.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "edge/limits/rules.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/metrics.h"
#include "storage/limit_store.h"

namespace waybill::limits {

struct LimiterOptions {
  absl::Duration wait_max = absl::Milliseconds(100);     // of a call for the store; then it counts as away
  absl::Duration retry_store = absl::Milliseconds(250);  // while it is away, it is asked so often
  size_t clients_max = 10'000;                           // of one rule that are kept in mind
  // That the store does not answer any more, and why; OK: that it does again. On a thread of the limiter's.
  std::function<void(const absl::Status&)> on_store = [](const absl::Status&) {};
};

// What a call is told.
struct Verdict {
  // OK; RATE_LIMITED, with RetryInfo and the quota; or STORE_UNAVAILABLE, where a rule is closed while the store is
  // away.
  absl::Status status;
  // Where its client stands by the rule that leaves it least. Null: no rule is about the call.
  std::shared_ptr<const Rule> rule;
  int64_t left = 0;                             // cells, about
  absl::Duration reset = absl::ZeroDuration();  // until there are more
};

// The fields RateLimit and RateLimit-Policy of HTTP (draft-ietf-httpapi-ratelimit-headers-11), of a verdict by a rule.
std::string RateLimitField(const Verdict& verdict);
std::string RateLimitPolicyField(const Verdict& verdict);

class Limiter {
 public:
  using Done = absl::AnyInvocable<void(Verdict)>;

  // Without rules: everybody passes. All outlive this.
  Limiter(storage::LimitStore& store, const Clock& clock, Metrics& metrics, LimiterOptions options = {});
  ~Limiter();
  Limiter(const Limiter&) = delete;
  Limiter& operator=(const Limiter&) = delete;

  // From now on these. What clients have used of a rule whose name stays is kept.
  void Use(const std::vector<Rule>& rules);

  // The verdict on a call; or nothing, and `done` gets it: once, on another thread, and within wait_max. `method` is
  // "package.Service/Method".
  std::optional<Verdict> Admit(std::string_view method, std::string_view client, Done done);

  void Start(const Loops& loops);
  // Those that wait are told as if the store were away; from then on so is everybody.
  void Stop();

 private:
  struct Policy;    // a rule, and what follows from it
  struct Bucket;    // a client's cells under a policy
  struct Limit;     // a policy and its buckets
  struct Plan;      // which limits are about a method
  struct Progress;  // of a call through its buckets
  struct Waiter;    // one that waits
  using BucketPtr = std::shared_ptr<Bucket>;
  using WaiterPtr = std::shared_ptr<Waiter>;
  using Told = std::vector<std::pair<Done, Verdict>>;  // once the lock is released
  enum class Taken { kYes, kNo, kWait };

  // All under mutex_.
  const Plan& PlanOf(std::string_view method);
  BucketPtr BucketOf(Limit& limit, std::string_view client);
  Taken Go(Progress& progress, SteadyTime now);
  Taken Take(const BucketPtr& at, SteadyTime now, bool patient, SteadyTime& until, Verdict& verdict);
  Taken TakeAlone(Bucket& bucket, SteadyTime now, Verdict& verdict);
  Taken Refuse(const Bucket& bucket, absl::Duration wait, Verdict& verdict);
  void GiveBack(Progress& progress, SteadyTime now);
  void Fetch(const BucketPtr& bucket);
  void Granted(const BucketPtr& at, const storage::CellGrant& grant, SteadyTime now, Told& told);
  void Failed(Bucket& bucket, SteadyTime now, Told& told);
  void GoOn(const WaiterPtr& waiter, SteadyTime now, Told& told);
  void Tell(Waiter& waiter, Told& told);
  void SetAway(bool away);
  void ExpireWaiters(SteadyTime now, Told& told);  // all of them, once it stops

  std::optional<SteadyTime> FetchTurn();
  std::optional<SteadyTime> ExpireTurn();

  storage::LimitStore& store_;
  const Clock& clock_;
  Metrics& metrics_;
  const LimiterOptions options_;
  prometheus::Counter& waits_;
  prometheus::Counter& exchanges_;
  prometheus::Gauge& away_gauge_;
  std::atomic<bool> has_rules_{false};
  bool store_failed_ = false;  // as was told; in turns of fetching_ only

  std::mutex mutex_;  // over all below
  std::vector<std::unique_ptr<Limit>> limits_;
  absl::flat_hash_map<std::string, std::unique_ptr<Plan>> plans_;  // by method
  std::vector<BucketPtr> wanted_;                                  // to be fetched
  std::deque<WaiterPtr> waiting_;                                  // in the order in which they give up
  bool away_ = false;
  SteadyTime ask_again_ = SteadyTime::InfinitePast();  // while away
  bool stopping_ = false;
  std::unique_ptr<Loop> fetching_, expiring_;
};

}  // namespace waybill::limits

#include "edge/limits/limiter.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "domain/reasons.h"
#include "edge/limits/gcra.h"
#include "fmt/format.h"

namespace waybill::limits {
namespace {

constexpr size_t kBucketsAnExchange = 256;

// Of a burst, what a lease holds at most, and what is kept back for leases.
constexpr int64_t kLeaseShare = 20;
constexpr absl::Duration kHoldMax = absl::Seconds(1);

// Debian's Abseil has a string_view of its own.
absl::string_view KeyOf(std::string_view text) { return {text.data(), text.size()}; }

int64_t CeilSeconds(absl::Duration duration) { return absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1))); }

}  // namespace

// Leases. A cell that was granted may be spent here for `hold`, by whoever comes, and is let go then. Spent in a window
// of w is thus what was granted in one of w + hold, at most; so the store is asked for a burst that is smaller by what
// it grants in `hold`, and the bound that the rule states holds whenever cells are spent. Of a burst below twenty
// nothing is leased: each cell is for a call that waits for it.
struct Limiter::Policy {
  std::shared_ptr<const Rule> rule;
  storage::CellRate store_rate;
  int64_t lease_max = 0;
  absl::Duration hold = absl::ZeroDuration();
  prometheus::Counter& refused;
  prometheus::Counter& shadowed;
  prometheus::Counter& alone_passed;
  prometheus::Counter& alone_refused;
  prometheus::Counter& granted;
  prometheus::Counter& unused;
};

struct Limiter::Bucket {
  Bucket(std::shared_ptr<const Policy> of, std::string_view whose) : policy(std::move(of)), client(whose) {}

  struct Lease {
    int64_t cells;
    SteadyTime until;
  };

  void DropStale(SteadyTime now) {
    while (!leases.empty() && leases.front().until <= now) {
      held -= leases.front().cells;
      policy->unused.Increment(static_cast<double>(leases.front().cells));
      leases.erase(leases.begin());
    }
  }
  void Add(int64_t cells, SteadyTime until) {
    if (cells == 0) return;
    leases.insert(std::find_if(leases.begin(), leases.end(), [&](const Lease& one) { return one.until > until; }),
                  {cells, until});
    held += cells;
  }
  // The one that goes first; until when it could have been spent.
  SteadyTime Spend() {
    Lease& first = leases.front();
    const SteadyTime until = first.until;
    --held;
    if (--first.cells == 0) leases.erase(leases.begin());
    return until;
  }

  const std::shared_ptr<const Policy> policy;
  const std::string client;
  absl::InlinedVector<Lease, 2> leases;  // the first to go first
  int64_t held = 0;                      // cells in them
  int64_t low = 0;                       // with so few more are fetched
  bool fetching = false;                 // wanted, or under way
  SteadyTime asked_at = SteadyTime::InfinitePast();
  int64_t asked = 0, asked_unseen = 0;
  int64_t ahead = 0;    // of need, then
  int64_t arrived = 0;  // calls since then
  SteadyTime empty_until = SteadyTime::InfinitePast();
  int64_t left = 0;                             // in the store, then
  absl::Duration whole = absl::ZeroDuration();  // until it is whole there, from then
  std::vector<WaiterPtr> waiters;
  int64_t unseen = 0;  // calls that passed a shadow rule without waiting for what it says
  Gcra alone;          // while the store is away
};

struct Limiter::Limit {
  std::shared_ptr<const Policy> policy;
  absl::flat_hash_map<std::string, BucketPtr> buckets;
};

struct Limiter::Plan {
  std::vector<Limit*> for_all;
  absl::flat_hash_map<std::string, std::vector<Limit*>> for_client;  // instead
};

struct Limiter::Progress {
  struct Step {
    BucketPtr bucket;
    SteadyTime until = SteadyTime::InfinitePast();  // the cell that was taken could have been spent
  };
  absl::InlinedVector<Step, 4> steps;
  size_t next = 0;
  bool patient = true;
  Verdict verdict;
};

struct Limiter::Waiter : Progress {
  Waiter(Progress progress, Done then, SteadyTime until)
      : Progress(std::move(progress)), done(std::move(then)), gives_up(until) {}

  Done done;  // null: told
  const SteadyTime gives_up;
};

std::string RateLimitField(const Verdict& verdict) {
  return fmt::format("\"{}\";r={};t={}", verdict.rule->name, verdict.left, CeilSeconds(verdict.reset));
}

std::string RateLimitPolicyField(const Verdict& verdict) {
  const Rule& rule = *verdict.rule;
  return fmt::format("\"{}\";q={};w={}", rule.name, rule.rate.count, CeilSeconds(rule.rate.period));
}

Limiter::Limiter(storage::LimitStore& store, const Clock& clock, Metrics& metrics, LimiterOptions options)
    : store_(store),
      clock_(clock),
      metrics_(metrics),
      options_(options),
      waits_(metrics.AddCounter("waybill_limit_waits_total", "Calls that waited for Redis to say whether they pass.")),
      exchanges_(metrics.AddCounter("waybill_limit_exchanges_total", "Questions to Redis about limits.")),
      away_gauge_(metrics.AddGauge("waybill_limit_store_away", "1 while limits are held without Redis.")) {}

Limiter::~Limiter() { Stop(); }

void Limiter::Use(const std::vector<Rule>& rules) {
  std::vector<std::unique_ptr<Limit>> limits;
  for (const Rule& rule : rules) {
    const prometheus::Labels labels = {{"rule", rule.name}};
    const auto alone = [&](const char* outcome) -> prometheus::Counter& {
      return metrics_.AddCounter("waybill_limit_unshared_total",
                                 "Calls that were judged by this replica alone, because Redis was away.",
                                 {{"rule", rule.name}, {"outcome", outcome}});
    };
    const int64_t lease_max = rule.rate.burst / kLeaseShare;
    const absl::Duration hold = std::min(rule.rate.period / rule.rate.count * lease_max, kHoldMax);
    storage::CellRate store_rate = rule.rate;
    // Rounded up.
    store_rate.burst -= (hold * rule.rate.count + rule.rate.period - absl::Nanoseconds(1)) / rule.rate.period;
    auto limit = std::make_unique<Limit>();
    limit->policy = std::make_shared<const Policy>(Policy{
        std::make_shared<const Rule>(rule), store_rate, lease_max, hold,
        metrics_.AddCounter("waybill_limit_refused_total", "Calls that were over a limit, and refused.", labels),
        metrics_.AddCounter("waybill_limit_shadow_total", "Calls that were over a limit in shadow mode, and passed.",
                            labels),
        alone("passed"), alone("refused"),
        metrics_.AddCounter("waybill_limit_granted_total", "Calls' worth of a limit that Redis has granted.", labels),
        metrics_.AddCounter("waybill_limit_unused_total", "What was granted ahead of need, and not needed.", labels)});
    limits.push_back(std::move(limit));
  }
  std::lock_guard lock(mutex_);
  plans_.clear();
  limits_ = std::move(limits);
  has_rules_ = !limits_.empty();
}

// For what one method names, the rules of a client by name take the place of those for all.
const Limiter::Plan& Limiter::PlanOf(std::string_view method) {
  if (auto known = plans_.find(KeyOf(method)); known != plans_.end()) return *known->second;
  auto plan = std::make_unique<Plan>();
  std::vector<Limit*> about;
  for (const auto& limit : limits_) {
    if (IsAbout(*limit->policy->rule, method)) about.push_back(limit.get());
  }
  const auto of = [&](std::string_view client) {
    std::vector<Limit*> found;
    for (Limit* limit : about) {
      const Rule& rule = *limit->policy->rule;
      const bool replaced = rule.client == kEvery && std::any_of(about.begin(), about.end(), [&](const Limit* other) {
                              return other->policy->rule->client == client && client != kEvery &&
                                     other->policy->rule->method == rule.method;
                            });
      if (rule.client == client || (rule.client == kEvery && !replaced)) found.push_back(limit);
    }
    return found;
  };
  plan->for_all = of(kEvery);
  for (Limit* limit : about) {
    const std::string& client = limit->policy->rule->client;
    if (client != kEvery) plan->for_client.try_emplace(client, of(client));
  }
  return *plans_.emplace(std::string(method), std::move(plan)).first->second;
}

Limiter::BucketPtr Limiter::BucketOf(Limit& limit, std::string_view client) {
  if (auto known = limit.buckets.find(KeyOf(client)); known != limit.buckets.end()) return known->second;
  if (limit.buckets.size() >= options_.clients_max) {
    // What they have used stands in the store; what they have been leased is lost.
    absl::erase_if(limit.buckets, [](const auto& entry) { return !entry.second->fetching; });
  }
  return limit.buckets.emplace(std::string(client), std::make_shared<Bucket>(limit.policy, client)).first->second;
}

std::optional<Verdict> Limiter::Admit(std::string_view method, std::string_view client, Done done) {
  if (!has_rules_.load(std::memory_order_relaxed)) return Verdict();
  std::lock_guard lock(mutex_);
  const Plan& plan = PlanOf(method);
  const std::vector<Limit*>* limits = &plan.for_all;
  if (!plan.for_client.empty()) {
    if (auto own = plan.for_client.find(KeyOf(client)); own != plan.for_client.end()) limits = &own->second;
  }
  if (limits->empty()) return Verdict();
  Progress progress;
  for (Limit* limit : *limits) progress.steps.push_back({BucketOf(*limit, client)});
  const SteadyTime now = clock_.Steady();
  if (Go(progress, now) != Taken::kWait) return std::move(progress.verdict);
  waits_.Increment();
  const auto waiter = std::make_shared<Waiter>(std::move(progress), std::move(done), now + options_.wait_max);
  waiter->steps[waiter->next].bucket->waiters.push_back(waiter);
  waiting_.push_back(waiter);
  if (waiting_.size() == 1 && expiring_ != nullptr) expiring_->Wake();
  return std::nullopt;
}

Limiter::Taken Limiter::Go(Progress& progress, SteadyTime now) {
  // Who is known to be over one of them uses nothing of the others.
  for (size_t i = progress.next; i < progress.steps.size(); ++i) {
    Bucket& bucket = *progress.steps[i].bucket;
    bucket.DropStale(now);
    if (bucket.policy->rule->shadow || bucket.held > 0 || now >= bucket.empty_until) continue;
    GiveBack(progress, now);
    return Refuse(bucket, bucket.empty_until - now, progress.verdict);
  }
  for (; progress.next < progress.steps.size(); ++progress.next) {
    Progress::Step& step = progress.steps[progress.next];
    const Taken taken = Take(step.bucket, now, progress.patient, step.until, progress.verdict);
    if (taken == Taken::kNo) GiveBack(progress, now);
    if (taken != Taken::kYes) return taken;
  }
  return Taken::kYes;
}

Limiter::Taken Limiter::Take(const BucketPtr& at, SteadyTime now, bool patient, SteadyTime& until, Verdict& verdict) {
  Bucket& bucket = *at;
  const Policy& policy = *bucket.policy;
  ++bucket.arrived;
  bucket.DropStale(now);
  if (bucket.held > 0) {
    until = bucket.Spend();
    if (bucket.held <= bucket.low) Fetch(at);
    const int64_t left = bucket.held + bucket.left;
    if (!policy.rule->shadow && (verdict.rule == nullptr || left < verdict.left)) {
      verdict.rule = policy.rule;
      verdict.left = left;
      verdict.reset = std::max(bucket.asked_at + bucket.whole - now, absl::ZeroDuration());
    }
    return Taken::kYes;
  }
  if (now < bucket.empty_until) return Refuse(bucket, bucket.empty_until - now, verdict);
  Fetch(at);
  if (away_ || stopping_ || !patient) return TakeAlone(bucket, now, verdict);
  if (!policy.rule->shadow) return Taken::kWait;
  ++bucket.unseen;
  return Taken::kYes;
}

Limiter::Taken Limiter::TakeAlone(Bucket& bucket, SteadyTime now, Verdict& verdict) {
  const Policy& policy = *bucket.policy;
  const Rule& rule = *policy.rule;
  if (!rule.open_when_away && !rule.shadow) {
    policy.alone_refused.Increment();
    verdict = Verdict();
    verdict.status = domain::ReasonError(
        "STORE_UNAVAILABLE", fmt::format("Redis is away, without which the limit {} lets nobody pass", rule.name),
        {.metadata = {{"rule", rule.name}}, .retry_after = absl::Seconds(1)});
    return Taken::kNo;
  }
  const absl::Duration wait = bucket.alone.Take(rule.rate, now);
  if (wait > absl::ZeroDuration()) {
    policy.alone_refused.Increment();
    return Refuse(bucket, wait, verdict);
  }
  policy.alone_passed.Increment();
  return Taken::kYes;
}

Limiter::Taken Limiter::Refuse(const Bucket& bucket, absl::Duration wait, Verdict& verdict) {
  const Policy& policy = *bucket.policy;
  if (policy.rule->shadow) {
    policy.shadowed.Increment();
    return Taken::kYes;
  }
  policy.refused.Increment();
  const Rule& rule = *policy.rule;
  ErrorDetail detail;
  detail.metadata.emplace_back("rule", rule.name);
  detail.retry_after = std::max(wait, absl::Milliseconds(1));
  detail.quotas.emplace_back(fmt::format("client:{}", bucket.client),
                             fmt::format("{}: {}", rule.name, Describe(rule.rate)));
  verdict.status = domain::ReasonError(
      "RATE_LIMITED", fmt::format("over the limit {} of {}", rule.name, Describe(rule.rate)), std::move(detail));
  verdict.rule = policy.rule;
  verdict.left = 0;
  verdict.reset = wait;
  return Taken::kNo;
}

// What a call has taken before it was refused.
void Limiter::GiveBack(Progress& progress, SteadyTime now) {
  for (size_t i = 0; i < progress.next; ++i) {
    const Progress::Step& step = progress.steps[i];
    if (step.until > now) step.bucket->Add(1, step.until);
  }
}

void Limiter::Fetch(const BucketPtr& bucket) {
  // While the store is away one question without a bucket tries it: those who ask then may be any number.
  if (stopping_ || away_ || std::exchange(bucket->fetching, true)) return;
  wanted_.push_back(bucket);
  if (fetching_ != nullptr) fetching_->Wake();
}

void Limiter::Granted(const BucketPtr& at, const storage::CellGrant& grant, SteadyTime now, Told& told) {
  Bucket& bucket = *at;
  const Policy& policy = *bucket.policy;
  const bool exhausted = grant.granted < bucket.asked;
  const SteadyTime until = bucket.asked_at + policy.hold;
  bucket.fetching = false;
  bucket.left = grant.left;
  bucket.whole = grant.whole;
  if (exhausted) bucket.empty_until = bucket.asked_at + grant.next;
  policy.granted.Increment(static_cast<double>(grant.granted));
  const int64_t seen = std::min(bucket.asked_unseen, grant.granted);
  policy.shadowed.Increment(static_cast<double>(bucket.asked_unseen - seen));
  bucket.unseen -= bucket.asked_unseen;
  int64_t cells = grant.granted - seen;
  const size_t served = std::min(static_cast<size_t>(cells), bucket.waiters.size());
  cells -= static_cast<int64_t>(served);
  std::vector<WaiterPtr> passing(std::make_move_iterator(bucket.waiters.begin()),
                                 std::make_move_iterator(bucket.waiters.begin() + static_cast<ptrdiff_t>(served)));
  bucket.waiters.erase(bucket.waiters.begin(), bucket.waiters.begin() + static_cast<ptrdiff_t>(served));
  bucket.Add(cells, until);
  bucket.low = bucket.held / 2;
  for (const WaiterPtr& waiter : passing) {
    waiter->steps[waiter->next].until = until;
    Verdict& verdict = waiter->verdict;
    if (verdict.rule == nullptr || bucket.held + bucket.left < verdict.left) {
      verdict.rule = policy.rule;
      verdict.left = bucket.held + bucket.left;
      verdict.reset = grant.whole;
    }
    ++waiter->next;
    GoOn(waiter, now, told);
  }
  if (exhausted) {
    for (const WaiterPtr& waiter : std::exchange(bucket.waiters, {})) {
      Refuse(bucket, std::max(bucket.empty_until - now, absl::Milliseconds(1)), waiter->verdict);
      GiveBack(*waiter, now);
      Tell(*waiter, told);
    }
  }
  if (!bucket.waiters.empty() || bucket.unseen > 0) Fetch(at);
}

void Limiter::Failed(Bucket& bucket, SteadyTime now, Told& told) {
  bucket.fetching = false;
  bucket.unseen = 0;
  for (const WaiterPtr& waiter : std::exchange(bucket.waiters, {})) {
    waiter->patient = false;
    GoOn(waiter, now, told);
  }
}

void Limiter::GoOn(const WaiterPtr& waiter, SteadyTime now, Told& told) {
  if (Go(*waiter, now) == Taken::kWait) {
    waiter->steps[waiter->next].bucket->waiters.push_back(waiter);
  } else {
    Tell(*waiter, told);
  }
}

void Limiter::Tell(Waiter& waiter, Told& told) {
  told.emplace_back(std::exchange(waiter.done, nullptr), std::move(waiter.verdict));
}

void Limiter::SetAway(bool away) {
  away_ = away;
  away_gauge_.Set(away ? 1 : 0);
}

std::optional<SteadyTime> Limiter::FetchTurn() {
  std::vector<BucketPtr> batch;
  std::vector<storage::CellRequest> requests;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return std::nullopt;
    const SteadyTime now = clock_.Steady();
    if (away_ && now < ask_again_) return ask_again_;
    if (wanted_.empty() && !away_) return Loop::kWhenWoken;
    const size_t size = std::min(wanted_.size(), kBucketsAnExchange);
    batch.assign(wanted_.begin(), wanted_.begin() + static_cast<ptrdiff_t>(size));
    wanted_.erase(wanted_.begin(), wanted_.begin() + static_cast<ptrdiff_t>(size));
    for (const BucketPtr& bucket : batch) {
      const Policy& policy = *bucket->policy;
      // Ahead of need: at the pace of late, what will come in half of the time that it can be spent in. At most
      // doubled each time, so that two calls in a row are no flood.
      const double coming =
          static_cast<double>(bucket->arrived) * absl::FDivDuration(policy.hold / 2, now - bucket->asked_at);
      bucket->ahead = std::min(policy.lease_max, 2 * bucket->ahead + 1);
      if (coming < static_cast<double>(bucket->ahead)) bucket->ahead = std::lround(coming);
      const int64_t due = static_cast<int64_t>(bucket->waiters.size()) + bucket->unseen;
      bucket->asked = std::min(due + std::max<int64_t>(bucket->ahead - bucket->held, 0), policy.store_rate.burst);
      bucket->asked_unseen = bucket->unseen;
      bucket->asked_at = now;
      bucket->arrived = 0;
      requests.push_back({fmt::format("{}:{}", policy.rule->name, bucket->client), policy.store_rate, bucket->asked});
    }
  }
  exchanges_.Increment();
  const absl::StatusOr<std::vector<storage::CellGrant>> grants = store_.Take(requests);
  if (std::exchange(store_failed_, !grants.ok()) == grants.ok()) options_.on_store(grants.status());
  Told told;
  std::optional<SteadyTime> due;
  {
    std::lock_guard lock(mutex_);
    const SteadyTime now = clock_.Steady();
    SetAway(!grants.ok());
    if (!grants.ok()) ask_again_ = now + options_.retry_store;
    for (size_t i = 0; i < batch.size(); ++i) {
      if (grants.ok()) {
        Granted(batch[i], (*grants)[i], now, told);
      } else {
        Failed(*batch[i], now, told);
      }
    }
    due = away_ ? ask_again_ : wanted_.empty() ? Loop::kWhenWoken : Loop::kAtOnce;
  }
  for (auto& [done, verdict] : told) done(std::move(verdict));
  return due;
}

void Limiter::ExpireWaiters(SteadyTime now, Told& told) {
  while (!waiting_.empty()) {
    const WaiterPtr waiter = waiting_.front();
    if (waiter->done != nullptr && waiter->gives_up > now && !stopping_) return;
    waiting_.pop_front();
    if (waiter->done == nullptr) continue;
    SetAway(true);
    std::vector<WaiterPtr>& line = waiter->steps[waiter->next].bucket->waiters;
    line.erase(std::find(line.begin(), line.end(), waiter));
    waiter->patient = false;
    GoOn(waiter, now, told);
  }
}

std::optional<SteadyTime> Limiter::ExpireTurn() {
  Told told;
  std::optional<SteadyTime> due;
  {
    std::lock_guard lock(mutex_);
    ExpireWaiters(clock_.Steady(), told);
    if (!stopping_) due = waiting_.empty() ? Loop::kWhenWoken : waiting_.front()->gives_up;
  }
  for (auto& [done, verdict] : told) done(std::move(verdict));
  return due;
}

void Limiter::Start(const Loops& loops) {
  std::lock_guard lock(mutex_);
  fetching_ = loops.Start([this](const Clock&) { return FetchTurn(); });
  expiring_ = loops.Start([this](const Clock&) { return ExpireTurn(); });
}

void Limiter::Stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true) || fetching_ == nullptr) return;
  }
  fetching_->Join();
  expiring_->Join();  // tells those that are left
}

}  // namespace waybill::limits

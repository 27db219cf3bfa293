// What befalls the order service in one simulated story, as the seed has it: what clients and operators ask for and
// when, which processes crash, what is away for how long, and how the participants behave. A plan that fails is shrunk
// to what it takes to fail.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "payments/gateway.h"
#include "services/sandbox/behaviour.h"
#include "tests/simulation/host.h"

namespace waybill::simulation {

struct Act {
  enum class Kind {
    kCreate,  // `number`: the order
    kRepeat,  // the same request again, from another caller
    kAlter,   // another request under the same key
    kCancel,  // of that order, once it is known
    kComplete,
    kRefund,  // a part of its money
    kWatch,
    kRetry,      // an operator's
    kResolve,    // the same
    kCrash,      // `number`: the process
    kRoll,       // it is stopped as a release does it, and started again
    kStoreAway,  // for `span_ms`
    kFleetAway,
    kParticipantsAway,
    kGatewayAway,  // `number`: this one alone, for `span_ms`
    kRestore,      // gateway `number`, from a backup that lacks what it has done in the last `span_ms`
    kClosed,       // all processes are stopped for `span_ms`, which may be weeks
    kCapacity,     // `number`: of this driver, to what `chance` says
  };
  Kind kind = Kind::kCreate;
  int64_t at_ms = 0;
  int number = 0;
  int64_t span_ms = 0;
  uint64_t chance = 0;  // for whatever else is to be drawn
};

// One of several gateways, with a misbehaviour of its own.
struct GatewayPlan {
  payments::Gateway route;
  sandbox::Behaviour behaviour;
  absl::Duration clock_ahead = absl::ZeroDuration();  // of ours, of which others' may be off, too
  bool declines_retryably = false;  // about half of its declines say that another gateway may say otherwise
};

// What gateways say by webhook; one in so many, 0: never.
struct PostOdds {
  bool any = false;  // else somebody signals the orders themselves
  uint64_t lost = 6;
  uint64_t late = 4;
  uint64_t twice = 4;
  uint64_t other_amount = 10;  // beside what is true
  uint64_t stray = 20;         // of no order of ours
};

struct Plan {
  uint64_t seed = 0;
  int orders = 0;
  int processes = 3;
  int drivers = 10;
  bool remote_dispatch = false;
  GapOdds gaps;
  sandbox::Behaviour behaviour;       // of the dispatcher, and of the one gateway where there are no several
  std::vector<GatewayPlan> gateways;  // empty: orders are not routed
  int asks_max = 3;                   // of the routing's options
  PostOdds posts;
  absl::Duration clock_ahead = absl::ZeroDuration();  // the participants'
  absl::Duration skew = absl::ZeroDuration();         // of the processes' wall clocks, at most
  std::vector<Act> acts;                              // in the order of their time
};

inline constexpr int kOrdersOfAStory = 40;

// How long all processes are stopped.
absl::Duration ClosedFor(const Plan& plan);

Plan Draw(uint64_t seed, int orders = kOrdersOfAStory);

std::string Describe(const Plan& plan);

// The smallest plan found, by leaving out what it does not take, that still `fails`. Tries at most so many.
Plan Shrink(Plan plan, const std::function<bool(const Plan&)>& fails, int tries = 400);

}  // namespace waybill::simulation

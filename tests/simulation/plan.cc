#include "tests/simulation/plan.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "fmt/format.h"
#include "tests/simulation/chance.h"

namespace waybill::simulation {
namespace {

using Kind = Act::Kind;

std::string_view NameOf(Kind kind) {
  switch (kind) {
    case Kind::kCreate:
      return "create order";
    case Kind::kRepeat:
      return "repeat order";
    case Kind::kAlter:
      return "send another request under the key of order";
    case Kind::kCancel:
      return "cancel order";
    case Kind::kComplete:
      return "complete order";
    case Kind::kRefund:
      return "give back a part of the money of order";
    case Kind::kWatch:
      return "watch order";
    case Kind::kRetry:
      return "an operator retries order";
    case Kind::kResolve:
      return "an operator resolves order";
    case Kind::kCrash:
      return "crash process";
    case Kind::kRoll:
      return "stop and start process";
    case Kind::kStoreAway:
      return "the store is away";
    case Kind::kFleetAway:
      return "the fleet is away";
    case Kind::kParticipantsAway:
      return "the participants are away";
    case Kind::kGatewayAway:
      return "away is gateway";
    case Kind::kRestore:
      return "restored from a backup, without its newest, is gateway";
    case Kind::kClosed:
      return "closed is the service";
    case Kind::kCapacity:
      return "set the capacity of driver";
  }
  return "";
}

sandbox::Behaviour DrawBehaviour(Chance& chance) {
  sandbox::Behaviour behaviour;
  auto share = [&chance](int64_t percent_max) {
    return chance.OneIn(2) ? 0.01 * static_cast<double>(chance.Between(0, percent_max)) : 0.0;
  };
  behaviour.unavailable_rate = share(20);
  behaviour.lost_before_rate = share(10);
  behaviour.lost_after_rate = share(15);
  behaviour.late_rate = share(15);
  behaviour.slow_rate = share(15);
  behaviour.decline_rate = share(15);
  behaviour.pending_rate = share(30);
  behaviour.latency_ms_p50 = chance.Between(2, 60);
  behaviour.latency_ms_p99 = behaviour.latency_ms_p50 * chance.Between(1, 20);
  behaviour.late_ms = chance.Between(500, 5'000);
  behaviour.pending_for_ms = chance.Between(200, 6'000);
  behaviour.repetition = static_cast<sandbox::Repetition>(chance.Pick(4));
  return behaviour;
}

// Half of all stories are of one gateway.
void DrawGateways(Plan& plan) {
  Chance chance(plan.seed, {20});
  if (chance.OneIn(2)) return;
  constexpr const char* kNames[] = {"north", "south", "east"};
  const size_t count = 2 + chance.Pick(2);
  for (size_t number = 0; number < count; ++number) {
    GatewayPlan& gateway = plan.gateways.emplace_back();
    gateway.route.name = kNames[number];
    gateway.route.weight = static_cast<int>(chance.Between(1, 100));
    if (chance.OneIn(4)) gateway.route.cost_ppm = chance.Between(1, 30'000);
    gateway.route.fallback = number > 0 && chance.OneIn(4);
    gateway.behaviour = DrawBehaviour(chance);
    gateway.declines_retryably = !chance.OneIn(3);
    if (gateway.declines_retryably) gateway.behaviour.decline_rate += 0.1;
  }
  plan.asks_max = static_cast<int>(1 + chance.Pick(3));
  for (size_t n = chance.Pick(3); n > 0; --n) {
    plan.acts.push_back({Kind::kGatewayAway, chance.Between(0, 10'000), static_cast<int>(chance.Pick(count)),
                         chance.Between(10, 8'000), 0});
  }
}

// In half of all stories webhooks tell what has become of charges, and now and then these wait for minutes.
void DrawPosts(Plan& plan) {
  Chance chance(plan.seed, {22});
  plan.posts.any = chance.OneIn(2);
  if (!plan.posts.any) return;
  const bool long_ones = chance.OneIn(3);
  auto wait = [&](sandbox::Behaviour& behaviour) {
    behaviour.pending_rate = 0.01 * static_cast<double>(chance.Between(0, 60));
    if (long_ones) behaviour.pending_for_ms = chance.Between(60'000, 400'000);
    if (chance.OneIn(2)) behaviour.expires_ms = chance.Between(1, 2 * behaviour.pending_for_ms);
  };
  wait(plan.behaviour);
  for (GatewayPlan& gateway : plan.gateways) wait(gateway.behaviour);
}

// In every other story parts of the money go back, also while their order is turned back or completed.
void DrawRefunds(Plan& plan) {
  Chance chance(plan.seed, {23});
  if (chance.OneIn(2)) return;
  const size_t acts = plan.acts.size();
  for (size_t at = 0; at < acts; ++at) {
    const Act act = plan.acts[at];
    if (act.kind != Kind::kCreate) continue;
    for (size_t n = chance.Pick(4); n > 0; --n) {
      plan.acts.push_back({Kind::kRefund, act.at_ms + chance.Between(100, 8'000), act.number, 0, chance.Next()});
    }
  }
  for (size_t at = 0; at < acts; ++at) {
    const Act act = plan.acts[at];
    if (act.kind != Kind::kCancel || chance.OneIn(3)) continue;
    plan.acts.push_back({Kind::kRefund, act.at_ms - chance.Between(0, 20), act.number, 0, chance.Next()});
  }
}

// Clocks that are ten minutes off, more than a webhook's signature may be old.
void DrawClocks(Plan& plan) {
  Chance chance(plan.seed, {24});
  constexpr absl::Duration kOff = absl::Minutes(10);
  auto off = [&] { return !chance.OneIn(8) ? absl::ZeroDuration() : chance.OneIn(2) ? kOff : -kOff; };
  if (chance.OneIn(8)) plan.skew = kOff;
  plan.clock_ahead = off();
  for (GatewayPlan& gateway : plan.gateways) gateway.clock_ahead = off();
}

// What takes weeks: payers who think it over, while nobody is there to hear of it. And what takes away the last minute.
void DrawTimes(Plan& plan) {
  Chance chance(plan.seed, {25});
  if (!plan.gateways.empty() && chance.OneIn(4)) {
    plan.acts.push_back({Kind::kRestore, chance.Between(1'000, 12'000),
                         static_cast<int>(chance.Pick(plan.gateways.size())),
                         chance.OneIn(3) ? 60'000 : chance.Between(200, 4'000), 0});
  }
  if (!chance.OneIn(4)) return;
  constexpr int64_t kDay = 24 * 3'600'000;
  const int64_t span_ms = chance.Between(kDay / 4, 45 * kDay);
  plan.acts.push_back({Kind::kClosed, chance.Between(2'000, 15'000), 0, span_ms, 0});
  auto wait = [&](sandbox::Behaviour& behaviour) {
    if (chance.OneIn(2)) behaviour.pending_for_ms = chance.Between(kDay / 10, span_ms);
  };
  wait(plan.behaviour);
  for (GatewayPlan& gateway : plan.gateways) wait(gateway.behaviour);
}

void SortByTime(std::vector<Act>& acts) {
  std::stable_sort(acts.begin(), acts.end(), [](const Act& a, const Act& b) { return a.at_ms < b.at_ms; });
}

}  // namespace

Plan Draw(uint64_t seed, int orders) {
  Plan plan;
  plan.seed = seed;
  plan.orders = orders;
  Chance chance(seed, {1});
  plan.processes = static_cast<int>(2 + chance.Pick(2));
  plan.drivers = static_cast<int>(4 + chance.Pick(20));
  plan.remote_dispatch = chance.OneIn(3);
  plan.behaviour = DrawBehaviour(chance);
  if (chance.OneIn(3)) plan.skew = chance.Milliseconds(0, 1'500);
  const int64_t span_ms = chance.OneIn(3) ? 1'500 : 10'000;  // a crowd, now and then
  auto add = [&](Kind kind, int number, int64_t at_ms, int64_t for_ms = 0) {
    plan.acts.push_back({kind, at_ms, number, for_ms, chance.Next()});
  };
  for (int order = 0; order < orders; ++order) {
    const int64_t at = chance.Between(0, span_ms);
    add(Kind::kCreate, order, at);
    if (chance.OneIn(5)) add(Kind::kRepeat, order, at + chance.Between(0, 3'000));
    if (chance.OneIn(20)) add(Kind::kAlter, order, at + chance.Between(0, 3'000));
    if (chance.OneIn(3)) add(Kind::kCancel, order, at + chance.Between(0, 6'000));
    if (!chance.OneIn(3)) add(Kind::kComplete, order, at + chance.Between(0, 8'000));
    if (chance.OneIn(4)) add(Kind::kWatch, order, at + chance.Between(0, 3'000));
    if (chance.OneIn(12)) add(Kind::kRetry, order, at + chance.Between(500, 6'000));
    if (chance.OneIn(20)) add(Kind::kResolve, order, at + chance.Between(3'000, 15'000));
    if (chance.OneIn(6)) {  // two who want opposite things at once
      const int64_t then = at + chance.Between(100, 6'000);
      add(Kind::kCancel, order, then);
      add(Kind::kComplete, order, then + chance.Between(0, 5));
    }
  }
  for (size_t n = chance.Pick(5); n > 0; --n)
    add(Kind::kCrash, static_cast<int>(chance.Pick(static_cast<size_t>(plan.processes))), chance.Between(0, 14'000));
  for (size_t n = chance.Pick(2); n > 0; --n)
    add(Kind::kRoll, static_cast<int>(chance.Pick(static_cast<size_t>(plan.processes))), chance.Between(0, 12'000));
  if (chance.OneIn(3)) add(Kind::kStoreAway, 0, chance.Between(0, 10'000), chance.Between(10, 5'000));
  if (chance.OneIn(4)) add(Kind::kFleetAway, 0, chance.Between(0, 10'000), chance.Between(10, 8'000));
  if (chance.OneIn(4)) add(Kind::kParticipantsAway, 0, chance.Between(0, 10'000), chance.Between(10, 10'000));
  if (chance.OneIn(3)) add(Kind::kCapacity, static_cast<int>(chance.Pick(4)), chance.Between(0, 10'000));
  if (chance.OneIn(3)) plan.gaps.pause = 2;  // stores that are slow
  DrawGateways(plan);
  DrawPosts(plan);
  DrawRefunds(plan);
  DrawClocks(plan);
  DrawTimes(plan);
  SortByTime(plan.acts);
  return plan;
}

absl::Duration ClosedFor(const Plan& plan) {
  absl::Duration all;
  for (const Act& act : plan.acts) {
    if (act.kind == Kind::kClosed) all += absl::Milliseconds(act.span_ms);
  }
  return all;
}

namespace {

std::string Describe(const sandbox::Behaviour& b) {
  return fmt::format(
      "unavailable {:.2f}, request lost {:.2f}, answer lost {:.2f}, late {:.2f}, slow {:.2f}, declined {:.2f}, pending "
      "{:.2f}; late and slow by {} ms, pending for {} ms, to be paid within {} ms (0: unsaid), repetitions {}",
      b.unavailable_rate, b.lost_before_rate, b.lost_after_rate, b.late_rate, b.slow_rate, b.decline_rate,
      b.pending_rate, b.late_ms, b.pending_for_ms, b.expires_ms, static_cast<int>(b.repetition));
}

}  // namespace

std::string Describe(const Plan& plan) {
  std::string text = fmt::format(
      "seed {}: {} processes, {} drivers, {} dispatch, wall clocks up to {} apart\nparticipants (clock {} ahead): {}\n",
      plan.seed, plan.processes, plan.drivers, plan.remote_dispatch ? "remote" : "nearest driver",
      absl::FormatDuration(plan.skew), absl::FormatDuration(plan.clock_ahead), Describe(plan.behaviour));
  if (plan.posts.any) {
    const PostOdds& odds = plan.posts;
    text +=
        fmt::format("gateways post webhooks; one in {} is lost, {} late, {} twice; {} of another amount, {} stray\n",
                    odds.lost, odds.late, odds.twice, odds.other_amount, odds.stray);
  }
  for (const GatewayPlan& gateway : plan.gateways) {
    text += fmt::format(
        "gateway {} (weight {}, cost {} ppm{}; clock {} ahead; {} calls before its key is closed{}): {}\n",
        gateway.route.name, gateway.route.weight, gateway.route.cost_ppm, gateway.route.fallback ? ", fallback" : "",
        absl::FormatDuration(gateway.clock_ahead), plan.asks_max,
        gateway.declines_retryably ? "; declines retryably" : "", Describe(gateway.behaviour));
  }
  for (const Act& act : plan.acts) {
    text += fmt::format("at {:>5} ms {}", act.at_ms, NameOf(act.kind));
    if (act.span_ms == 0) {
      text += fmt::format(" {}\n", act.number);
    } else {
      text += fmt::format(" {} for {} ms\n", act.number, act.span_ms);
    }
  }
  return text;
}

Plan Shrink(Plan plan, const std::function<bool(const Plan&)>& fails, int tries) {
  auto keep_if_it_fails = [&](Plan smaller) {
    if (tries-- <= 0 || !fails(smaller)) return false;
    plan = std::move(smaller);
    return true;
  };
  // Whole kinds of trouble first.
  auto without = [&](auto field) {
    Plan smaller = plan;
    field(smaller) = {};
    keep_if_it_fails(std::move(smaller));
  };
  without([](Plan & p) -> auto& { return p.gaps.sleep; });
  without([](Plan & p) -> auto& { return p.gaps.crash; });
  without([](Plan & p) -> auto& { return p.gaps.lost_request; });
  without([](Plan & p) -> auto& { return p.gaps.lost_answer; });
  without([](Plan & p) -> auto& { return p.gaps.pause; });
  without([](Plan & p) -> auto& { return p.skew; });
  without([](Plan & p) -> auto& { return p.clock_ahead; });
  for (size_t number = 0; number < plan.gateways.size(); ++number) {
    without([number](Plan & p) -> auto& { return p.gateways[number].clock_ahead; });
  }
  without([](Plan & p) -> auto& { return p.gateways; });
  without([](Plan & p) -> auto& { return p.posts.any; });
  without([](Plan & p) -> auto& { return p.posts.lost; });
  without([](Plan & p) -> auto& { return p.posts.late; });
  without([](Plan & p) -> auto& { return p.posts.twice; });
  without([](Plan & p) -> auto& { return p.posts.other_amount; });
  without([](Plan & p) -> auto& { return p.posts.stray; });
  for (size_t number = plan.gateways.size(); number > 2; --number) {
    Plan smaller = plan;
    smaller.gateways.pop_back();
    if (!keep_if_it_fails(std::move(smaller))) break;
  }
  for (double sandbox::Behaviour::*rate :
       {&sandbox::Behaviour::unavailable_rate, &sandbox::Behaviour::lost_before_rate,
        &sandbox::Behaviour::lost_after_rate, &sandbox::Behaviour::late_rate, &sandbox::Behaviour::slow_rate,
        &sandbox::Behaviour::decline_rate, &sandbox::Behaviour::pending_rate}) {
    without([rate](Plan & p) -> auto& { return p.behaviour.*rate; });
    for (size_t number = 0; number < plan.gateways.size(); ++number) {
      without([ rate, number ](Plan & p) -> auto& { return p.gateways[number].behaviour.*rate; });
    }
  }
  // Then acts: halves, quarters, and so on to single ones, as long as that helps.
  for (size_t piece = std::max<size_t>(plan.acts.size() / 2, 1); tries > 0; piece = std::max<size_t>(piece / 2, 1)) {
    bool shrunk = false;
    for (size_t from = 0; from < plan.acts.size() && tries > 0;) {
      Plan smaller = plan;
      const auto first = smaller.acts.begin() + static_cast<std::ptrdiff_t>(from);
      const size_t count = std::min(piece, smaller.acts.size() - from);
      smaller.acts.erase(first, first + static_cast<std::ptrdiff_t>(count));
      if (keep_if_it_fails(std::move(smaller))) {
        shrunk = true;
      } else {
        from += piece;
      }
    }
    if (piece == 1 && !shrunk) break;
  }
  return plan;
}

}  // namespace waybill::simulation

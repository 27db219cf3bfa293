#include "tests/simulation/order_story.h"

#include <utility>

#include "fmt/format.h"
#include "services/order/place_order.h"

namespace waybill::simulation {
namespace {

// Nothing may be unfinished after so long.
constexpr absl::Duration kLongest = absl::Minutes(40);
// Calls that are slow, and lost ones that land, have come to their end by then.
constexpr absl::Duration kAftermath = absl::Seconds(8);

std::string DriverName(int number) { return fmt::format("d-{}", number); }

}  // namespace

OrderStory::OrderStory(const Plan& plan, bool told)
    : plan_(plan),
      told_(told),
      clients_(
          plan, loop_, truth_, [this](int number) { return Find(number); }, [this] { return closed_for(); },
          [this](auto line) { Tell(line); }),
      posts_(
          plan, loop_, truth_, book_, inbox_, [this](int number) { return Find(number); },
          [this](auto line) { Tell(line); }),
      participants_(loop_, plan.seed, plan.behaviour, plan.clock_ahead, plan.drivers, HooksOf("")),
      webhooks_(plan.posts.any ? GatewayPosts::Known(plan) : payments::WebhookGateways()),
      shared_{plan, loop_, book_, fleet_, participants_, gateways_, inbox_, webhooks_, outages_, registry_} {
  MakeGateways();
  std::vector<domain::DriverPosition> positions;
  for (int driver = 0; driver < plan.drivers; ++driver) {
    domain::DriverPosition& position = positions.emplace_back();
    position.driver_id = DriverName(driver);
    position.point = {52.5 + 0.0001 * driver, 13.4};
    position.recorded_at = loop_.Now();
    if (driver % 4 == 0 && !plan.remote_dispatch) book_.capacities[position.driver_id] = 2;
  }
  (void)fleet_.Put(positions, absl::Hours(1));
}

void OrderStory::MakeGateways() {
  for (const GatewayPlan& gateway : plan_.gateways) {
    const std::string& name = gateway.route.name;
    const uint64_t number = gateways_.size();
    gateways_.push_back(std::make_unique<Participants>(loop_, Chance(plan_.seed, {21, number}).Next(),
                                                       gateway.behaviour, gateway.clock_ahead, /*drivers=*/0,
                                                       HooksOf(name)));
  }
}

Participants::Hooks OrderStory::HooksOf(std::string gateway) {
  return {
      [this](const auto& key, const auto& token, bool approved) {
        if (!plan_.posts.any) clients_.Say(key, token, approved);
      },
      [this, gateway](const sandbox::Record& effect) {
        truth_.CheckEffect(gateway, effect);
        if (plan_.posts.any) posts_.Tell(gateway, effect);
      },
      [this, gateway](auto line) { Tell(gateway.empty() ? std::string(line) : fmt::format("{}: {}", gateway, line)); }};
}

// Events and processes hold watches, and these tell the clients of their end.
OrderStory::~OrderStory() {
  clients_.Close();
  processes_.clear();
  loop_.Clear();
}

void OrderStory::Begin() {
  processes_.resize(static_cast<size_t>(plan_.processes));
  for (int number = 0; number < plan_.processes; ++number) Start(number);
  for (const Act& act : plan_.acts) {
    loop_.At(kWorld, start_ + absl::Milliseconds(act.at_ms), [this, &act] { Do(act); });
  }
}

void OrderStory::RunFor(absl::Duration time) {
  Begin();
  RunUntil(start_ + time, false);
}

StoryEnd OrderStory::Run() {
  Begin();
  const absl::Duration acts = absl::Milliseconds(plan_.acts.empty() ? 0 : plan_.acts.back().at_ms + 1);
  RunUntil(start_ + acts, false);
  const absl::Duration longest = kLongest + ClosedFor(plan_);
  RunUntil(start_ + longest, true);
  RunUntil(loop_.Steady() + kAftermath, false);
  RunUntil(start_ + longest + kAftermath, true);
  End();
  StoryEnd end;
  end.wrong = truth_.wrong();
  end.story = std::move(story_);
  end.events = loop_.ran();
  end.deaths = deaths_;
  end.refused = posts_.refused();
  end.forgotten = truth_.forgotten();
  end.closures = closures_;
  end.entries = clients_.entries_watched();
  for (const auto& [event, row] : inbox_.rows) ++end.webhooks[row.state];
  for (const auto& [id, row] : book_.rows) {
    if (row.record->kind == domain::PartialRefund::kKind) {
      ++end.refunds[saga::As<domain::PartialRefund>(*row.record).payload.state];
      continue;
    }
    ++end.orders;
    if (row.record->failure.reason == order::kPaymentExpired) ++end.expired;
    end.states.push_back(row.record->state);
    const auto& attempts = saga::As<domain::Order>(*row.record).payload.attempts;
    for (size_t number = 0; number < attempts.size(); ++number) {
      ++end.attempts[attempts[number].state];
      if (number + 1 < attempts.size()) ++end.attempts_left[attempts[number].state];
    }
  }
  return end;
}

double OrderStory::Counted(const std::string& metric) const {
  double sum = 0;
  for (const prometheus::MetricFamily& family : registry_.Collect()) {
    if (family.name != metric) continue;
    for (const prometheus::ClientMetric& one : family.metric) sum += one.counter.value;
  }
  return sum;
}

void OrderStory::RunUntil(SteadyTime until, bool quiet) {
  while (truth_.wrong().empty() && !(quiet && Quiet()) && loop_.RunNext(until)) {
    if (somebody_died_) TakeAwayTheDead();
  }
}

bool OrderStory::Quiet() const { return to_come_ == 0 && truth_.AllAtRest() && clients_.Satisfied() && posts_.Quiet(); }

void OrderStory::End() {
  if (!truth_.wrong().empty()) return;
  Truth::GatewayBooks books = {{"", &participants_.books()}};
  for (size_t number = 0; number < gateways_.size(); ++number) {
    books[plan_.gateways[number].route.name] = &gateways_[number]->books();
  }
  truth_.CheckEnd(books, plan_.remote_dispatch ? &participants_.books() : nullptr, loop_.Now());
  posts_.CheckEnd();
  clients_.CheckEnd();
  clients_.CloseWatches();
  RunUntil(loop_.Steady() + absl::Seconds(1), false);
  for (const auto& process : processes_) {
    if (process == nullptr) continue;
    if (process->runner().live() > 0) truth_.Wrong("a process still drives sagas that are at rest");
    if (process->watches().size() > 0) truth_.Wrong("a process still has watches that nobody looks at");
  }
  if (clients_.live_answers() > 0) truth_.Wrong("answers that were given are still held");
}

void OrderStory::Do(const Act& act) {
  auto away = [&](bool Outages::*what, std::string_view name) {
    outages_.*what = true;
    Tell(fmt::format("{} is away for {} ms", name, act.span_ms));
    loop_.After(kWorld, absl::Milliseconds(act.span_ms), [this, what] { outages_.*what = false; });
  };
  switch (act.kind) {
    case Act::Kind::kCrash:
      return Crash(act.number);
    case Act::Kind::kRoll:
      return Roll(act.number);
    case Act::Kind::kStoreAway:
      return away(&Outages::store, "the store");
    case Act::Kind::kFleetAway:
      return away(&Outages::fleet, "the fleet");
    case Act::Kind::kParticipantsAway:
      SendAway(participants_, "every participant", act.span_ms);
      for (const auto& gateway : gateways_) SendAway(*gateway, "with it a gateway", act.span_ms);
      return;
    case Act::Kind::kRestore:
      return Restore(act);
    case Act::Kind::kClosed:
      return CloseFor(absl::Milliseconds(act.span_ms));
    case Act::Kind::kGatewayAway: {
      const auto number = static_cast<size_t>(act.number);
      if (number >= gateways_.size()) return;  // left out when the plan was shrunk
      return SendAway(*gateways_[number], plan_.gateways[number].route.name, act.span_ms);
    }
    case Act::Kind::kCapacity:
      return SetCapacity(act);
    default:
      return clients_.Do(act);
  }
}

void OrderStory::SendAway(Participants& who, std::string_view name, int64_t for_ms) {
  Tell(fmt::format("{} is away for {} ms", name, for_ms));
  who.GoAway();
  loop_.After(kWorld, absl::Milliseconds(for_ms), [&who] { who.ComeBack(); });
}

void OrderStory::SetCapacity(const Act& act) {
  if (plan_.remote_dispatch) return;
  const int capacity = static_cast<int>(act.chance % 4);  // 0: off duty
  book_.capacities[DriverName(act.number)] = capacity;
  for (const auto& process : processes_) {
    if (process) process->store.fake().SetCapacity(DriverName(act.number), capacity);
  }
  Tell(fmt::format("driver {} may hold {}", DriverName(act.number), capacity));
}

// --- Processes.

OrderProcess* OrderStory::Find(int number) {
  OrderProcess* process = processes_[static_cast<size_t>(number)].get();
  return process != nullptr && process->host.alive() ? process : nullptr;
}

void OrderStory::Start(int number) {
  const int life = ++lives_;
  Chance chance(plan_.seed, {9, static_cast<uint64_t>(life)});
  const absl::Duration skew = plan_.skew * (0.01 * static_cast<double>(chance.Between(-100, 100)));
  processes_[static_cast<size_t>(number)] =
      std::make_unique<OrderProcess>(shared_, number, life, skew, [this, number, life] {
        Tell(fmt::format("process {} (life {}) ends", number, life));
        somebody_died_ = true;
        ++deaths_;
      });
  Tell(fmt::format("process {} (life {}) starts", number, life));
}

void OrderStory::TakeAwayTheDead() {
  somebody_died_ = false;
  for (int number = 0; number < plan_.processes; ++number) {
    std::unique_ptr<OrderProcess>& process = processes_[static_cast<size_t>(number)];
    if (process == nullptr || process->host.alive()) continue;
    loop_.Bury();
    process.reset();
    ++to_come_;
    Chance chance(plan_.seed, {10, static_cast<uint64_t>(lives_), static_cast<uint64_t>(number)});
    StartLater(number, closed_for() + chance.Milliseconds(20, 2'000));
  }
}

void OrderStory::StartLater(int number, absl::Duration after) {
  loop_.After(kWorld, after, [this, number] {
    if (closed_for() > absl::ZeroDuration()) return StartLater(number, closed_for() + absl::Milliseconds(20));
    --to_come_;
    Start(number);
  });
}

void OrderStory::CloseFor(absl::Duration time) {
  Tell(fmt::format("the service is closed for {}", absl::FormatDuration(time)));
  closed_until_ = loop_.Steady() + time;
  ++closures_;
  for (int number = 0; number < plan_.processes; ++number) Roll(number);
  // What takes weeks has taken them by then.
  loop_.After(kWorld, time, [this] {
    participants_.HurryPayers(absl::Seconds(5));
    for (const auto& gateway : gateways_) gateway->HurryPayers(absl::Seconds(5));
  });
}

void OrderStory::Restore(const Act& act) {
  const auto number = static_cast<size_t>(act.number);
  if (number >= gateways_.size()) return;  // left out when the plan was shrunk
  const std::string& name = plan_.gateways[number].route.name;
  const std::set<std::string> lost = gateways_[number]->Restore(absl::Milliseconds(act.span_ms));
  Tell(fmt::format("{} is restored from a backup, without the last {} ms, in which it did something for {} orders",
                   name, act.span_ms, lost.size()));
  truth_.Forgot(name, lost, gateways_[number]->books());
  posts_.Restored(name);
  ResolveForgotten();
}

void OrderStory::ResolveForgotten() {
  loop_.After(kWorld, closed_for() + absl::Seconds(5), [this] { ResolveForgotten(); });
  OrderProcess* process = Find(0);
  if (process == nullptr) return;
  for (const auto& [id, row] : book_.rows) {
    if (!saga::IsUnfinished(row.record->state) || !row.record->needs_attention) continue;
    if (!truth_.IsForgotten(id.ToString())) continue;
    process->host.After(absl::Milliseconds(1), [process, order_id = id] {
      process->sagas().Resolve(order_id, {}, "the gateway has forgotten it", process->host.Steady() + absl::Seconds(5),
                               [](const absl::StatusOr<order::SagaApi::Answer>&) {});
    });
  }
}

void OrderStory::Crash(int number) {
  if (OrderProcess* process = Find(number)) process->host.Die();
}

void OrderStory::Roll(int number) {
  OrderProcess* process = Find(number);
  if (process == nullptr) return;
  Tell(fmt::format("process {} drains", number));
  process->host.After(absl::ZeroDuration(), [process] { process->Drain(); });
  process->host.After(absl::Seconds(1), [process] {
    process->Stop();
    process->host.Die();
  });
}

void OrderStory::Tell(std::string_view line) {
  if (told_) story_ += fmt::format("{:>6} {}\n", absl::ToInt64Milliseconds(loop_.Steady() - start_), line);
}

}  // namespace waybill::simulation

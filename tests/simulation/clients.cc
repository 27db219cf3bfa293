#include "tests/simulation/clients.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "runtime/status.h"
#include "services/order/intake.h"
#include "services/order/place_order.h"

namespace waybill::simulation {
namespace {

using order::OrderApi;
using order::OrderStatus;

std::string ReasonOf(const absl::Status& status) { return GetErrorDetail(status).reason; }

std::string MetadataOf(const absl::Status& status, std::string_view name) {
  for (const auto& [key, value] : GetErrorDetail(status).metadata) {
    if (key == name) return value;
  }
  return "";
}

// What may be told at any time, and says nothing but "try again".
bool IsPassing(const absl::Status& status) {
  constexpr std::string_view kPassing[] = {"STORE_UNAVAILABLE", "QUEUE_FULL",    "SHUTTING_DOWN", "ORDER_STILL_RUNNING",
                                           "SAGA_TAKEN_OVER",   "STORE_REFUSED", "SAGA_LEASED"};
  const std::string reason = ReasonOf(status);
  if (std::find(std::begin(kPassing), std::end(kPassing), reason) != std::end(kPassing)) return true;
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

struct Clients::Watcher {
  Uuid id;
  Chance chance{0, {}};
  int64_t next = 0;
  bool ended = false;
  OrderProcess* at = nullptr;                       // while it lives
  std::weak_ptr<order::OrderWatches::Watch> watch;  // the process's
};

struct Clients::Part {
  int number = 0;
  order::RefundRequest request;
  Chance chance;
  int tries_left = 12;
};

Clients::Clients(const Plan& plan, EventLoop& loop, Truth& truth, FindProcess find,
                 std::function<absl::Duration()> closed_for, std::function<void(std::string_view)> tell)
    : plan_(plan),
      loop_(loop),
      truth_(truth),
      find_(std::move(find)),
      closed_for_(std::move(closed_for)),
      tell_(std::move(tell)) {
  for (int number = 0; number < plan.orders; ++number) {
    clients_.emplace_back();
    clients_.back().number = number;
    clients_.back().key = fmt::format("order-{}", number);
  }
}

void Clients::Do(const Act& act) {
  Client& client = clients_[static_cast<size_t>(act.number)];
  switch (act.kind) {
    case Act::Kind::kCreate:
    case Act::Kind::kRepeat:
      return Create(client, act, 1'000 + act.number);
    case Act::Kind::kAlter:
      client.altered = true;
      return Create(client, act, 5);
    case Act::Kind::kCancel:
    case Act::Kind::kComplete:
      return WhenKnown(client, 20, [this, &client, act] { Direct(client, act); });
    case Act::Kind::kRefund:
      return WhenKnown(client, 20, [this, &client, act] {
        Chance chance(plan_.seed, {9, act.chance});
        order::RefundRequest request{*client.id, fmt::format("r-{}", act.chance % 3), chance.Between(1, 700), ""};
        ++open_;
        Refund(std::make_shared<Part>(Part{act.number, std::move(request), chance}));
      });
    case Act::Kind::kRetry:
    case Act::Kind::kResolve:
      return WhenKnown(client, 20, [this, &client, act] { Operate(client, act); });
    case Act::Kind::kWatch:
      break;
    default:
      return;
  }
  WhenKnown(client, 20, [this, &client, act] {
    auto watcher = std::make_shared<Watcher>();
    watcher->id = *client.id;
    watcher->chance = Chance(plan_.seed, {4, act.chance});
    watchers_.push_back(watcher);
    Watch(watcher);
  });
}

void Clients::WhenKnown(Client& client, int looks, std::function<void()> then) {
  if (client.id) return then();
  if (looks == 0) return;
  ++open_;
  loop_.After(kWorld, absl::Milliseconds(300), [this, &client, looks, then = std::move(then)] {
    --open_;
    WhenKnown(client, looks - 1, then);
  });
}

void Clients::Learn(Client& client, const Uuid& id) {
  if (client.id && *client.id != id) {
    truth_.Wrong(fmt::format("key {} is of {} and of {}", client.key, client.id->ToString(), id.ToString()));
  }
  client.id = id;
}

// --- Creating.

domain::Order Clients::NewOrder(const Client& client, int64_t amount_minor) const {
  order::OrderRequest request;
  request.client = "shop";
  request.idempotency_key = client.key;
  request.user_id = "user-1";
  request.amount = order::Money{amount_minor, "EUR"};
  if (client.number % 2 == 0) request.pickup = domain::GeoPoint{52.5, 13.4};
  return *order::TakeOrder(std::move(request));
}

void Clients::Create(Client& client, const Act& act, int64_t amount_minor) {
  client.asked = true;
  const bool altered = act.kind == Act::Kind::kAlter;
  Chance chance(plan_.seed, {5, act.chance});
  const auto wait = chance.OneIn(5) ? OrderApi::Wait::kUntilAccepted : OrderApi::Wait::kUntilSettled;
  auto errand = std::make_shared<Errand>(Errand{fmt::format("create order {}", act.number), chance, nullptr, nullptr});
  errand->request = [order = NewOrder(client, amount_minor), wait](OrderProcess& process, SteadyTime deadline,
                                                                   OrderApi::Pending answer) {
    process.api().Create(order, wait, deadline, {}, std::move(answer));
  };
  errand->settled = [this, &client, altered](const auto& told) { return Created(client, told, altered); };
  Run(std::move(errand));
}

bool Clients::Created(Client& client, const absl::StatusOr<Told>& told, bool altered) {
  if (told.ok()) {
    Learn(client, told->order.id);
    client.answered = true;
    truth_.CheckAnswer(told->order, "creating");
    const bool is_altered = told->order.payload.amount_minor == 5;
    if (is_altered != altered) truth_.Wrong(fmt::format("order {} is of another request", client.number));
    return true;
  }
  if (ReasonOf(told.status()) == "IDEMPOTENCY_KEY_REUSED") {
    if (!client.altered) truth_.Wrong(fmt::format("the key of order {} was used once", client.number));
    client.answered = true;
    return true;
  }
  if (std::optional<Uuid> id = Uuid::Parse(MetadataOf(told.status(), "order_id"))) Learn(client, *id);
  if (!IsPassing(told.status())) truth_.Wrong("creating was answered " + told.status().ToString());
  return false;
}

// --- Cancelling and completing.

void Clients::Direct(Client& client, const Act& act) {
  const bool cancel = act.kind == Act::Kind::kCancel;
  auto errand = std::make_shared<Errand>(Errand{fmt::format("{} order {}", cancel ? "cancel" : "complete", act.number),
                                                Chance(plan_.seed, {6, act.chance}), nullptr, nullptr, 12});
  errand->request = [id = *client.id, cancel](OrderProcess& process, SteadyTime deadline, OrderApi::Pending answer) {
    if (cancel) return process.api().Cancel(id, std::nullopt, {}, "a change of mind", deadline, std::move(answer));
    process.api().Complete(id, std::nullopt, {}, deadline, std::move(answer));
  };
  errand->settled = [this, &client, cancel](const auto& told) {
    return cancel ? Cancelled(client, told) : Completed(client, told);
  };
  Run(std::move(errand));
}

bool Clients::Cancelled(Client& client, const absl::StatusOr<Told>& told) {
  if (told.ok()) {
    truth_.CheckAnswer(told->order, "cancelling");
    if (told->order.waits_for.empty()) truth_.Promised(*client.id, Truth::Promise::kCancelled);
    return true;
  }
  if (ReasonOf(told.status()) == "ORDER_NOT_CANCELLABLE") {
    truth_.Promised(*client.id, Truth::Promise::kNotCancellable);
    return true;
  }
  if (!IsPassing(told.status())) truth_.Wrong("cancelling was answered " + told.status().ToString());
  return false;
}

bool Clients::Completed(Client& client, const absl::StatusOr<Told>& told) {
  if (told.ok()) {
    truth_.CheckAnswer(told->order, "completing");
    truth_.Promised(*client.id, Truth::Promise::kCompleted);
    return true;
  }
  if (ReasonOf(told.status()) == "ORDER_NOT_CONFIRMED") {
    const std::string status = MetadataOf(told.status(), "status");
    if (status == Name(OrderStatus::kPending) || status == Name(OrderStatus::kAwaitingPayment) || status.empty()) {
      return false;  // not yet
    }
    truth_.Promised(*client.id, Truth::Promise::kNotConfirmed);
    return true;
  }
  if (!IsPassing(told.status())) truth_.Wrong("completing was answered " + told.status().ToString());
  return false;
}

// --- Giving a part back. Several clients may use one refund_id, for other amounts, too.

void Clients::Refund(std::shared_ptr<Part> part) {
  OrderProcess* process = find_(static_cast<int>(part->chance.Pick(static_cast<size_t>(plan_.processes))));
  if (process == nullptr) return Refunded(part, absl::UnavailableError("nobody listens"));
  const absl::Duration patience = part->chance.Milliseconds(20, 5'000);
  auto told = std::make_shared<bool>(false);
  auto give = [this, part, told](const absl::StatusOr<domain::PartialRefund>& refund) {
    if (!std::exchange(*told, true)) Refunded(part, refund);
  };
  loop_.After(kWorld, patience + absl::Milliseconds(50), [give] { give(absl::DeadlineExceededError("no answer")); });
  process->host.After(process->host.Soon(), [this, process, part, patience, give] {
    auto pending = process->refunds().Expect([this, process, give](absl::StatusOr<domain::PartialRefund> refund) {
      if (!process->host.alive()) return;
      if (refund.ok()) truth_.CheckRefund(*refund);
      loop_.After(kWorld, absl::Milliseconds(1), [give, refund = std::move(refund)] { give(refund); });
    });
    answers_.push_back(pending);
    process->refunds().Refund(part->request, std::nullopt, {"shop"}, {}, process->host.Steady() + patience,
                              std::move(pending));
  });
}

void Clients::Refunded(const std::shared_ptr<Part>& part, const absl::StatusOr<domain::PartialRefund>& told) {
  tell_(fmt::format("give back {} of order {} as {}: {}", part->request.amount_minor, part->number,
                    part->request.refund_id,
                    told.ok() ? std::string(domain::Name(told->state)) : told.status().ToString()));
  constexpr std::string_view kFinal[] = {"ORDER_NOT_REFUNDABLE", "REFUND_BEYOND_CHARGE", "REFUND_ID_REUSED"};
  const std::string reason = ReasonOf(told.status());
  const bool refused = std::find(std::begin(kFinal), std::end(kFinal), reason) != std::end(kFinal);
  if (!told.ok() && !refused && !IsPassing(told.status())) {
    truth_.Wrong("giving back was answered " + told.status().ToString());
  }
  const bool settled = refused || (told.ok() && told->state != domain::PartialRefund::State::kOpen);
  if (settled || --part->tries_left == 0) {
    --open_;
    return;
  }
  loop_.After(kWorld, part->chance.Milliseconds(20, 800), [this, part] { Refund(part); });
}

// --- Operators and the gateway. What they are told is shown, and binds nobody.

void Clients::Operate(Client& client, const Act& act) {
  Chance chance(plan_.seed, {7, act.chance});
  OrderProcess* process = find_(static_cast<int>(chance.Pick(static_cast<size_t>(plan_.processes))));
  if (process == nullptr) return;
  process->host.After(chance.Milliseconds(0, 3), [process, id = *client.id, kind = act.kind] {
    const SteadyTime deadline = process->host.Steady() + absl::Seconds(5);
    auto done = [](const absl::StatusOr<order::SagaApi::Answer>&) {};
    if (kind == Act::Kind::kRetry) return process->sagas().Retry(id, {}, deadline, done);
    process->sagas().Resolve(id, {}, "by hand", deadline, done);
  });
}

void Clients::Say(const std::string& key, const std::string& token, bool approved) {
  const std::optional<Uuid> id = Uuid::Parse(key.substr(0, key.find('/')));
  Chance chance(plan_.seed, {8, id->bytes[15], id->bytes[14], id->bytes[13]});
  for (size_t times = chance.Pick(3); times > 0; --times) {  // or never
    const int number = static_cast<int>(chance.Pick(static_cast<size_t>(plan_.processes)));
    loop_.After(kWorld, chance.Milliseconds(0, times == 1 ? 20 : 3'000), [this, id, token, approved, number] {
      OrderProcess* process = find_(number);
      if (process == nullptr) return;
      process->host.After(absl::Milliseconds(1), [process, id, token, approved] {
        saga::Outcome outcome = approved ? saga::Outcome::Succeeded() : saga::Outcome::Rejected("CARD_DECLINED");
        process->sagas().Signal(*id, {},
                                {std::string(order::kChargePayment), saga::Direction::kDo, token, std::move(outcome)},
                                [](auto) {});
      });
    });
  }
}

// --- Calls.

void Clients::Run(std::shared_ptr<Errand> errand) {
  ++open_;
  const auto process = static_cast<int>(errand->chance.Pick(static_cast<size_t>(plan_.processes)));
  const absl::Duration patience =
      errand->chance.OneIn(4) ? errand->chance.Milliseconds(20, 500) : errand->chance.Milliseconds(1'000, 8'000);
  const Request& request = errand->request;
  Ask(process, patience, request, [this, errand, process](const absl::StatusOr<Told>& told) {
    tell_(fmt::format("{} at process {}: {}", errand->what, process,
                      told.ok() ? fmt::format("{} is {}", told->order.id.ToString(), Name(told->order.state))
                                : told.status().ToString()));
    if (!errand->settled(told) && --errand->tries_left > 0) {
      ++open_;
      loop_.After(kWorld, errand->chance.Milliseconds(20, 800), [this, errand] {
        --open_;
        Run(errand);
      });
    }
    --open_;
  });
}

// The reply comes once: the service's, or the client's own impatience when the process has died or the answer is lost.
void Clients::Ask(int number, absl::Duration patience, const Request& request, Reply reply) {
  OrderProcess* process = find_(number);
  if (process == nullptr) {
    loop_.After(kWorld, closed_for_() + absl::Milliseconds(1),
                [reply = std::move(reply)] { reply(absl::UnavailableError("nobody listens")); });
    return;
  }
  auto once = std::make_shared<Reply>(std::move(reply));
  auto give = [once](const absl::StatusOr<Told>& told) {
    if (Reply replied = std::exchange(*once, nullptr)) replied(told);
  };
  loop_.After(kWorld, patience + absl::Milliseconds(50), [give] { give(absl::DeadlineExceededError("no answer")); });
  process->host.After(process->host.Soon(), [this, process, patience, request, give] {
    OrderApi::Pending pending = process->api().Expect([this, process, give](absl::StatusOr<OrderApi::Answer> answer) {
      if (!process->host.alive()) return;
      absl::StatusOr<Told> told = absl::CancelledError();
      if (answer.ok()) {
        told = Told{*answer->order, answer->replayed};
      } else {
        told = answer.status();
      }
      loop_.After(kWorld, absl::Milliseconds(1), [give, told = std::move(told)] { give(told); });
    });
    answers_.push_back(pending);
    request(*process, process->host.Steady() + patience, std::move(pending));
  });
}

// --- Watches.

// The process's end of a watch; gone when the process is.
class Clients::Sink final : public order::WatchSink {
 public:
  Sink(Clients& all, std::shared_ptr<Watcher> watcher, OrderProcess& process)
      : all_(all), watcher_(std::move(watcher)), process_(process) {}
  ~Sink() override {
    if (!ended_) all_.Rewatch(watcher_, absl::UnavailableError("the connection is gone"));
  }

  void Send(std::vector<order::Transition> batch, absl::AnyInvocable<void(bool ok)> sent) override {
    if (!process_.host.alive()) return;
    for (const order::Transition& one : batch) {
      const int64_t seq = one.accepted ? 0 : one.entry.seq;
      if (seq != watcher_->next) {
        all_.truth_.Wrong(fmt::format("a watch of {} was sent entry {} where {} was next", watcher_->id.ToString(), seq,
                                      watcher_->next));
      }
      watcher_->next = seq + 1;
      ++all_.entries_watched_;
      all_.truth_.CheckTransition(watcher_->id, one);
    }
    process_.host.After(absl::Milliseconds(1), [sent = std::move(sent)]() mutable { sent(true); });
  }
  void End(const absl::Status& status) override {
    if (!process_.host.alive()) return;  // it is as if the connection had broken: ~Sink says so
    ended_ = true;
    all_.Rewatch(watcher_, status);
  }

 private:
  Clients& all_;
  const std::shared_ptr<Watcher> watcher_;
  OrderProcess& process_;
  bool ended_ = false;
};

void Clients::Watch(std::shared_ptr<Watcher> watcher) {
  if (closing_) return;
  OrderProcess* process = find_(static_cast<int>(watcher->chance.Pick(static_cast<size_t>(plan_.processes))));
  if (process == nullptr) return Rewatch(std::move(watcher), absl::UnavailableError("nobody listens"));
  // Made at once: a process that dies before it has heard of the watch ends it, too.
  auto sink = std::make_unique<Sink>(*this, watcher, *process);
  process->host.After(absl::Milliseconds(1), [watcher, process, sink = std::move(sink)]() mutable {
    watcher->at = process;
    watcher->watch = process->watches().Add(watcher->id, std::nullopt, watcher->next, std::move(sink));
  });
}

// Goes on somewhere else, unless the watch has seen the end.
void Clients::Rewatch(std::shared_ptr<Watcher> watcher, const absl::Status& why) {
  watcher->at = nullptr;
  if (closing_ || std::exchange(watcher->ended, why.ok())) return;
  if (why.ok()) return;
  if (!IsPassing(why) && !absl::IsCancelled(why)) truth_.Wrong("watching was answered " + why.ToString());
  loop_.After(kWorld, closed_for_() + watcher->chance.Milliseconds(20, 400), [this, watcher] { Watch(watcher); });
}

void Clients::CloseWatches() {
  closing_ = true;
  for (const std::shared_ptr<Watcher>& watcher : watchers_) {
    if (auto watch = watcher->watch.lock(); watch && watcher->at != nullptr) watcher->at->watches().Remove(watch);
  }
}

void Clients::CheckEnd() {
  for (const Client& client : clients_) {
    if (client.asked && !client.answered) truth_.Wrong(fmt::format("order {} was never answered", client.number));
  }
  for (const std::shared_ptr<Watcher>& watcher : watchers_) {
    if (HasSeenAll(*watcher)) continue;
    truth_.Wrong(fmt::format("a watch of {}, which has ended at {}, {} before entry {}", watcher->id.ToString(),
                             *truth_.EndOf(watcher->id), watcher->ended ? "ended" : "stands", watcher->next));
  }
}

bool Clients::HasSeenAll(const Watcher& watcher) const {
  const std::optional<int64_t> end = truth_.EndOf(watcher.id);
  return !end || (watcher.ended && watcher.next == *end + 1);
}

bool Clients::Satisfied() const {
  return open_ == 0 && std::all_of(watchers_.begin(), watchers_.end(),
                                   [this](const auto& one) { return one->ended || HasSeenAll(*one); });
}

size_t Clients::live_answers() const {
  return static_cast<size_t>(
      std::count_if(answers_.begin(), answers_.end(), [](const auto& answer) { return !answer.expired(); }));
}

}  // namespace waybill::simulation

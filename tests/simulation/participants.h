// The payment gateway and the dispatcher of the simulation: the sandbox's own books and fates, without its log, its
// server and its threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "services/order/dispatch.h"
#include "services/order/payment_gateway.h"
#include "services/sandbox/behaviour.h"
#include "services/sandbox/books.h"
#include "tests/simulation/event_loop.h"
#include "tests/simulation/stores.h"

namespace waybill::simulation {

class Participants {
 public:
  // A charge that was pending has been decided: its key, its token and how.
  using Decided = std::function<void(const std::string& key, const std::string& token, bool approved)>;
  using Tell = std::function<void(std::string_view what)>;

  // All outlive this.
  Participants(EventLoop& loop, uint64_t seed, const sandbox::Behaviour& behaviour, const Outages& outages, int drivers,
               Decided decided, Tell tell);

  sandbox::Books& books() { return books_; }

  // One call as it arrives. `execute` changes the books and answers; `decline` is an answer without them, where there
  // can be one. `done` is called once as an event of `caller`'s, by the deadline.
  struct Call {
    std::string method;
    std::string key;
    SteadyTime deadline;
    std::function<absl::Status(const sandbox::Verdict& fresh)> execute;
    std::function<void()> decline;
    absl::AnyInvocable<void(const absl::Status&)> done;
  };
  void Serve(Owner caller, Call call);

  absl::Time now() const { return loop_.Now(); }

 private:
  struct Served;
  void Arrive(const std::shared_ptr<Served>& call);
  void Execute(const std::shared_ptr<Served>& call, const sandbox::Verdict& fresh, absl::Duration answer_after);
  void Answer(const std::shared_ptr<Served>& call, absl::Status status, absl::Duration after);
  void DecideLater(const std::string& key);

  EventLoop& loop_;
  const uint64_t seed_;
  const sandbox::Behaviour& behaviour_;
  const Outages& outages_;
  const Decided decided_;
  const Tell tell_;
  sandbox::Books books_;
  std::map<std::string, uint64_t> calls_;   // so far, by method and key
  std::map<std::string, bool> unanswered_;  // first calls that are late or slow, by method and key; true: executed
  std::set<std::string> deciding_;          // keys of pending charges
};

class SimulatedGateway final : public order::PaymentGateway {
 public:
  SimulatedGateway(Participants& all, Owner caller) : all_(all), caller_(caller) {}

  void Charge(const order::ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<order::ChargeResult>)> done) override;
  void Refund(const order::ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<order::RefundResult>)> done) override;

 private:
  Participants& all_;
  const Owner caller_;
};

class SimulatedDispatcher final : public order::Dispatch {
 public:
  SimulatedDispatcher(Participants& all, Owner caller) : all_(all), caller_(caller) {}

  bool journaled() const override { return false; }
  void Assign(const order::ParticipantCall& call, const Uuid& order_id, const domain::Order& order, int conflicts,
              absl::AnyInvocable<void(absl::StatusOr<order::AssignResult>)> done) override;
  void Release(const order::ParticipantCall& call, const Uuid& order_id, const domain::Order& order,
               absl::AnyInvocable<void(absl::Status)> done) override;

 private:
  Participants& all_;
  const Owner caller_;
};

}  // namespace waybill::simulation

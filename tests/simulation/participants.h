// Payment gateways and the dispatcher of the simulation: the sandbox's own books and fates, without its log, its server
// and its threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "services/order/dispatch.h"
#include "services/order/payment_gateway.h"
#include "services/sandbox/behaviour.h"
#include "services/sandbox/books.h"
#include "tests/simulation/event_loop.h"

namespace waybill::simulation {

// One gateway, and one dispatcher beside it, with books of their own.
class Participants {
 public:
  // A charge that was pending has been decided: its key, its token and how.
  using Decided = std::function<void(const std::string& key, const std::string& token, bool approved)>;
  // The books have changed. The effect has the token of the charge, if it was pending.
  using Changed = std::function<void(const sandbox::Record& effect)>;
  using Tell = std::function<void(std::string_view what)>;
  struct Hooks {
    Decided decided;
    Changed changed;
    Tell tell;
  };

  // All outlive this.
  Participants(EventLoop& loop, uint64_t seed, const sandbox::Behaviour& behaviour, absl::Duration clock_ahead,
               int drivers, Hooks hooks);

  sandbox::Books& books() { return books_; }
  void Change(sandbox::Record effect);
  // Away until it has come back as often as it went.
  void GoAway() { ++away_; }
  void ComeBack() { --away_; }
  // From now on payers decide within this.
  void HurryPayers(absl::Duration pending_max) { pending_max_ = pending_max; }
  // From a backup that lacks what it has done in the last `lost`: the orders of which something is lost.
  std::set<std::string> Restore(absl::Duration lost);

  // One call as it arrives. `execute` changes the books and answers; `decline` is an answer without them, where there
  // can be one. `done` is called once as an event of `caller`'s, by the deadline.
  struct Call {
    std::string method;
    std::string key;
    SteadyTime deadline;
    std::function<absl::Status(const sandbox::Verdict& fresh)> execute;
    std::function<void()> decline;
    absl::AnyInvocable<void(const absl::Status&)> done;
    bool only_connected = false;  // it is not sent where there is no connection, and kCallNotSent is the answer
  };
  void Serve(Owner caller, Call call);

  absl::Time now() const { return loop_.Now() + clock_ahead_; }

 private:
  struct Served;
  void Arrive(const std::shared_ptr<Served>& call);
  void Execute(const std::shared_ptr<Served>& call, const sandbox::Verdict& fresh, absl::Duration answer_after);
  void Answer(const std::shared_ptr<Served>& call, absl::Status status, absl::Duration after);
  void DecideLater(const std::string& key);

  EventLoop& loop_;
  const uint64_t seed_;
  const sandbox::Behaviour& behaviour_;
  const absl::Duration clock_ahead_;
  const Hooks hooks_;
  const int drivers_;
  sandbox::Books books_;
  std::vector<std::pair<SteadyTime, sandbox::Record>> log_;  // what has changed the books
  int away_ = 0;
  absl::Duration pending_max_ = absl::InfiniteDuration();
  std::map<std::string, uint64_t> calls_;   // so far, by method and key
  std::map<std::string, bool> unanswered_;  // first calls that are late or slow, by method and key; true: executed
  std::set<std::string> deciding_;          // keys of pending charges
};

class SimulatedGateway final : public order::PaymentGateway {
 public:
  // `one_of_several`: as RemoteGateway is then, it sends only where there is a connection. `declines_retryably`: of
  // about half of the keys.
  SimulatedGateway(Participants& all, Owner caller, bool one_of_several = false, bool declines_retryably = false)
      : all_(all), caller_(caller), one_of_several_(one_of_several), declines_retryably_(declines_retryably) {}

  void Charge(const order::ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<order::ChargeResult>)> done) override;
  void Refund(const order::ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<order::RefundResult>)> done) override;
  void RefundPart(const order::ParticipantCall& call, const order::ChargePart& part,
                  absl::AnyInvocable<void(absl::StatusOr<order::RefundPartResult>)> done) override;

 private:
  Participants& all_;
  const Owner caller_;
  const bool one_of_several_, declines_retryably_;
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

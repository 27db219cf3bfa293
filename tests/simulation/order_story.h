// One story of the order service: several processes with main's own objects, clients, operators, participants and
// stores, from a plan, on one thread. What is wrong at its end, and (if told) what happened line by line.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/metrics.h"
#include "storage/testing/fake_fleet.h"
#include "storage/testing/memory_order_book.h"
#include "tests/simulation/clients.h"
#include "tests/simulation/event_loop.h"
#include "tests/simulation/gateway_posts.h"
#include "tests/simulation/order_process.h"
#include "tests/simulation/participants.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/truth.h"

namespace waybill::simulation {

struct StoryEnd {
  std::string wrong;  // empty: nothing
  std::string story;  // if it was to be told
  int orders = 0;     // in the books
  size_t events = 0;
  int deaths = 0;                   // of processes
  size_t entries = 0;               // that watches were sent
  std::vector<saga::State> states;  // of the orders
  // How they stand, of all attempts at routed orders, and of those after which another gateway was asked.
  std::map<domain::PaymentAttempt::State, int> attempts, attempts_left;
  std::map<domain::PartialRefund::State, int> refunds;
  int expired = 0;                              // orders that nobody paid in time
  int refused = 0;                              // webhooks that were posted, for their signature
  int forgotten = 0;                            // orders of which a gateway has lost something
  int closures = 0;                             // of the whole service
  std::map<storage::InboxState, int> webhooks;  // the events in the inbox, as they stand
};

class OrderStory {
 public:
  OrderStory(const Plan& plan, bool told);
  ~OrderStory();
  StoryEnd Run();
  // No more than its beginning: a story that fails stops in the middle of all that is under way.
  void RunFor(absl::Duration time);
  // What the processes have counted, all together; for after Run.
  double Counted(const std::string& metric) const;

 private:
  void Begin();
  Participants::Hooks HooksOf(std::string gateway);
  void MakeGateways();
  void SendAway(Participants& who, std::string_view name, int64_t for_ms);
  void Do(const Act& act);
  void SetCapacity(const Act& act);
  void Start(int number);
  void Crash(int number);
  void Roll(int number);
  void CloseFor(absl::Duration time);
  void Restore(const Act& act);
  // An operator ends what cannot end: a gateway that has forgotten a charge never gives it back.
  void ResolveForgotten();
  void StartLater(int number, absl::Duration after);
  absl::Duration closed_for() const { return std::max(closed_until_ - loop_.Steady(), absl::ZeroDuration()); }
  // Takes away who has died, and starts another one in his place some time later. Not while anybody stands still.
  void TakeAwayTheDead();
  void RunUntil(SteadyTime until, bool quiet);
  bool Quiet() const;
  void End();
  void Tell(std::string_view line);
  OrderProcess* Find(int number);

  const Plan& plan_;
  const bool told_;
  EventLoop loop_;
  const SteadyTime start_ = loop_.Steady();
  std::string story_;
  Metrics registry_;
  storage::testing::MemoryOrderBook book_;
  Truth truth_{book_};
  storage::testing::FakeFleet fleet_{loop_};
  Outages outages_;
  Clients clients_;
  storage::testing::MemoryInboxBook inbox_;
  GatewayPosts posts_;
  Participants participants_;
  std::vector<std::unique_ptr<Participants>> gateways_;  // as the plan has them
  const payments::WebhookGateways webhooks_;
  const Shared shared_;
  std::vector<std::unique_ptr<OrderProcess>> processes_;
  bool somebody_died_ = false;
  int lives_ = 0;
  int deaths_ = 0;
  int to_come_ = 0;  // starts
  int closures_ = 0;
  SteadyTime closed_until_ = start_;
};

}  // namespace waybill::simulation

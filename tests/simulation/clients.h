// Those who call the order service: clients with deadlines, retries and watches, operators, and a gateway that says
// what it has decided. Each remembers what it was told, and tells the truth of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/order/order_api.h"
#include "tests/simulation/order_process.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/truth.h"

namespace waybill::simulation {

class Clients {
 public:
  // The process that has this number at the moment; null: none.
  using FindProcess = std::function<OrderProcess*(int number)>;

  // All outlive this. `closed_for`: how long from now on there is no process at all.
  Clients(const Plan& plan, EventLoop& loop, Truth& truth, FindProcess find, std::function<absl::Duration()> closed_for,
          std::function<void(std::string_view)> tell);

  void Do(const Act& act);
  // A gateway's word on a charge that was pending.
  void Say(const std::string& key, const std::string& token, bool approved);

  // Nobody waits for anything any more but watches of orders that stand.
  bool Satisfied() const;
  void CloseWatches();
  // From here on nobody asks for anything: processes and events may be dropped.
  void Close() { closing_ = true; }
  // At the end: every order was answered, and every watch of one that has ended has seen it to its end.
  void CheckEnd();
  // Answers that somebody still holds, after all processes and events have gone.
  size_t live_answers() const;
  size_t entries_watched() const { return entries_watched_; }

 private:
  struct Client {
    int number = 0;
    std::string key;
    std::optional<Uuid> id;
    bool asked = false, answered = false, altered = false;
  };
  struct Told {
    storage::OrderRecord order;
    bool replayed = false;
  };
  using Reply = std::function<void(const absl::StatusOr<Told>& told)>;
  using Request = std::function<void(OrderProcess& process, SteadyTime deadline, order::OrderApi::Pending answer)>;
  struct Watcher;
  class Sink;

  // One call of some client's: what is asked, whether the reply is the end of it, and how often it is tried.
  struct Errand {
    std::string what;
    Chance chance;
    Request request;
    std::function<bool(const absl::StatusOr<Told>& told)> settled;  // false: try again
    int tries_left = 40;
  };

  domain::Order NewOrder(const Client& client, int64_t amount_minor) const;
  void Create(Client& client, const Act& act, int64_t amount_minor);
  bool Created(Client& client, const absl::StatusOr<Told>& told, bool altered);
  void Direct(Client& client, const Act& act);
  bool Cancelled(Client& client, const absl::StatusOr<Told>& told);
  bool Completed(Client& client, const absl::StatusOr<Told>& told);
  // A part of the money, under one refund_id for however long it takes to hear what becomes of it.
  struct Part;
  void Refund(std::shared_ptr<Part> part);
  void Refunded(const std::shared_ptr<Part>& part, const absl::StatusOr<domain::PartialRefund>& told);
  void Operate(Client& client, const Act& act);
  void Learn(Client& client, const Uuid& id);
  void WhenKnown(Client& client, int looks, std::function<void()> then);

  void Run(std::shared_ptr<Errand> errand);
  void Ask(int process, absl::Duration patience, const Request& request, Reply reply);
  void Watch(std::shared_ptr<Watcher> watcher);
  bool HasSeenAll(const Watcher& watcher) const;
  void Rewatch(std::shared_ptr<Watcher> watcher, const absl::Status& why);

  const Plan& plan_;
  EventLoop& loop_;
  Truth& truth_;
  const FindProcess find_;
  const std::function<absl::Duration()> closed_for_;
  const std::function<void(std::string_view)> tell_;
  std::vector<Client> clients_;
  std::vector<std::weak_ptr<void>> answers_;
  std::vector<std::shared_ptr<Watcher>> watchers_;
  bool closing_ = false;
  int open_ = 0;  // errands
  size_t entries_watched_ = 0;
};

}  // namespace waybill::simulation

// A client's day with orders of every fate, told to a service that may die at any moment: each call is repeated, under
// its key, until it has its answer, and the service is started again when it is gone.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/e2e/stack.h"

namespace waybill::testing {

// Flags under which the story's timings work.
std::vector<std::string> StoryArgs();

class CrashStory {
 public:
  // `restart` brings the replica back; it is called whenever the replica is found dead.
  CrashStory(Stack& stack, OrderReplica& replica, std::function<void()> restart)
      : stack_(stack), replica_(replica), restart_(std::move(restart)) {}

  // Begins a chapter: leaves one unfinished saga behind a killed process. The replica is down afterwards.
  void LeaveAnOrphan();
  // Each chapter has orders of its own.
  void Tell();
  // The same of orders whose payments are pending, so that each is driven by nobody before it has its fate. Begins a
  // chapter; the replica may be down.
  void TellOfWaiting();

  // What a client could complain about: answers that changed, or calls that never got one.
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  struct Wanted {
    order::v1::CreateOrderRequest request;
    std::string order_id;  // once known
  };

  // Repeats `call` until it answers something definite.
  grpc::Status Persist(const std::string& what, const std::function<grpc::Status(grpc::ClientContext&)>& call);
  order::v1::Order Create(const std::string& name, bool far = false, bool wait = true);
  void Cancel(const std::string& order_id);
  void Complete(const std::string& order_id);
  // A part of its money goes back, once; `begun`: the call may end while it is still open.
  void Refund(const std::string& order_id, const std::string& refund_id, int64_t amount_minor, bool begun = false);
  void ResolveWhenStuck(const std::string& order_id);
  // Payments are pending from now on; an hour is longer than any story.
  void PaymentsArePending(absl::Duration time = absl::Hours(1));
  // The payer decides; the token under which the service may be told so.
  std::string Decide(const std::string& order_id, bool approve);
  // As whoever receives the gateway's webhooks does: until it is known to be durable.
  void Signal(const std::string& order_id, const std::string& token);
  // As a person does who looked at the gateway's books.
  void Retry(const std::string& order_id);
  // Until it neither waits nor runs; ORDER_STATUS_UNSPECIFIED: however it ends.
  void AwaitStatus(const std::string& order_id, order::v1::OrderStatus status);
  // Whether the orders with a pickup point far away find a driver: the built-in dispatch looks, the sandbox's is told.
  void NobodyIsFree(bool nobody);
  void Behave(double decline, double lost_after, double late, double unavailable, const std::string& method);

  Stack& stack_;
  OrderReplica& replica_;
  std::function<void()> restart_;
  std::map<std::string, Wanted> created_;
  size_t chapter_ = 0;
  std::vector<std::string> complaints_;
};

}  // namespace waybill::testing

#include "tests/e2e/crash_story.h"

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/eventually.h"

namespace waybill::testing {

std::vector<std::string> StoryArgs() {
  return {"--lease",     "1500ms", "--attempt-timeout", "1200ms", "--attempts-max",    "2",
          "--retry-for", "1ms",    "--backoff",         "20ms",   "--attention-after", "2"};
}

grpc::Status CrashStory::Persist(const std::string& what,
                                 const std::function<grpc::Status(grpc::ClientContext&)>& call) {
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  grpc::Status status;
  while (absl::Now() < give_up) {
    auto context = Deadline(absl::Seconds(15));
    context->set_wait_for_ready(false);
    status = call(*context);
    switch (status.error_code()) {
      case grpc::StatusCode::UNAVAILABLE:
      case grpc::StatusCode::DEADLINE_EXCEEDED:
      case grpc::StatusCode::ABORTED:
      case grpc::StatusCode::CANCELLED:
      case grpc::StatusCode::RESOURCE_EXHAUSTED:
      case grpc::StatusCode::UNKNOWN:
        break;
      default:
        return status;
    }
    // The connection breaks a moment before the process is seen to have ended.
    if (Eventually(absl::Milliseconds(200), [this] { return !replica_.running(); })) restart_();
  }
  complaints_.push_back(fmt::format("{}: no answer for a minute: {}", what, status.error_message()));
  return status;
}

order::v1::Order CrashStory::Create(const std::string& name, bool far, bool wait) {
  const std::string key = fmt::format("{}-{}", name, chapter_);
  Wanted& wanted = created_[key];
  wanted.request = OrderRequestFor(key);
  if (far) {
    wanted.request.mutable_pickup()->set_latitude(-40);
    wanted.request.mutable_pickup()->set_longitude(120);
  }
  if (!wait) wanted.request.set_wait(order::v1::CreateOrderRequest::UNTIL_ACCEPTED);
  order::v1::Order order;
  grpc::Status status = Persist("create " + key, [&](grpc::ClientContext& context) {
    return replica_.Orders()->CreateOrder(&context, wanted.request, &order);
  });
  if (!status.ok()) complaints_.push_back(fmt::format("create {}: {}", key, status.error_message()));
  wanted.order_id = order.order_id();
  return order;
}

void CrashStory::Cancel(const std::string& order_id) {
  order::v1::CancelOrderRequest request;
  request.set_order_id(order_id);
  request.set_reason("the story wants it");
  order::v1::Order order;
  grpc::Status status = Persist("cancel", [&](grpc::ClientContext& context) {
    return replica_.Orders()->CancelOrder(&context, request, &order);
  });
  if (!status.ok() || order.status() != order::v1::CANCELLED) {
    complaints_.push_back(
        fmt::format("cancel: {} {}", status.error_message(), order::v1::OrderStatus_Name(order.status())));
  }
}

void CrashStory::Complete(const std::string& order_id) {
  order::v1::CompleteOrderRequest request;
  request.set_order_id(order_id);
  order::v1::Order order;
  grpc::Status status = Persist("complete", [&](grpc::ClientContext& context) {
    return replica_.Orders()->CompleteOrder(&context, request, &order);
  });
  if (!status.ok() || order.status() != order::v1::COMPLETED) {
    complaints_.push_back(
        fmt::format("complete: {} {}", status.error_message(), order::v1::OrderStatus_Name(order.status())));
  }
}

void CrashStory::Refund(const std::string& order_id, const std::string& refund_id, int64_t amount_minor, bool begun) {
  order::v1::RefundOrderRequest request;
  request.set_order_id(order_id);
  request.set_refund_id(refund_id);
  request.set_amount_minor(amount_minor);
  order::v1::Refund refund;
  grpc::Status status = Persist("refund", [&](grpc::ClientContext&) {
    auto context = Deadline(begun ? absl::Seconds(2) : absl::Seconds(15));
    grpc::Status answer = replica_.Orders()->RefundOrder(context.get(), request, &refund);
    const bool open = answer.ok() && refund.state() == order::v1::Refund::OPEN;
    if (open && !begun) return grpc::Status(grpc::StatusCode::ABORTED, "open");
    return answer;
  });
  const bool over = refund.state() == order::v1::Refund::DONE;
  if (!status.ok() || (!over && !(begun && refund.state() == order::v1::Refund::OPEN))) {
    complaints_.push_back(
        fmt::format("refund: {} {}", status.error_message(), order::v1::Refund::State_Name(refund.state())));
  }
}

void CrashStory::ResolveWhenStuck(const std::string& order_id) {
  Persist("wait for attention", [&](grpc::ClientContext& context) {
    ops::v1::GetSagaRequest request;
    request.set_saga_id(order_id);
    ops::v1::Saga saga;
    grpc::Status status = replica_.Admin()->GetSaga(&context, request, &saga);
    if (status.ok() && !saga.needs_attention()) return grpc::Status(grpc::StatusCode::ABORTED, "not yet");
    return status;
  });
  ops::v1::ResolveSagaRequest request;
  request.set_saga_id(order_id);
  request.set_operator_("story");
  request.set_reason("paid back by hand");
  ops::v1::Saga saga;
  grpc::Status status = Persist("resolve", [&](grpc::ClientContext& context) {
    grpc::Status answer = replica_.Admin()->ResolveSaga(&context, request, &saga);
    // Its answer may have been lost with the process.
    if (answer.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
      auto again = Deadline(absl::Seconds(10));
      ops::v1::GetSagaRequest get;
      get.set_saga_id(order_id);
      answer = replica_.Admin()->GetSaga(again.get(), get, &saga);
    }
    return answer;
  });
  if (!status.ok() || saga.state() != ops::v1::RESOLVED) {
    complaints_.push_back(fmt::format("resolve: {} {}", status.error_message(), ops::v1::SagaState_Name(saga.state())));
  }
}

void CrashStory::Behave(double decline, double lost_after, double late, double unavailable, const std::string& method) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_decline_rate(decline);
  behaviour.set_lost_after_rate(lost_after);
  behaviour.set_late_rate(late);
  behaviour.set_late_ms(900);
  behaviour.set_unavailable_rate(unavailable);
  if (!method.empty()) behaviour.add_methods(method);
  stack_.SetBehaviour(behaviour);
}

void CrashStory::NobodyIsFree(bool nobody) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_decline_rate(nobody ? 1 : 0);
  behaviour.add_methods("AssignDriver");
  stack_.SetBehaviour(behaviour, sandbox::v1::DISPATCHER);
}

void CrashStory::PaymentsArePending(absl::Duration time) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_pending_rate(1);
  behaviour.set_pending_for_ms(absl::ToInt64Milliseconds(time));
  stack_.SetBehaviour(behaviour);
}

std::string CrashStory::Decide(const std::string& order_id, bool approve) {
  std::string token;
  grpc::Status status = stack_.DecidePayment(order_id, approve, &token);
  if (!status.ok()) complaints_.push_back(fmt::format("decide {}: {}", order_id, status.error_message()));
  return token;
}

void CrashStory::Signal(const std::string& order_id, const std::string& token) {
  ops::v1::SignalSagaRequest request;
  request.set_saga_id(order_id);
  request.set_step("charge_payment");
  request.set_token(token);
  request.set_outcome(ops::v1::SignalSagaRequest::SUCCEEDED);  // whatever was decided: the gateway is asked
  request.set_operator_("story");
  ops::v1::SignalSagaResponse response;
  grpc::Status status = Persist("signal", [&](grpc::ClientContext& context) {
    return replica_.Admin()->SignalSaga(&context, request, &response);
  });
  if (!status.ok()) complaints_.push_back(fmt::format("signal {}: {}", order_id, status.error_message()));
}

void CrashStory::Retry(const std::string& order_id) {
  ops::v1::RetrySagaRequest request;
  request.set_saga_id(order_id);
  ops::v1::Saga saga;
  grpc::Status status = Persist(
      "retry", [&](grpc::ClientContext& context) { return replica_.Admin()->RetrySaga(&context, request, &saga); });
  // It may have ended by a try whose answer was lost with the process.
  if (!status.ok() && status.error_code() != grpc::StatusCode::FAILED_PRECONDITION) {
    complaints_.push_back(fmt::format("retry {}: {}", order_id, status.error_message()));
  }
}

void CrashStory::AwaitStatus(const std::string& order_id, order::v1::OrderStatus wanted) {
  order::v1::GetOrderRequest request;
  request.set_order_id(order_id);
  order::v1::Order order;
  grpc::Status status = Persist("await", [&](grpc::ClientContext& context) {
    grpc::Status answer = replica_.Orders()->GetOrder(&context, request, &order);
    const bool goes_on = order.status() == order::v1::PENDING || order.status() == order::v1::AWAITING_PAYMENT ||
                         order.status() == order::v1::COMPENSATING;
    if (answer.ok() && goes_on) return grpc::Status(grpc::StatusCode::ABORTED, "not yet");
    return answer;
  });
  if (!status.ok() || (wanted != order::v1::ORDER_STATUS_UNSPECIFIED && order.status() != wanted)) {
    complaints_.push_back(
        fmt::format("await {}: {} {}", order_id, status.error_message(), order::v1::OrderStatus_Name(order.status())));
  }
}

void CrashStory::LeaveAnOrphan() {
  ++chapter_;
  sandbox::v1::Behaviour lost;
  lost.set_lost_before_rate(1);
  stack_.SetBehaviour(lost);
  Create("orphan", false, false);
  replica_.Kill();
  Behave(0, 0, 0, 0, "");
}

void CrashStory::Tell() {
  const std::string completed = Create("completed").order_id();
  Refund(completed, "before", 200);
  Complete(completed);
  Behave(0, 1, 0, 0, "RefundPart");
  Refund(completed, "answer-lost", 300, /*begun=*/true);
  Behave(0, 0, 0, 0, "");
  Refund(completed, "answer-lost", 300);

  Behave(1, 0, 0, 0, "Charge");
  Create("declined");
  Behave(0, 0, 0, 0, "");
  NobodyIsFree(true);
  Create("nobody-near", true);
  NobodyIsFree(false);

  const std::string cancelled = Create("cancelled").order_id();
  Refund(cancelled, "a-part", 400);
  Cancel(cancelled);

  Behave(0, 0, 1, 0, "Charge");
  Create("charged-late");  // long enough for its lease to be renewed
  Behave(0, 1, 0, 0, "Charge");
  Create("answer-lost");

  Behave(0, 0, 0, 1, "Refund");
  NobodyIsFree(true);
  const std::string stuck = Create("stuck", true, false).order_id();
  ResolveWhenStuck(stuck);
  NobodyIsFree(false);
  Behave(0, 0, 0, 0, "");

  PaymentsArePending();
  const std::string waits = Create("waits").order_id();
  Behave(0, 0, 0, 0, "");
  Signal(waits, Decide(waits, true));
  AwaitStatus(waits, order::v1::CONFIRMED);

  // Same key, same order: whoever asks again gets what was there.
  for (auto& [key, wanted] : created_) {
    order::v1::Order again;
    const std::string first = wanted.order_id;
    grpc::Status status = Persist("repeat " + key, [&, &request = wanted.request](grpc::ClientContext& context) {
      request.set_wait(order::v1::CreateOrderRequest::UNTIL_SETTLED);
      return replica_.Orders()->CreateOrder(&context, request, &again);
    });
    if (!status.ok() || again.order_id() != first) {
      complaints_.push_back(
          fmt::format("repeat {}: {} {} instead of {}", key, status.error_message(), again.order_id(), first));
    }
  }
}

void CrashStory::TellOfWaiting() {
  ++chapter_;
  PaymentsArePending();
  const std::string completed = Create("waits-completed").order_id();
  const std::string declined = Create("waits-declined").order_id();
  const std::string cancelled = Create("waits-cancelled").order_id();
  const std::string turned_back = Create("waits-turned-back").order_id();
  const std::string charged_late = Create("waits-charged-late").order_id();
  const std::string answer_lost = Create("waits-answer-lost").order_id();
  const std::string nobody_near = Create("waits-nobody-near", true).order_id();
  const std::string stuck = Create("waits-stuck", true).order_id();
  PaymentsArePending(absl::Milliseconds(500));
  const std::string by_itself = Create("waits-by-itself").order_id();
  Behave(0, 0, 0, 0, "");

  Signal(completed, Decide(completed, true));
  AwaitStatus(completed, order::v1::CONFIRMED);
  Refund(completed, "before", 200);
  Complete(completed);
  Refund(completed, "after", 300);
  Signal(declined, Decide(declined, false));
  AwaitStatus(declined, order::v1::FAILED);
  Cancel(cancelled);
  Decide(turned_back, true);
  Retry(turned_back);
  AwaitStatus(turned_back, order::v1::CONFIRMED);
  Cancel(turned_back);

  Behave(0, 0, 1, 0, "Charge");
  Signal(charged_late, Decide(charged_late, true));  // long enough for its lease to be renewed
  AwaitStatus(charged_late, order::v1::ORDER_STATUS_UNSPECIFIED);
  Behave(0, 1, 0, 0, "Charge");
  Signal(answer_lost, Decide(answer_lost, true));
  AwaitStatus(answer_lost, order::v1::FAILED);

  NobodyIsFree(true);
  Behave(0, 0, 0, 0, "");
  Signal(nobody_near, Decide(nobody_near, true));
  AwaitStatus(nobody_near, order::v1::FAILED);
  Behave(0, 0, 0, 1, "Refund");
  Signal(stuck, Decide(stuck, true));
  ResolveWhenStuck(stuck);
  NobodyIsFree(false);
  Behave(0, 0, 0, 0, "");
  AwaitStatus(by_itself, order::v1::CONFIRMED);
}

}  // namespace waybill::testing

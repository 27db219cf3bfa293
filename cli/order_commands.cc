// waybill order create | get | list | watch | check-payment | cancel | complete | refund
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "cli/context.h"
#include "cli/interrupts.h"
#include "cli/money.h"
#include "cli/remote.h"
#include "cli/story.h"
#include "cli/values.h"
#include "runtime/ids.h"
#include "services/process/flags.h"
#include "waybill/order/v1/order.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace order_v1 = waybill::order::v1;
using Orders = order_v1::OrderService::StubInterface;

LogLine ToLine(const order_v1::OrderTransition& transition) {
  LogLine line;
  line.sequence = transition.sequence();
  line.step = transition.step();
  line.attempt = transition.attempt();
  line.outcome = transition.outcome();
  line.detail = transition.detail();
  line.state = order_v1::OrderStatus_Name(transition.status());
  line.time = ToTime(transition.time());
  return line;
}

RefundView ToView(const order_v1::Refund& refund) {
  RefundView view;
  view.refund_id = refund.refund_id();
  view.amount_minor = refund.amount().minor_units();
  view.currency = refund.amount().currency();
  view.state = order_v1::Refund::State_Name(refund.state());
  view.reason = refund.reason();
  view.refusal = refund.refusal();
  view.gateway_reference = refund.gateway_reference();
  if (refund.has_decide_time()) view.decided_at = ToTime(refund.decide_time());
  return view;
}

OrderView ToView(const order_v1::Order& order) {
  OrderView view;
  view.id = order.order_id();
  view.key = order.idempotency_key();
  view.user = order.user_id();
  view.amount_minor = order.amount().minor_units();
  view.currency = order.amount().currency();
  if (order.has_pickup()) view.pickup = domain::GeoPoint{order.pickup().latitude(), order.pickup().longitude()};
  std::set<std::pair<std::string, std::string>> sorted(order.metadata().begin(), order.metadata().end());
  view.metadata.assign(sorted.begin(), sorted.end());
  view.status = order_v1::OrderStatus_Name(order.status());
  view.failure_reason = order.failure().reason();
  view.failure_detail = order.failure().detail();
  view.driver = order.driver_id();
  if (order.has_payment()) {
    PaymentView payment;
    payment.gateway = order.payment().gateway();
    payment.gateway_reference = order.payment().gateway_reference();
    payment.charged_minor = order.payment().charged_minor_units();
    payment.refunded_minor = order.payment().refunded_minor_units();
    if (order.payment().has_charge_time()) payment.charged_at = ToTime(order.payment().charge_time());
    if (order.payment().has_refund_time()) payment.refunded_at = ToTime(order.payment().refund_time());
    payment.authorized_minor = order.payment().authorized_minor_units();
    if (order.payment().has_authorize_time()) payment.authorized_at = ToTime(order.payment().authorize_time());
    if (order.payment().has_authorization_expire_time()) {
      payment.authorization_expires = ToTime(order.payment().authorization_expire_time());
    }
    payment.voided = order.payment().voided();
    view.payment = payment;
  }
  for (const order_v1::Refund& refund : order.refunds()) view.refunds.push_back(ToView(refund));
  view.checkout_url = order.checkout().url();
  if (order.checkout().has_expire_time()) view.checkout_expires = ToTime(order.checkout().expire_time());
  view.needs_attention = order.needs_attention();
  view.created = ToTime(order.create_time());
  view.updated = ToTime(order.update_time());
  for (const order_v1::OrderTransition& transition : order.transitions()) view.log.push_back(ToLine(transition));
  return view;
}

bool IsTerminal(order_v1::OrderStatus status) {
  return status == order_v1::COMPLETED || status == order_v1::CANCELLED || status == order_v1::FAILED ||
         status == order_v1::RESOLVED;
}

bool IsSettled(order_v1::OrderStatus status) { return status == order_v1::CONFIRMED || IsTerminal(status); }

// For commands that say whether the order went through.
ExitCode ExitCodeOf(order_v1::OrderStatus status) {
  bool turned_back = status == order_v1::COMPENSATING || (IsTerminal(status) && status != order_v1::COMPLETED);
  return turned_back ? ExitCode::kTurnedBack : ExitCode::kOk;
}

void PrintOrder(const Context& context, const order_v1::Order& order) {
  if (context.json) {
    context.PrintLine(ToJson(order));
  } else {
    context.Print(RenderOrder(ToView(order), context.clock.Now(), context.out));
  }
}

struct RefundArgs {
  std::string order;
  std::string id;
  std::string amount;
  std::optional<int64_t> amount_minor;
  std::string reason;
};

struct CreateArgs {
  std::string key;
  std::string user;
  std::string amount;
  std::optional<int64_t> amount_minor;
  std::string currency;
  std::string pickup;
  std::vector<std::string> metadata;
  std::string card, device, address, position, account_since;  // of the payer
  std::string wait = "settled";
};

// What is said of who pays.
absl::Status FillPayer(const CreateArgs& args, absl::Time now, order_v1::Payer& payer) {
  payer.set_card_fingerprint(args.card);
  payer.set_device_id(args.device);
  payer.set_address(args.address);
  if (!args.position.empty()) {
    absl::StatusOr<domain::GeoPoint> point = ForOption("--position", ParsePoint(args.position));
    if (!point.ok()) return point.status();
    payer.mutable_position()->set_latitude(point->latitude);
    payer.mutable_position()->set_longitude(point->longitude);
  }
  if (!args.account_since.empty()) {
    absl::StatusOr<absl::Time> since = ForOption("--account-since", ParseMoment(args.account_since, now));
    if (!since.ok()) return since.status();
    *payer.mutable_account_create_time() = FromTime(*since);
  }
  return absl::OkStatus();
}

absl::StatusOr<order_v1::CreateOrderRequest> ToRequest(const CreateArgs& args, absl::Time now) {
  order_v1::CreateOrderRequest request;
  request.set_idempotency_key(args.key);
  request.set_user_id(args.user);
  order_v1::Money& money = *request.mutable_amount();
  money.set_currency(args.currency);
  if (args.amount_minor) {
    money.set_minor_units(*args.amount_minor);
  } else {
    absl::StatusOr<int64_t> minor = ParseMoney(args.amount, args.currency);
    if (!minor.ok()) return minor.status();
    money.set_minor_units(*minor);
  }
  if (!args.pickup.empty()) {
    absl::StatusOr<domain::GeoPoint> point = ForOption("--pickup", ParsePoint(args.pickup));
    if (!point.ok()) return point.status();
    request.mutable_pickup()->set_latitude(point->latitude);
    request.mutable_pickup()->set_longitude(point->longitude);
  }
  for (const std::string& text : args.metadata) {
    absl::StatusOr<std::pair<std::string, std::string>> pair = ParsePair(text);
    if (!pair.ok()) return pair.status();
    (*request.mutable_metadata())[pair->first] = pair->second;
  }
  order_v1::Payer payer;
  if (absl::Status filled = FillPayer(args, now, payer); !filled.ok()) return filled;
  if (payer.ByteSizeLong() > 0) *request.mutable_payer() = std::move(payer);
  request.set_wait(args.wait == "accepted" ? order_v1::CreateOrderRequest::UNTIL_ACCEPTED
                                           : order_v1::CreateOrderRequest::UNTIL_SETTLED);
  return request;
}

ExitCode Create(const Context& context, const CreateArgs& args) {
  absl::StatusOr<order_v1::CreateOrderRequest> request = ToRequest(args, context.clock.Now());
  if (!request.ok()) return context.Fail(request.status());
  std::string again;
  if (args.key.empty()) {
    request->set_idempotency_key(IdGenerator(context.clock, context.random).Next().ToString());
    again =
        fmt::format("repeating with --key {} gets this order again, never a second one", request->idempotency_key());
  }
  const LastWords last_words(again);
  bool replayed = false;
  absl::StatusOr<order_v1::Order> order = Call<order_v1::OrderService>(
      context, context.server, &Orders::CreateOrder, *request, [&replayed](const grpc::ClientContext& call) {
        replayed = call.GetServerInitialMetadata().count("idempotency-replayed") > 0;
      });
  if (!order.ok()) {
    if (!again.empty() && MayBeDone(order.status())) context.Note(again);
    return FailServer(context, order.status());
  }
  if (replayed) context.Note("this key already had an order: here it is");
  PrintOrder(context, *order);
  return ExitCodeOf(order->status());
}

ExitCode GetOrder(const Context& context, const std::string& id) {
  order_v1::GetOrderRequest request;
  request.set_order_id(id);
  absl::StatusOr<order_v1::Order> order =
      Call<order_v1::OrderService>(context, context.server, &Orders::GetOrder, request);
  if (!order.ok()) return FailServer(context, order.status());
  PrintOrder(context, *order);
  return ExitCode::kOk;
}

struct ListOrdersArgs {
  std::string user;
  std::vector<std::string> statuses;
  std::string from;
  std::string to;
  size_t limit = 50;
};

absl::StatusOr<order_v1::ListOrdersRequest> ToRequest(const ListOrdersArgs& args, absl::Time now) {
  order_v1::ListOrdersRequest request;
  request.set_user_id(args.user);
  for (const std::string& name : args.statuses) {
    order_v1::OrderStatus status;
    if (!order_v1::OrderStatus_Parse(name, &status)) return absl::InvalidArgumentError("--status: unknown " + name);
    request.add_statuses(status);
  }
  if (!args.from.empty()) {
    absl::StatusOr<absl::Time> from = ForOption("--from", ParseMoment(args.from, now));
    if (!from.ok()) return from.status();
    *request.mutable_created_from() = FromTime(*from);
  }
  if (!args.to.empty()) {
    absl::StatusOr<absl::Time> to = ForOption("--to", ParseMoment(args.to, now));
    if (!to.ok()) return to.status();
    *request.mutable_created_to() = FromTime(*to);
  }
  return request;
}

ExitCode ListOrders(const Context& context, const ListOrdersArgs& args) {
  absl::StatusOr<order_v1::ListOrdersRequest> request = ToRequest(args, context.clock.Now());
  if (!request.ok()) return context.Fail(request.status());
  bool more = false;
  absl::StatusOr<std::vector<order_v1::Order>> found = CallPages<order_v1::Order>(
      *request, args.limit, more,
      [&](const order_v1::ListOrdersRequest& page, std::vector<order_v1::Order>& items, std::string& next) {
        absl::StatusOr<order_v1::ListOrdersResponse> response =
            Call<order_v1::OrderService>(context, context.server, &Orders::ListOrders, page);
        if (!response.ok()) return response.status();
        for (order_v1::Order& order : *response->mutable_orders()) items.push_back(std::move(order));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailServer(context, found.status());
  std::vector<OrderView> views;
  for (const order_v1::Order& order : *found) {
    if (context.json) {
      context.PrintLine(ToJson(order));
    } else {
      views.push_back(ToView(order));
    }
  }
  if (!views.empty()) context.Print(RenderOrders(views, context.clock.Now(), context.out));
  if (found->empty()) context.Note("no such orders");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

struct WatchOrderArgs {
  std::string id;
  int64_t from = 0;
  std::string until = "terminal";
  bool refunds = false;
};

// Follows an order over as many streams as it takes, each from where the one before broke.
class OrderWatcher {
 public:
  OrderWatcher(const Context& context, const WatchOrderArgs& args) : context_(context), args_(args), next_(args.from) {}

  absl::Status Run() {
    absl::StatusOr<Retrier> retrier = context_.MakeRetrier(absl::InfiniteDuration());
    if (!retrier.ok()) return retrier.status();
    SteadyTime deadline = SteadyTime::InfiniteFuture();
    if (context_.bounded()) deadline = context_.clock.Steady() + retrier->timeout();
    return retrier->RunStream([&](StreamTry& stream) { return Follow(deadline, stream); });
  }

  // One write of the saga may append several transitions, all with the state after it: the stream was left at the first
  // settled one, and the others are in the order. So are its refunds, of which the stream had not told yet.
  void ShowRest(const order_v1::Order& order) {
    for (const order_v1::OrderTransition& transition : order.transitions()) {
      if (transition.sequence() >= next_ && transition.status() == status_) Show(transition);
    }
    for (const order_v1::Refund& refund : order.refunds()) {
      if (!args_.refunds) break;
      order_v1::OrderTransition told;
      *told.mutable_refund() = refund;
      ShowRefund(told);
    }
  }

 private:
  absl::Status Follow(SteadyTime deadline, StreamTry& attempt) {
    order_v1::WatchOrderRequest request;
    request.set_order_id(args_.id);
    request.set_from_sequence(next_);
    request.set_heartbeats(true);
    request.set_refunds(args_.refunds);
    grpc::ClientContext call;
    Prepare(call, context_, deadline);
    auto orders =
        order_v1::OrderService::NewStub(rpc::MakeChannel(context_.server, rpc::Pings::kOften, context_.credentials()));
    auto stream = orders->WatchOrder(&call, request);
    stream->WaitForInitialMetadata();
    attempt.opened = context_.clock.Steady();
    order_v1::OrderTransition transition;
    while (!ended_ && stream->Read(&transition)) {
      if (transition.has_refund()) {
        ShowRefund(transition);
        continue;
      }
      if (transition.outcome().empty()) continue;  // a heartbeat
      Show(transition);
      attempt.moved = true;
      next_ = transition.sequence() + 1;
      status_ = transition.status();
      ended_ = args_.until == "settled" && IsSettled(status_);
    }
    if (ended_) call.TryCancel();
    absl::Status status = rpc::FromGrpcStatus(stream->Finish());
    if (ended_) return absl::OkStatus();
    ended_ = status.ok();
    return status;
  }

  // Each stream begins with all of them: what was shown as it is, is not shown again.
  void ShowRefund(const order_v1::OrderTransition& transition) {
    const order_v1::Refund& refund = transition.refund();
    const auto [shown, fresh] = refunds_.try_emplace(refund.refund_id(), refund.state());
    if (!fresh && shown->second == refund.state()) return;
    shown->second = refund.state();
    if (context_.json) {
      context_.PrintLine(ToJson(transition));
      return;
    }
    std::string text = fmt::format("refund {}: {} {}", refund.refund_id(),
                                   absl::AsciiStrToLower(order_v1::Refund::State_Name(refund.state())),
                                   ShowMoney(refund.amount().minor_units(), refund.amount().currency()));
    if (!refund.refusal().empty()) text += ", " + refund.refusal();
    context_.PrintLine(Printable(text));
  }

  void Show(const order_v1::OrderTransition& transition) {
    if (context_.json) {
      context_.PrintLine(ToJson(transition));
      return;
    }
    LogLine line = ToLine(transition);
    std::string text = RenderLogLine(line, previous_, context_.out);
    text.pop_back();
    context_.PrintLine(text);
    previous_ = line.time;
  }

  const Context& context_;
  const WatchOrderArgs& args_;
  int64_t next_;
  std::optional<absl::Time> previous_;
  std::map<std::string, order_v1::Refund::State> refunds_;             // as they were shown
  order_v1::OrderStatus status_ = order_v1::ORDER_STATUS_UNSPECIFIED;  // after the transition shown last
  bool ended_ = false;
};

ExitCode WatchOrder(const Context& context, const WatchOrderArgs& args) {
  OrderWatcher watcher(context, args);
  absl::Status status = watcher.Run();
  if (!status.ok()) return FailServer(context, status);
  order_v1::GetOrderRequest request;
  request.set_order_id(args.id);
  absl::StatusOr<order_v1::Order> order =
      Call<order_v1::OrderService>(context, context.server, &Orders::GetOrder, request);
  if (!order.ok()) return FailServer(context, order.status());
  watcher.ShowRest(*order);
  if (!context.json) context.PrintLine(Printable(Verdict(ToView(*order))));
  return ExitCodeOf(order->status());
}

ExitCode Cancel(const Context& context, const std::string& id, const std::string& reason) {
  order_v1::CancelOrderRequest request;
  request.set_order_id(id);
  request.set_reason(reason);
  absl::StatusOr<order_v1::Order> order =
      Call<order_v1::OrderService>(context, context.server, &Orders::CancelOrder, request);
  if (!order.ok()) return FailServer(context, order.status());
  PrintOrder(context, *order);
  return ExitCode::kOk;
}

ExitCode Refund(const Context& context, const RefundArgs& args) {
  order_v1::RefundOrderRequest request;
  request.set_order_id(args.order);
  request.set_refund_id(args.id);
  request.set_reason(args.reason);
  if (args.amount_minor) {
    request.set_amount_minor(*args.amount_minor);
  } else {
    order_v1::GetOrderRequest get;
    get.set_order_id(args.order);
    absl::StatusOr<order_v1::Order> order =
        Call<order_v1::OrderService>(context, context.server, &Orders::GetOrder, get);
    if (!order.ok()) return FailServer(context, order.status());
    absl::StatusOr<int64_t> minor = ParseMoney(args.amount, order->amount().currency());
    if (!minor.ok()) return context.Fail(minor.status());
    request.set_amount_minor(*minor);
  }
  std::string again;
  if (args.id.empty()) {
    request.set_refund_id(IdGenerator(context.clock, context.random).Next().ToString());
    again = fmt::format("repeating with --id {} gets this refund again, never a second one", request.refund_id());
  }
  const LastWords last_words(again);
  absl::StatusOr<order_v1::Refund> refund =
      Call<order_v1::OrderService>(context, context.server, &Orders::RefundOrder, request);
  if (!refund.ok()) {
    if (!again.empty() && MayBeDone(refund.status())) context.Note(again);
    return FailServer(context, refund.status());
  }
  if (context.json) {
    context.PrintLine(ToJson(*refund));
  } else {
    context.PrintLine(Printable(fmt::format("refund {}: {}", refund->refund_id(), ShowRefund(ToView(*refund)))));
    if (refund->state() == order_v1::Refund::OPEN) {
      context.Note(fmt::format("the gateway is asked until it says what becomes of it: waybill saga show {}",
                               refund->saga_id()));
    }
  }
  return refund->state() == order_v1::Refund::REFUSED ? ExitCode::kTurnedBack : ExitCode::kOk;
}

ExitCode CheckPayment(const Context& context, const std::string& id) {
  order_v1::CheckPaymentRequest request;
  request.set_order_id(id);
  absl::StatusOr<order_v1::Order> order =
      Call<order_v1::OrderService>(context, context.server, &Orders::CheckPayment, request);
  if (!order.ok()) return FailServer(context, order.status());
  PrintOrder(context, *order);
  return ExitCode::kOk;
}

ExitCode Complete(const Context& context, const std::string& id) {
  order_v1::CompleteOrderRequest request;
  request.set_order_id(id);
  absl::StatusOr<order_v1::Order> order =
      Call<order_v1::OrderService>(context, context.server, &Orders::CompleteOrder, request);
  if (!order.ok()) return FailServer(context, order.status());
  PrintOrder(context, *order);
  return ExitCode::kOk;
}

void AddCreate(CLI::App& group, Context& context) {
  auto args = std::make_shared<CreateArgs>();
  CLI::App* command =
      group.add_subcommand("create", "Create an order: charge it and give it a driver, or give the money back");
  command->add_option("--user", args->user, "Who orders")->required()->type_name("ID");
  auto* amount = command->add_option("--amount", args->amount, "What it costs, exactly: 12.50 (or --amount-minor)")
                     ->type_name("AMOUNT");
  auto* minor =
      process::AddInteger(*command, "--amount-minor", args->amount_minor, "The same in the minor unit: 1250 cents")
          ->type_name("N");
  amount->excludes(minor);
  command->add_option("--currency", args->currency, "ISO 4217 code")->required()->type_name("CODE");
  command->add_option("--key", args->key, "Idempotency key (default: a fresh one, printed)")->type_name("KEY");
  command->add_option("--pickup", args->pickup, "Where a driver should be near")->type_name("LAT,LONG");
  command->add_option("--metadata", args->metadata, "Kept with the order; may be given many times")
      ->type_name("K=V")
      ->allow_extra_args(false);
  command->add_option("--card", args->card, "For rules of risk: a fingerprint of the payer's card")->type_name("TEXT");
  command->add_option("--device", args->device, "For rules of risk: the payer's device")->type_name("TEXT");
  command->add_option("--address", args->address, "For rules of risk: where the payer is on the network")
      ->type_name("TEXT");
  command->add_option("--position", args->position, "For rules of risk: where the payer is")->type_name("LAT,LONG");
  command
      ->add_option("--account-since", args->account_since, "For rules of risk: since when the user's account is there")
      ->type_name("TIME");
  command->add_option("--wait", args->wait, "How long to wait")
      ->check(CLI::IsMember({"settled", "accepted"}))
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  waybill order create --user u-17 --amount 12.50 --currency EUR --pickup 52.52,13.405\n"
      "  waybill order create --user u-17 --amount-minor 1250 --currency EUR --wait accepted\n"
      "  waybill order create --key checkout-4711 --user u-17 --amount 900 --currency JPY --metadata gate=7\n"
      "\n"
      "While the service does not answer, the call is repeated with the same key, so that there is never a second\n"
      "order. Exit code 6: the order was turned back; its story says why, and that the money is back.");
  command->callback([&context, args, amount, minor] {
    if (amount->empty() && minor->empty()) throw CLI::RequiredError("--amount or --amount-minor");
    context.run = [&context, args] { return Create(context, *args); };
  });
}

void AddRefund(CLI::App& group, Context& context) {
  auto args = std::make_shared<RefundArgs>();
  CLI::App* command = group.add_subcommand("refund", "Give a part of an order's money back, while the order stands");
  command->add_option("order", args->order, "The order: confirmed or completed")->required()->type_name("ID");
  auto* amount =
      command->add_option("--amount", args->amount, "How much, exactly: 2.50 (or --amount-minor)")->type_name("AMOUNT");
  auto* minor =
      process::AddInteger(*command, "--amount-minor", args->amount_minor, "The same in the minor unit: 250 cents")
          ->type_name("N");
  amount->excludes(minor);
  command->add_option("--id", args->id, "Names it among the order's refunds (default: a fresh one, printed)")
      ->type_name("REFUND");
  command->add_option("--reason", args->reason, "Kept with it")->type_name("TEXT");
  command->footer(
      "Example:\n"
      "  waybill order refund 01939f6e-0000-7000-8000-000000000001 --amount 2.50 --id cold-soup --reason \"it was "
      "cold\"\n"
      "\n"
      "Repeated with the same --id it is the same refund. All of them together are never more than the charge (exit "
      "code\n"
      "4). Exit code 6: the gateway refuses it. To give all of it back, cancel the order.");
  command->callback([&context, args, amount, minor] {
    if (amount->empty() && minor->empty()) throw CLI::RequiredError("--amount or --amount-minor");
    context.run = [&context, args] { return Refund(context, *args); };
  });
}

void AddListOrders(CLI::App& group, Context& context) {
  auto args = std::make_shared<ListOrdersArgs>();
  CLI::App* command = group.add_subcommand("list", "List orders, newest first");
  command->add_option("--user", args->user, "Only this user's")->type_name("ID");
  command->add_option("--status", args->statuses, "Only with this status; may be given many times")
      ->allow_extra_args(false)
      ->transform(CLI::IsMember({"PENDING", "AWAITING_PAYMENT", "AWAITING_REVIEW", "CONFIRMED", "COMPLETED",
                                 "COMPENSATING", "CANCELLED", "FAILED", "RESOLVED"},
                                CLI::ignore_case));
  command->add_option("--from", args->from, "Created then or later")->type_name("TIME");
  command->add_option("--to", args->to, "Created before then")->type_name("TIME");
  process::AddInteger(*command, "--limit", args->limit, "At most so many; 0: all")
      ->capture_default_str()
      ->type_name("N");
  command->footer(
      "Examples:\n"
      "  waybill order list --user u-17\n"
      "  waybill order list --status failed --from 2h\n"
      "  waybill order list --from 2026-01-31T12:00:00Z --to 2026-02-01 --limit 0 --json | jq -r .order_id\n"
      "\n"
      "TIME is an RFC 3339 time, a date, or how long ago.");
  command->callback([&context, args] { context.run = [&context, args] { return ListOrders(context, *args); }; });
}

void AddWatchOrder(CLI::App& group, Context& context) {
  auto args = std::make_shared<WatchOrderArgs>();
  CLI::App* command = group.add_subcommand("watch", "Follow an order line by line until nothing more can happen to it");
  command->add_option("id", args->id, "The order")->required()->type_name("ID");
  process::AddInteger(*command, "--from", args->from, "First sequence to show")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  command->add_option("--until", args->until, "When to stop: terminal, or settled (confirmed counts, too)")
      ->check(CLI::IsMember({"terminal", "settled"}))
      ->capture_default_str();
  command->add_flag("--refunds", args->refunds, "Partial refunds, too: as they stand, and when that changes");
  command->footer(
      "Examples:\n"
      "  waybill order watch 01939f6e-0000-7000-8000-000000000001\n"
      "  waybill order watch 01939f6e-0000-7000-8000-000000000001 --until settled --timeout 1m\n"
      "\n"
      "A broken stream is taken up again where it broke. Exit code 6: the order was turned back.");
  command->callback([&context, args] { context.run = [&context, args] { return WatchOrder(context, *args); }; });
}

}  // namespace

void AddOrderCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("order", "Create, read, watch, cancel, complete and refund orders");
  group->require_subcommand(1);
  group->footer("`waybill order COMMAND --help` explains each command with examples.");
  AddCreate(*group, context);
  AddListOrders(*group, context);
  AddWatchOrder(*group, context);

  auto id = std::make_shared<std::string>();
  auto reason = std::make_shared<std::string>();
  CLI::App* get = group->add_subcommand("get", "Show an order and what happened to it, step by step");
  get->add_option("id", *id, "The order")->required()->type_name("ID");
  get->footer("Example:\n  waybill order get 01939f6e-0000-7000-8000-000000000001");
  get->callback([&context, id] { context.run = [&context, id] { return GetOrder(context, *id); }; });

  CLI::App* cancel = group->add_subcommand("cancel", "Turn an order back: refund it and free its driver");
  cancel->add_option("id", *id, "The order")->required()->type_name("ID");
  cancel->add_option("--reason", *reason, "Kept in the order's log")->type_name("TEXT");
  cancel->footer(
      "Example:\n  waybill order cancel 01939f6e-0000-7000-8000-000000000001 --reason \"customer called\"\n\n"
      "Repeating it is harmless. A completed order is refused (exit code 4).");
  cancel->callback(
      [&context, id, reason] { context.run = [&context, id, reason] { return Cancel(context, *id, *reason); }; });

  CLI::App* check = group->add_subcommand("check-payment", "Have the gateway asked whether the payer has paid");
  check->add_option("id", *id, "The order")->required()->type_name("ID");
  check->footer(
      "Example:\n  waybill order check-payment 01939f6e-0000-7000-8000-000000000001\n\n"
      "It prints the order as it stood before. Of one that does not wait for its payer nothing happens.");
  check->callback([&context, id] { context.run = [&context, id] { return CheckPayment(context, *id); }; });

  CLI::App* complete = group->add_subcommand("complete", "Mark a confirmed order as delivered and free its driver");
  complete->add_option("id", *id, "The order")->required()->type_name("ID");
  complete->footer(
      "Example:\n  waybill order complete 01939f6e-0000-7000-8000-000000000001\n\n"
      "Repeating it is harmless. An order that is not confirmed is refused (exit code 4).");
  complete->callback([&context, id] { context.run = [&context, id] { return Complete(context, *id); }; });
  AddRefund(*group, context);
}

}  // namespace waybill::cli

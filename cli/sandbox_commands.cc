// waybill sandbox set | show | decide | charge-back | books | settlement | restart
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "cli/context.h"
#include "cli/money.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "services/process/flags.h"
#include "waybill/sandbox/v1/sandbox.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace sandbox_v1 = waybill::sandbox::v1;
using Sandbox = sandbox_v1::SandboxAdmin::StubInterface;

std::string Percent(double share) { return share == 0 ? "-" : fmt::format("{:g} %", share * 100); }

std::string Latency(const sandbox_v1::Behaviour& behaviour) {
  if (behaviour.latency_ms_p50() == 0 && behaviour.latency_ms_p99() == 0) return "none";
  return fmt::format("{} ms, p99 {} ms", behaviour.latency_ms_p50(), behaviour.latency_ms_p99());
}

std::string WebhookFaults(const sandbox_v1::Behaviour& behaviour) {
  std::string text;
  const auto add = [&text](const char* what, double share) {
    if (share > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", Percent(share), what);
  };
  add("lost", behaviour.webhook_lost_rate());
  add("twice", behaviour.webhook_twice_rate());
  add("late", behaviour.webhook_late_rate());
  add("out of order", behaviour.webhook_out_of_order_rate());
  add("of another amount", behaviour.webhook_wrong_amount_rate());
  return text;
}

ExitCode ShowBehaviours(const Context& context, const absl::StatusOr<sandbox_v1::Behaviours>& behaviours) {
  if (!behaviours.ok()) return FailSandbox(context, behaviours.status());
  if (context.json) {
    context.PrintLine(ToJson(*behaviours));
    return ExitCode::kOk;
  }
  using Align = Column::Align;
  Table table({{"target"},
               {"kind"},
               {"address"},
               {"unavailable", Align::kRight},
               {"lost before", Align::kRight},
               {"lost after", Align::kRight},
               {"late", Align::kRight},
               {"slow", Align::kRight},
               {"declined", Align::kRight},
               {"pending", Align::kRight},
               {"webhooks", Align::kLeft, Column::Overflow::kWrap},
               {"latency"},
               {"only for"}});
  auto add = [&table](const std::string& target, const std::string& kind, const std::string& address,
                      const sandbox_v1::Behaviour& behaviour) {
    std::string late = Percent(behaviour.late_rate());
    if (behaviour.late_rate() > 0) late += fmt::format(" by {} ms", behaviour.late_ms());
    std::string slow = Percent(behaviour.slow_rate());
    if (behaviour.slow_rate() > 0) slow += fmt::format(" by {} ms", behaviour.late_ms());
    std::string pending = Percent(behaviour.pending_rate());
    if (behaviour.pending_rate() > 0) pending += fmt::format(" for {} ms", behaviour.pending_for_ms());
    std::string methods;
    for (const std::string& method : behaviour.methods()) methods += (methods.empty() ? "" : ", ") + method;
    table.Add({target, kind, address, Percent(behaviour.unavailable_rate()), Percent(behaviour.lost_before_rate()),
               Percent(behaviour.lost_after_rate()), late, slow, Percent(behaviour.decline_rate()), pending,
               WebhookFaults(behaviour), Latency(behaviour), methods});
  };
  add("gateway", "", "", behaviours->gateway());
  add("dispatcher", "", "", behaviours->dispatcher());
  add("payouts", "", "", behaviours->payouts());
  for (const sandbox_v1::Gateway& gateway : behaviours->gateways()) {
    const bool redirects = gateway.kind() == sandbox_v1::Gateway::REDIRECT;
    add(gateway.name(), redirects ? "redirect" : "immediate", gateway.address(), gateway.behaviour());
  }
  context.Print(table.Render(context.out));
  return ExitCode::kOk;
}

// Only those that the sandbox plays beside the one at its address have a name.
void AddGateway(CLI::App& command, std::string& gateway) {
  command
      .add_option("--gateway", gateway, "Of those that the sandbox plays, this one (default: the one at its address)")
      ->type_name("NAME");
}

struct SetArgs {
  std::string target = "all";
  std::string gateway;
  double webhook_lost = 0, webhook_twice = 0, webhook_late = 0, webhook_out_of_order = 0, webhook_wrong_amount = 0;
  std::string expires = "0s";
  double unavailable = 0;
  double lost_before = 0;
  double lost_after = 0;
  double late = 0;
  double slow = 0;
  double decline = 0;
  double pending = 0;
  std::string pending_for;
  std::string p50 = "0s";
  std::string p99;
  std::string late_by = "0s";
  sandbox_v1::Repetition repetition = sandbox_v1::REPETITION_UNSPECIFIED;
  std::vector<std::string> methods;
};

absl::StatusOr<sandbox_v1::SetBehaviourRequest> ToRequest(const SetArgs& args) {
  sandbox_v1::SetBehaviourRequest request;
  request.set_gateway(args.gateway);
  if (args.target == "gateway") request.set_target(sandbox_v1::GATEWAY);
  if (args.target == "dispatcher") request.set_target(sandbox_v1::DISPATCHER);
  if (args.target == "payouts") request.set_target(sandbox_v1::PAYOUTS);
  sandbox_v1::Behaviour& behaviour = *request.mutable_behaviour();
  behaviour.set_unavailable_rate(args.unavailable);
  behaviour.set_lost_before_rate(args.lost_before);
  behaviour.set_lost_after_rate(args.lost_after);
  behaviour.set_late_rate(args.late);
  behaviour.set_slow_rate(args.slow);
  behaviour.set_repetition(args.repetition);
  behaviour.set_decline_rate(args.decline);
  behaviour.set_pending_rate(args.pending);
  if (!args.pending_for.empty() || args.pending > 0) {
    absl::StatusOr<absl::Duration> pending_for =
        ForOption("--pending-for", ParseDuration(args.pending_for.empty() ? "1h" : args.pending_for));
    if (!pending_for.ok()) return pending_for.status();
    behaviour.set_pending_for_ms(absl::ToInt64Milliseconds(*pending_for));
  }
  absl::StatusOr<absl::Duration> expires = ForOption("--expires", ParseDuration(args.expires));
  if (!expires.ok()) return expires.status();
  behaviour.set_expires_ms(absl::ToInt64Milliseconds(*expires));
  behaviour.set_webhook_lost_rate(args.webhook_lost);
  behaviour.set_webhook_twice_rate(args.webhook_twice);
  behaviour.set_webhook_late_rate(args.webhook_late);
  behaviour.set_webhook_out_of_order_rate(args.webhook_out_of_order);
  behaviour.set_webhook_wrong_amount_rate(args.webhook_wrong_amount);
  absl::StatusOr<absl::Duration> p50 = ForOption("--latency", ParseDuration(args.p50));
  if (!p50.ok()) return p50.status();
  absl::StatusOr<absl::Duration> p99 = args.p99.empty() ? p50 : ForOption("--latency-p99", ParseDuration(args.p99));
  if (!p99.ok()) return p99.status();
  absl::StatusOr<absl::Duration> late_by = ForOption("--late-by", ParseDuration(args.late_by));
  if (!late_by.ok()) return late_by.status();
  behaviour.set_latency_ms_p50(absl::ToInt64Milliseconds(*p50));
  behaviour.set_latency_ms_p99(absl::ToInt64Milliseconds(*p99));
  behaviour.set_late_ms(absl::ToInt64Milliseconds(*late_by));
  for (const std::string& method : args.methods) behaviour.add_methods(method);
  return request;
}

ExitCode Set(const Context& context, const SetArgs& args) {
  absl::StatusOr<sandbox_v1::SetBehaviourRequest> request = ToRequest(args);
  if (!request.ok()) return context.Fail(request.status());
  return ShowBehaviours(context,
                        Call<sandbox_v1::SandboxAdmin>(context, context.sandbox, &Sandbox::SetBehaviour, *request));
}

ExitCode Books(const Context& context, const std::string& order_id, const std::string& gateway) {
  sandbox_v1::GetBooksRequest request;
  request.set_order_id(order_id);
  request.set_gateway(gateway);
  absl::StatusOr<sandbox_v1::Books> books =
      Call<sandbox_v1::SandboxAdmin>(context, context.sandbox, &Sandbox::GetBooks, request);
  if (!books.ok()) return FailSandbox(context, books.status());
  Table table({{"key"},
               {"charges", Column::Align::kRight},
               {"charged", Column::Align::kRight},
               {"refunds", Column::Align::kRight},
               {"refunded", Column::Align::kRight},
               {"held", Column::Align::kRight},
               {"paid out", Column::Align::kRight},
               {"pending"},
               {"driver", Column::Align::kLeft, Column::Overflow::kCut}});
  for (const sandbox_v1::Books::Entry& entry : books->entries()) {
    if (context.json) {
      context.PrintLine(ToJson(entry));
    } else {
      table.Add({entry.idempotency_key(), std::to_string(entry.charges()), std::to_string(entry.charged_minor()),
                 std::to_string(entry.refunds()), std::to_string(entry.refunded_minor()),
                 std::to_string(entry.held_minor()), std::to_string(entry.paid_out_minor()), entry.pending_token(),
                 entry.driver_id()});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (books->entries().empty()) context.Note("nothing in the books");
  return ExitCode::kOk;
}

struct DecidePaymentArgs {
  std::string payment, gateway;
  sandbox_v1::DecidePaymentRequest::Decision decision = sandbox_v1::DecidePaymentRequest::DECISION_UNSPECIFIED;
};

ExitCode Decide(const Context& context, const DecidePaymentArgs& args) {
  sandbox_v1::DecidePaymentRequest request;
  if (args.payment.find('/') == std::string::npos) {
    request.set_token(args.payment);
  } else {
    request.set_idempotency_key(args.payment);
  }
  request.set_decision(args.decision);
  request.set_gateway(args.gateway);
  absl::StatusOr<sandbox_v1::DecidePaymentResponse> decided =
      Call<sandbox_v1::SandboxAdmin>(context, context.sandbox, &Sandbox::DecidePayment, request);
  if (!decided.ok()) return FailSandbox(context, decided.status());
  if (context.json) {
    context.PrintLine(ToJson(*decided));
  } else {
    context.Note(fmt::format("decided: {}", decided->idempotency_key()));
  }
  return ExitCode::kOk;
}

// A word for each value, and an error that names them all.
template <typename Value>
CLI::Validator OneOf(std::map<std::string, Value> values) {
  const auto take = [values = std::move(values)](std::string& text) {
    if (const auto found = values.find(text); found != values.end()) {
      text = std::to_string(static_cast<int>(found->second));
      return std::string();
    }
    std::string words;
    for (const auto& [word, value] : values) words += (words.empty() ? "" : ", ") + word;
    return fmt::format("\"{}\" is none of {}", text, words);
  };
  return CLI::Validator(take, "");
}

void AddDecide(CLI::App& group, Context& context) {
  auto args = std::make_shared<DecidePaymentArgs>();
  CLI::App* command = group.add_subcommand("decide", "Decide a charge or payout that was answered pending");
  command->add_option("payment", args->payment, "Its token, or its key")->required()->type_name("TOKEN");
  command->add_option("decision", args->decision, "What becomes of it: approved or declined")
      ->required()
      ->transform(
          OneOf<sandbox_v1::DecidePaymentRequest::Decision>({{"approved", sandbox_v1::DecidePaymentRequest::APPROVED},
                                                             {"declined", sandbox_v1::DecidePaymentRequest::DECLINED}}))
      ->type_name("approved|declined");
  AddGateway(*command, args->gateway);
  command->footer(
      "Examples:\n"
      "  waybill sandbox decide pi_42 approved\n"
      "  waybill sandbox decide 01939f6e-0000-7000-8000-000000000001/charge_payment declined\n"
      "\n"
      "`waybill sandbox books` names the tokens. The sandbox sends a webhook where it was started with --webhook-url; "
      "otherwise\n"
      "Waybill asks again when it is signalled, or when --pending-for is over.");
  command->callback([&context, args] { context.run = [&context, args] { return Decide(context, *args); }; });
}

void AddChargeBack(CLI::App& group, Context& context) {
  auto key = std::make_shared<std::string>(), gateway = std::make_shared<std::string>();
  CLI::App* command = group.add_subcommand("charge-back", "Give a payer the money back through its bank");
  command->add_option("key", *key, "Of the charge")->required()->type_name("KEY");
  AddGateway(*command, *gateway);
  command->footer(
      "Example:\n  waybill sandbox charge-back 01939f6e-0000-7000-8000-000000000001/charge_payment\n\nThe gateway's "
      "settlement file has it; nobody is told otherwise.");
  command->callback([&context, key, gateway] {
    context.run = [&context, key, gateway] {
      sandbox_v1::ChargeBackRequest request;
      request.set_idempotency_key(*key);
      request.set_gateway(*gateway);
      absl::StatusOr<sandbox_v1::ChargeBackResponse> back =
          Call<sandbox_v1::SandboxAdmin>(context, context.sandbox, &Sandbox::ChargeBack, request);
      if (!back.ok()) return FailSandbox(context, back.status());
      if (context.json) {
        context.PrintLine(ToJson(*back));
      } else {
        context.Note("charged back: " + ShowMoney(back->amount_minor(), back->currency()));
      }
      return ExitCode::kOk;
    };
  });
}

struct SettlementArgs {
  std::string gateway, day, zone, late = "0s";
  bool payout_sums = false, negative_refunds = false, decimal_comma = false;
  int64_t payout_fee = 0;
  std::vector<sandbox_v1::Difference> plant;
};

std::string DifferenceName(sandbox_v1::Difference difference) {
  return absl::AsciiStrToLower(sandbox_v1::Difference_Name(difference));
}

// The file alone on standard output, so that it can go into one; what was planted beside.
ExitCode WriteSettlement(const Context& context, const SettlementArgs& args) {
  sandbox_v1::GetSettlementRequest request;
  request.set_gateway(args.gateway);
  request.set_day(args.day);
  request.set_zone(args.zone);
  absl::StatusOr<absl::Duration> late = ForOption("--late", ParseDuration(args.late));
  if (!late.ok()) return context.Fail(late.status());
  request.set_late_ms(absl::ToInt64Milliseconds(*late));
  request.set_payout_sums(args.payout_sums);
  request.set_negative_refunds(args.negative_refunds);
  request.set_decimal_comma(args.decimal_comma);
  request.set_payout_fee_minor(args.payout_fee);
  for (const sandbox_v1::Difference difference : args.plant) request.add_plant(difference);
  do {
    absl::StatusOr<sandbox_v1::Settlement> part =
        Call<sandbox_v1::SandboxAdmin>(context, context.sandbox, &Sandbox::GetSettlement, request);
    if (!part.ok()) return FailSandbox(context, part.status());
    context.Print(part->csv());
    for (const auto& planted : part->planted()) {
      context.Note(fmt::format("planted: {} {}", DifferenceName(planted.difference()), planted.reference()));
    }
    request.set_page_token(part->next_page_token());
  } while (!request.page_token().empty());
  return ExitCode::kOk;
}

void AddSettlement(CLI::App& group, Context& context) {
  auto args = std::make_shared<SettlementArgs>();
  CLI::App* command = group.add_subcommand("settlement", "Print a gateway's settlement file of a day, by its books");
  command->add_option("--day", args->day, "Of which, as 2026-01-31")->required()->type_name("DAY");
  AddGateway(*command, args->gateway);
  command->add_option("--zone", args->zone, "Local midnights, and times without a zone: Europe/Berlin (default: UTC)")
      ->type_name("ZONE");
  command->add_option("--late", args->late, "What was booked in the last so much of a day is in the next day's file")
      ->type_name("DURATION");
  command->add_flag("--payout-sums", args->payout_sums, "A line of the kind payout with the sum of each currency");
  command->add_flag("--negative-refunds", args->negative_refunds, "What goes back is below zero");
  command->add_flag("--decimal-comma", args->decimal_comma, "Amounts as 12,50, and semicolons between fields");
  process::AddInteger(*command, "--payout-fee", args->payout_fee,
                      "A line of the kind fee in each currency, in minor units")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  std::map<std::string, sandbox_v1::Difference> differences;
  for (int each = sandbox_v1::MISSING_HERE; each <= sandbox_v1::Difference_MAX; ++each) {
    differences.emplace(DifferenceName(static_cast<sandbox_v1::Difference>(each)),
                        static_cast<sandbox_v1::Difference>(each));
  }
  command
      ->add_option(
          "--plant", args->plant,
          "A difference in a charge of its own, to be found: missing_here, missing_there, twice, amount, currency, "
          "fee; may be given many times")
      ->transform(CLI::CheckedTransformer(differences).description(""))
      ->type_name("DIFFERENCE")
      ->allow_extra_args(false);
  command->footer(
      "Examples:\n"
      "  waybill sandbox settlement --gateway upi --day 2026-01-31 >upi.csv\n"
      "  waybill reconcile run upi.csv --gateway upi --day 2026-01-31 --fee-percent 2\n"
      "\n"
      "  waybill sandbox settlement --day 2026-01-31 --zone Europe/Berlin --decimal-comma --payout-sums >north.csv\n"
      "  waybill reconcile run north.csv --gateway north --day 2026-01-31 --zone Europe/Berlin --decimal-comma --skip "
      "payout\n"
      "\n"
      "Amounts are decimals of the currency's own. Of a day that is not over, what was booked by now is in it.");
  command->callback([&context, args] { context.run = [&context, args] { return WriteSettlement(context, *args); }; });
}

void AddSet(CLI::App& group, Context& context) {
  auto args = std::make_shared<SetArgs>();
  CLI::App* command = group.add_subcommand("set", "Replace how it behaves; what is not named is well-behaved");
  command->add_option("--target", args->target, "Who misbehaves")
      ->check(CLI::IsMember({"all", "gateway", "dispatcher", "payouts"}))
      ->capture_default_str();
  AddGateway(*command, args->gateway);
  auto share = [command](const char* name, double& value, const char* what) {
    command->add_option(name, value, what)->check(process::NumberBetween(0.0, 1.0))->type_name("SHARE");
  };
  share("--unavailable", args->unavailable, "Calls answered UNAVAILABLE, nothing done");
  share("--lost-before", args->lost_before, "Calls never answered, nothing done");
  share("--lost-after", args->lost_after, "Calls done, then never answered");
  share("--late", args->late, "Calls done, answered late");
  share("--slow", args->slow, "Calls done only after --late-by, and then answered");
  share("--decline", args->decline, "Charges declined; dispatcher: no driver; payouts: refused");
  share("--pending", args->pending, "Charges and payouts to be decided later, see `waybill sandbox decide`");
  command
      ->add_option("--pending-for", args->pending_for,
                   "After how long a pending charge is approved by itself (default: 1h; of a redirect gateway: never)")
      ->type_name("DURATION");
  command
      ->add_option(
          "--expires", args->expires,
          "After how long a pending charge can be paid no more (default: it is not said; of a redirect gateway: as "
          "it was started)")
      ->type_name("DURATION");
  share("--webhook-lost", args->webhook_lost, "Webhooks never sent");
  share("--webhook-twice", args->webhook_twice, "Webhooks sent twice");
  share("--webhook-late", args->webhook_late, "Webhooks sent after --late-by");
  share("--webhook-out-of-order", args->webhook_out_of_order, "Webhooks sent behind the gateway's next one");
  share("--webhook-wrong-amount", args->webhook_wrong_amount, "Webhooks that name another amount");
  command->add_option("--late-by", args->late_by, "How late late and slow calls and late webhooks are")
      ->type_name("DURATION");
  command
      ->add_option("--repetition", args->repetition,
                   "What a repetition gets while the first call is late or slow (default: contract)")
      ->transform(OneOf<sandbox_v1::Repetition>({{"contract", sandbox_v1::REPETITION_UNSPECIFIED},
                                                 {"aborted", sandbox_v1::REPETITION_ABORTED},
                                                 {"conflict", sandbox_v1::REPETITION_CONFLICT},
                                                 {"declined", sandbox_v1::REPETITION_DECLINED}}))
      ->type_name("contract|aborted|conflict|declined");
  command->add_option("--latency", args->p50, "Of ordinary answers, median")->type_name("DURATION");
  command->add_option("--latency-p99", args->p99, "The same, 99th percentile (default: the median)")
      ->type_name("DURATION");
  command->add_option("--method", args->methods, "Only this RPC misbehaves, e.g. Refund; may be given many times")
      ->type_name("RPC")
      ->allow_extra_args(false);
  command->footer(
      "Examples:\n"
      "  waybill sandbox set --decline 0.3\n"
      "  waybill sandbox set --target gateway --lost-after 0.1 --latency 5ms --latency-p99 80ms\n"
      "  waybill sandbox set --target gateway --unavailable 1 --method Refund   # refunds keep failing\n"
      "  waybill sandbox set --target gateway --slow 1 --late-by 3s             # charges land after the timeout\n"
      "  waybill sandbox set --target gateway --pending 1                       # every payer takes his time\n"
      "  waybill sandbox set --gateway upi --webhook-lost 0.2 --webhook-out-of-order 0.5\n"
      "  waybill sandbox set                                                    # well-behaved again\n"
      "\n"
      "A SHARE is of all calls, or of all webhooks, 0 to 1. Shares of calls are drawn in the order above; the first "
      "that hits "
      "decides.");
  command->callback([&context, args] { context.run = [&context, args] { return Set(context, *args); }; });
}

}  // namespace

void AddSandboxCommands(CLI::App& app, Context& context) {
  CLI::App* group =
      app.add_subcommand("sandbox", "For demos and tests: make the sandbox misbehave, and read its books");
  group->require_subcommand(1);
  group->footer("`waybill sandbox COMMAND --help` explains each command with examples.");
  group->add_option("--sandbox", context.sandbox, "Where waybill-sandbox is")
      ->envname("WAYBILL_SANDBOX")
      ->capture_default_str()
      ->type_name("HOST:PORT");
  AddSet(*group, context);

  CLI::App* show = group->add_subcommand("show", "Show how it behaves");
  show->footer("Example:\n  waybill sandbox show --sandbox 127.0.0.1:7420");
  show->callback([&context] {
    context.run = [&context] {
      return ShowBehaviours(context, Call<sandbox_v1::SandboxAdmin>(context, context.sandbox, &Sandbox::GetBehaviours,
                                                                    sandbox_v1::GetBehavioursRequest()));
    };
  });

  AddDecide(*group, context);

  AddChargeBack(*group, context);
  AddSettlement(*group, context);

  auto order_id = std::make_shared<std::string>(), books_of = std::make_shared<std::string>();
  CLI::App* books = group->add_subcommand("books", "Show what its append-only log says, key by key");
  books->add_option("--order", *order_id, "Only this order's")->type_name("ID");
  AddGateway(*books, *books_of);
  books->footer(
      "Example:\n  waybill sandbox books --order 01939f6e-0000-7000-8000-000000000001\n\nAmounts are in minor units, "
      "as the gateway was told them.");
  books->callback([&context, order_id, books_of] {
    context.run = [&context, order_id, books_of] { return Books(context, *order_id, *books_of); };
  });

  CLI::App* restart =
      group->add_subcommand("restart", "Make it execute itself anew: connections break, calls are lost");
  restart->footer("Example:\n  waybill sandbox restart\n\nIts log is on disk, so that its books survive.");
  restart->callback([&context] {
    context.run = [&context] {
      auto answer =
          Call<sandbox_v1::SandboxAdmin>(context, context.sandbox, &Sandbox::Restart, sandbox_v1::RestartRequest());
      if (!answer.ok()) return FailSandbox(context, answer.status());
      context.Note("restarting");
      return ExitCode::kOk;
    };
  });
}

}  // namespace waybill::cli

// waybill payout create | get | list
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "cli/context.h"
#include "cli/fields.h"
#include "cli/interrupts.h"
#include "cli/money.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "runtime/ids.h"
#include "services/process/flags.h"
#include "waybill/payouts/v1/payouts.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace payouts_v1 = waybill::payouts::v1;
using Payouts = payouts_v1::PayoutService;
using PayoutsStub = Payouts::StubInterface;

std::string PayoutStatusName(payouts_v1::PayoutStatus status) { return payouts_v1::PayoutStatus_Name(status); }

void ShowPayout(const Context& context, const payouts_v1::Payout& payout) {
  if (context.json) {
    context.PrintLine(ToJson(payout));
  } else {
    ShowFields(context, {{"payout", payout.payout_id()},
                         {"client", payout.client()},
                         {"status", PayoutStatusName(payout.status())},
                         {"refused", payout.refusal()},
                         {"amount", ShowMoney(payout.amount().minor_units(), payout.amount().currency())},
                         {"from", payout.account_id()},
                         {"to", payout.destination()},
                         {"description", payout.description()},
                         {"reference", payout.gateway_reference()},
                         {"created", ShowTime(ToTime(payout.create_time()))},
                         {"decided", payout.has_decide_time() ? ShowTime(ToTime(payout.decide_time())) : ""},
                         {"saga", payout.saga_id()}});
  }
}

struct CreatePayoutArgs {
  std::string account, amount, destination, id, description;
};

ExitCode CreatePayout(const Context& context, const CreatePayoutArgs& args) {
  payouts_v1::CreatePayoutRequest request;
  const absl::StatusOr<Amount> amount = ParseAmount(args.amount);
  if (!amount.ok()) return context.Fail(amount.status());
  request.mutable_amount()->set_minor_units(amount->minor);
  request.mutable_amount()->set_currency(amount->currency);
  request.set_payout_id(args.id);
  request.set_account_id(args.account);
  request.set_destination(args.destination);
  request.set_description(args.description);
  std::string again;
  if (request.payout_id().empty()) {
    request.set_payout_id(IdGenerator(context.clock, context.random).Next().ToString());
    again = fmt::format("repeating with --id {} pays nothing twice", request.payout_id());
  }
  const LastWords last_words(again);
  absl::StatusOr<payouts_v1::Payout> payout =
      Call<Payouts>(context, context.server, &PayoutsStub::CreatePayout, request);
  if (!payout.ok()) {
    if (!again.empty() && MayBeDone(payout.status())) context.Note(again);
    // Scripts have the contract's names of fields, people those of the options.
    return FailServer(context, context.json ? payout.status()
                                            : NameOptions(payout.status(), {{"payout_id", "--id"},
                                                                            {"account_id", "ACCOUNT"},
                                                                            {"amount", "--amount"},
                                                                            {"amount.minor_units", "--amount"},
                                                                            {"amount.currency", "--amount"},
                                                                            {"destination", "--to"},
                                                                            {"description", "--description"}}));
  }
  ShowPayout(context, *payout);
  if (payout->status() == payouts_v1::REFUSED) return ExitCode::kTurnedBack;
  if (payout->status() == payouts_v1::AWAITING_REVIEW) {
    context.Note(fmt::format("it waits for a person: `waybill risk approve {}`, or deny", payout->saga_id()));
    return ExitCode::kUnavailable;
  }
  if (payout->status() != payouts_v1::OPEN && payout->status() != payouts_v1::PENDING) return ExitCode::kOk;
  context.Note(fmt::format("it is not decided yet: `waybill payout get {}` says when it is", payout->payout_id()));
  return ExitCode::kUnavailable;
}

struct GetPayoutArgs {
  std::string id, of;
};

ExitCode GetPayout(const Context& context, const GetPayoutArgs& args) {
  payouts_v1::GetPayoutRequest request;
  request.set_payout_id(args.id);
  request.set_client(args.of);
  absl::StatusOr<payouts_v1::Payout> payout = Call<Payouts>(context, context.server, &PayoutsStub::GetPayout, request);
  if (!payout.ok()) return FailServer(context, payout.status());
  ShowPayout(context, *payout);
  return ExitCode::kOk;
}

struct ListPayoutsArgs {
  std::string account, status;
  size_t limit = 50;
};

ExitCode ListPayouts(const Context& context, const ListPayoutsArgs& args) {
  payouts_v1::ListPayoutsRequest request;
  request.set_account_id(args.account);
  payouts_v1::PayoutStatus status = payouts_v1::PAYOUT_STATUS_UNSPECIFIED;
  if (payouts_v1::PayoutStatus_Parse(absl::AsciiStrToUpper(args.status), &status)) request.set_status(status);
  bool more = false;
  absl::StatusOr<std::vector<payouts_v1::Payout>> payouts = CallPages<payouts_v1::Payout>(
      request, args.limit, more,
      [&](const payouts_v1::ListPayoutsRequest& page, std::vector<payouts_v1::Payout>& items, std::string& next) {
        absl::StatusOr<payouts_v1::ListPayoutsResponse> response =
            Call<Payouts>(context, context.server, &PayoutsStub::ListPayouts, page);
        if (!response.ok()) return response.status();
        for (payouts_v1::Payout& one : *response->mutable_payouts()) items.push_back(std::move(one));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!payouts.ok()) return FailServer(context, payouts.status());
  Table table({{"PAYOUT"},
               {"CLIENT", Column::Align::kLeft, Column::Overflow::kCut},
               {"ACCOUNT"},
               {"AMOUNT", Column::Align::kRight},
               {"STATUS"},
               {"CREATED"},
               {"REFUSED", Column::Align::kLeft, Column::Overflow::kCut}});
  for (const payouts_v1::Payout& one : *payouts) {
    if (context.json) {
      context.PrintLine(ToJson(one));
      continue;
    }
    table.Add({one.payout_id(), one.client(), one.account_id(),
               ShowMoney(one.amount().minor_units(), one.amount().currency()), PayoutStatusName(one.status()),
               ShowTime(ToTime(one.create_time())), one.refusal()});
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (payouts->empty()) context.Note("no such payouts");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

}  // namespace

void AddPayoutCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("payout", "Pay out to payees from their accounts in the ledger");
  group->require_subcommand(1);
  group->footer("`waybill payout COMMAND --help` explains each command with examples.");

  auto args = std::make_shared<CreatePayoutArgs>();
  CLI::App* create = group->add_subcommand("create", "Pay out from an account, once for each id");
  create->add_option("account", args->account, "Whose money it is: an account in the ledger")
      ->required()
      ->type_name("ACCOUNT");
  create->add_option("--amount", args->amount, "How much, exactly, with its currency: \"12.50 EUR\"")
      ->required()
      ->type_name("AMOUNT");
  create->add_option("--to", args->destination, "Where it goes, as the payout gateway names it")
      ->required()
      ->type_name("DESTINATION");
  create->add_option("--id", args->id, "Names it among the client's payouts (default: a fresh one, printed)")
      ->type_name("PAYOUT");
  create->add_option("--description", args->description, "For the payee's statement")->type_name("TEXT");
  create->footer(
      "Example:\n"
      "  waybill payout create driver-7 --amount \"125.00 EUR\" --to DE02120300000000202051 --id week-7\n"
      "\n"
      "Repeated with the same --id it is the same payout. The amount is held on the account until the gateway has\n"
      "paid or refused. Exit code 6: it is refused, by the gateway, by rules of risk or for lack of money; 5: it is\n"
      "not decided yet, and goes on.");
  create->callback([&context, args] { context.run = [&context, args] { return CreatePayout(context, *args); }; });

  auto shown = std::make_shared<GetPayoutArgs>();
  CLI::App* get = group->add_subcommand("get", "Show a payout");
  get->add_option("payout", shown->id, "Its id")->required()->type_name("PAYOUT");
  get->add_option("--of", shown->of, "For operators: this client's, not one's own")->type_name("CLIENT");
  get->footer("Examples:\n  waybill payout get week-7\n  waybill payout get week-7 --of shop");
  get->callback([&context, shown] { context.run = [&context, shown] { return GetPayout(context, *shown); }; });

  auto which = std::make_shared<ListPayoutsArgs>();
  CLI::App* list = group->add_subcommand("list", "List payouts, newest first");
  list->add_option("--account", which->account, "Only from this account")->type_name("ACCOUNT");
  list->add_option("--status", which->status,
                   "Only with this status; open: those that are pending or await a review, too")
      ->transform(CLI::IsMember({"OPEN", "PAID", "REFUSED", "RESOLVED"}, CLI::ignore_case));
  process::AddInteger(*list, "--limit", which->limit, "At most so many; 0: all")->capture_default_str()->type_name("N");
  list->footer(
      "Examples:\n"
      "  waybill payout list --status open\n"
      "  waybill payout list --account driver-7 --limit 0 --json | jq -r .payout_id");
  list->callback([&context, which] { context.run = [&context, which] { return ListPayouts(context, *which); }; });
}

}  // namespace waybill::cli

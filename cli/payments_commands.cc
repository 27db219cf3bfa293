// waybill payments summary
#include <memory>
#include <string>

#include "cli/context.h"
#include "cli/money.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "waybill/reconciliation/v1/reconciliation.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace reconciliation_v1 = waybill::reconciliation::v1;
using BooksService = reconciliation_v1::ReconciliationService;

struct SummaryArgs {
  std::string from, to, gateway;
};

ExitCode Summarize(const Context& context, const SummaryArgs& args) {
  reconciliation_v1::PaymentsSummaryRequest request;
  request.set_gateway(args.gateway);
  const absl::Time now = context.clock.Now();
  if (!args.from.empty()) {
    absl::StatusOr<absl::Time> from = ForOption("--from", ParseMoment(args.from, now));
    if (!from.ok()) return context.Fail(from.status());
    *request.mutable_from() = FromTime(*from);
  }
  if (!args.to.empty()) {
    absl::StatusOr<absl::Time> to = ForOption("--to", ParseMoment(args.to, now));
    if (!to.ok()) return context.Fail(to.status());
    *request.mutable_to() = FromTime(*to);
  }
  absl::StatusOr<reconciliation_v1::PaymentsSummaryResponse> summary =
      Call<BooksService>(context, context.server, &BooksService::StubInterface::PaymentsSummary, request);
  if (!summary.ok()) return FailServer(context, summary.status());
  constexpr Column::Align kRight = Column::Align::kRight;
  Table table({{"GATEWAY"},
               {"CURRENCY"},
               {"CHARGES", kRight},
               {"AMOUNT", kRight},
               {"FEES", kRight},
               {"REFUNDS", kRight},
               {"REFUNDED", kRight}});
  for (const reconciliation_v1::PaymentTotals& each : summary->totals()) {
    if (context.json) {
      context.PrintLine(ToJson(each));
      continue;
    }
    const auto money = [&](int64_t minor) { return ShowMoney(minor, each.currency()); };
    table.Add({each.gateway().empty() ? "(not routed)" : each.gateway(), each.currency(),
               fmt::format("{}", each.count()), money(each.amount_minor()), money(each.fee_minor()),
               fmt::format("{}", each.refund_count()), money(each.refund_minor())});
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (summary->totals().empty()) context.Note("nothing was charged or given back in this time");
  return ExitCode::kOk;
}

}  // namespace

void AddPaymentsCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("payments", "What payment gateways took and gave back");
  group->require_subcommand(1);
  group->footer("`waybill payments COMMAND --help` explains each command with examples.");

  auto args = std::make_shared<SummaryArgs>();
  CLI::App* summary = group->add_subcommand("summary", "Sum charges, fees and refunds by gateway and currency");
  summary->add_option("--from", args->from, "Only from this time on (default: since ever)")->type_name("TIME");
  summary->add_option("--to", args->to, "Only before this time (default: to now)")->type_name("TIME");
  summary->add_option("--gateway", args->gateway, "Only this one's")->type_name("NAME");
  summary->footer(
      "A charge counts when it was booked, a refund when it was given back. Fees follow from each gateway's cost as "
      "of\n"
      "each charge. TIME is like 2026-01-31, 2026-01-31T12:00:00Z, or 2h for two hours ago.\n"
      "\n"
      "Examples:\n"
      "  waybill payments summary --from 2026-01-31 --to 2026-02-01\n"
      "  waybill --json payments summary --from 1h --gateway north");
  summary->callback([&context, args] { context.run = [&context, args] { return Summarize(context, *args); }; });
}

}  // namespace waybill::cli

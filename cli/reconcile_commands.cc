// waybill reconcile run | list | report | cases | close
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "cli/context.h"
#include "cli/money.h"
#include "cli/remote.h"
#include "cli/settlement_file.h"
#include "cli/settlement_report.h"
#include "cli/table.h"
#include "cli/values.h"
#include "services/process/flags.h"
#include "waybill/reconciliation/v1/reconciliation.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace reconciliation_pb = waybill::reconciliation::v1;
using Service = reconciliation_pb::ReconciliationService;
using Stub = Service::StubInterface;

// Far fewer bytes than a request may have.
constexpr int kLinesARequest = 1'000;
constexpr int64_t kLinesANote = 100'000;
constexpr absl::Duration kCompareWait = absl::Minutes(15);

struct RunArgs {
  std::string file, gateway, name, day, from, to, zone = "UTC", currency;
  std::vector<std::string> columns, kinds, skip;
  bool minor_units = false, decimal_comma = false, negate_fees = false;
  std::optional<double> fee_percent;
  int64_t fee_fixed = 0;
};

std::optional<storage::LineKind> LineKindNamed(std::string_view name) {
  using storage::LineKind;
  for (const LineKind kind : {LineKind::kCharge, LineKind::kRefund, LineKind::kFee, LineKind::kChargeback}) {
    if (storage::Name(kind) == name) return kind;
  }
  return std::nullopt;
}

absl::StatusOr<SettlementFormat> FormatOf(const RunArgs& args) {
  SettlementFormat format;
  for (const std::string& text : args.columns) {
    absl::StatusOr<std::pair<std::string, std::string>> pair = ForOption("--column", ParsePair(text));
    if (!pair.ok()) return pair.status();
    format.columns.insert(*std::move(pair));
  }
  format.minor_units = args.minor_units;
  format.decimal_comma = args.decimal_comma;
  format.negate_fees = args.negate_fees;
  for (const std::string& kind : args.skip) format.skip.push_back(absl::AsciiStrToLower(kind));
  for (const std::string& text : args.kinds) {
    absl::StatusOr<std::pair<std::string, std::string>> pair = ForOption("--kind", ParsePair(text));
    if (!pair.ok()) return pair.status();
    const std::optional<storage::LineKind> ours = LineKindNamed(pair->first);
    if (!ours) return absl::InvalidArgumentError("--kind: ours are charge, refund, fee and chargeback");
    format.kinds.emplace(absl::AsciiStrToLower(pair->second), *ours);
  }
  format.currency = args.currency;
  if (!absl::LoadTimeZone(args.zone, &format.zone)) {
    return absl::InvalidArgumentError(fmt::format("--zone: there is no time zone {}; one is Europe/Berlin", args.zone));
  }
  return format;
}

reconciliation_pb::LineKind OnTheWire(storage::LineKind kind) {
  switch (kind) {
    case storage::LineKind::kCharge:
      return reconciliation_pb::CHARGE;
    case storage::LineKind::kRefund:
      return reconciliation_pb::REFUND;
    case storage::LineKind::kFee:
      return reconciliation_pb::FEE;
    case storage::LineKind::kChargeback:
      break;
  }
  return reconciliation_pb::CHARGEBACK;
}

void FillLine(const SettlementRow& row, reconciliation_pb::Line& line) {
  line.set_number(row.number);
  line.set_kind(OnTheWire(row.kind));
  line.set_reference(row.reference);
  line.set_gateway_reference(row.gateway_reference);
  line.set_amount_minor(row.amount_minor);
  line.set_fee_minor(row.fee_minor);
  line.set_currency(row.currency);
  *line.mutable_book_time() = FromTime(row.booked_at);
  line.set_payout(row.payout);
}

struct Extent {
  int64_t rows = 0;
  int skipped = 0;
  absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
};

// All of it is read before anything is sent, so that a file with a mistake leaves nothing behind.
absl::StatusOr<Extent> Check(const RunArgs& args, const SettlementFormat& format) {
  absl::StatusOr<SettlementFile> file = SettlementFile::Open(args.file, format);
  if (!file.ok()) return file.status();
  Extent extent;
  while (true) {
    absl::StatusOr<std::optional<SettlementRow>> row = file->Next();
    if (!row.ok()) return row.status();
    if (!*row) break;
    ++extent.rows;
    extent.first = std::min(extent.first, (*row)->booked_at);
    extent.last = std::max(extent.last, (*row)->booked_at);
  }
  extent.skipped = file->skipped();
  return extent;
}

// The whole days in which the lines lie, unless it was said.
absl::Status TakeTime(const RunArgs& args, const SettlementFormat& format, const Extent& extent, absl::Time now,
                      reconciliation_pb::BeginSettlementRequest& request) {
  const auto midnight = [&](absl::Time time, int days) {
    return absl::FromCivil(absl::ToCivilDay(time, format.zone) + days, format.zone);
  };
  absl::Time from, to;
  if (!args.day.empty()) {
    if (!absl::ParseTime("%Y-%m-%d", args.day, format.zone, &from, nullptr)) {
      return absl::InvalidArgumentError(fmt::format("--day: \"{}\" is no day, like 2026-01-31", args.day));
    }
    to = midnight(from, 1);
  } else if (!args.from.empty()) {
    absl::StatusOr<absl::Time> begin = ForOption("--from", ParseMoment(args.from, now));
    absl::StatusOr<absl::Time> end = ForOption("--to", ParseMoment(args.to, now));
    if (!begin.ok()) return begin.status();
    if (!end.ok()) return end.status();
    from = *begin;
    to = *end;
  } else if (extent.rows > 0) {
    from = midnight(extent.first, 0);
    to = midnight(extent.last, 1);
  } else {
    return absl::InvalidArgumentError("the file has no lines: say with --day what it covers");
  }
  // A line or two may be of the hours beside; all of them are of another day's file.
  if (extent.rows > 0 && (extent.last < from || extent.first >= to)) {
    return absl::InvalidArgumentError(fmt::format("{}: no line is booked from {} to {}; they are of {} to {}",
                                                  args.file, ShowTime(from), ShowTime(to), ShowTime(extent.first),
                                                  ShowTime(extent.last)));
  }
  *request.mutable_from() = FromTime(from);
  *request.mutable_to() = FromTime(to);
  return absl::OkStatus();
}

absl::Status Send(const Context& context, const RunArgs& args, const SettlementFormat& format, int64_t settlement,
                  int64_t rows) {
  absl::StatusOr<SettlementFile> file = SettlementFile::Open(args.file, format);
  if (!file.ok()) return file.status();
  reconciliation_pb::AddLinesRequest request;
  request.set_settlement_id(settlement);
  int64_t sent = 0;
  const auto flush = [&]() -> absl::Status {
    if (request.lines().empty()) return absl::OkStatus();
    const int64_t before = sent;
    absl::Status added = Call<Service>(context, context.server, &Stub::AddLines, request).status();
    sent += request.lines_size();
    request.clear_lines();
    if (sent / kLinesANote != before / kLinesANote) context.Note(fmt::format("{} of {} lines", sent, rows));
    return added;
  };
  while (true) {
    absl::StatusOr<std::optional<SettlementRow>> row = file->Next();
    if (!row.ok()) return row.status();
    if (!*row) return flush();
    FillLine(**row, *request.add_lines());
    if (request.lines_size() < kLinesARequest) continue;
    if (absl::Status flushed = flush(); !flushed.ok()) return flushed;
  }
}

std::string ShowSpan(const reconciliation_pb::Settlement& settlement) {
  return fmt::format("{} to {}", ShowTime(ToTime(settlement.from())), ShowTime(ToTime(settlement.to())));
}

ExitCode Run(const Context& context, const RunArgs& args) {
  absl::StatusOr<SettlementFormat> format = FormatOf(args);
  if (!format.ok()) return context.Fail(format.status());
  absl::StatusOr<Extent> extent = Check(args, *format);
  if (!extent.ok()) return context.Fail(extent.status(), "Nothing was sent.");
  reconciliation_pb::BeginSettlementRequest request;
  request.set_gateway(args.gateway);
  request.set_name(args.name.empty() ? std::filesystem::path(args.file).filename().string() : args.name);
  if (absl::Status wrong = TakeTime(args, *format, *extent, context.clock.Now(), request); !wrong.ok()) {
    return context.Fail(wrong, "Nothing was sent.");
  }
  if (args.fee_percent || args.fee_fixed > 0) {
    request.mutable_tariff()->set_ppm(static_cast<int32_t>(std::lround(args.fee_percent.value_or(0) * 10'000)));
    request.mutable_tariff()->set_fixed_minor(args.fee_fixed);
  }
  absl::StatusOr<reconciliation_pb::Settlement> begun =
      Call<Service>(context, context.server, &Stub::BeginSettlement, request);
  if (!begun.ok()) return FailServer(context, begun.status());
  const int64_t id = begun->settlement_id();
  if (absl::Status sent = Send(context, args, *format, id, extent->rows); !sent.ok()) return FailServer(context, sent);
  reconciliation_pb::ReconcileRequest compare;
  compare.set_settlement_id(id);
  compare.set_lines(extent->rows);
  absl::StatusOr<reconciliation_pb::Settlement> done =
      Call<Service>(context, context.server, &Stub::Reconcile, compare, {}, kCompareWait);
  if (!done.ok()) return FailServer(context, done.status());
  if (context.json) {
    context.PrintLine(ToJson(*done));
    return ExitCode::kOk;
  }
  context.PrintLine(
      fmt::format("settlement {}: {} lines of {}, {}", id, done->lines(), done->gateway(), ShowSpan(*done)));
  if (extent->skipped > 0) context.Note(fmt::format("{} lines were left out", extent->skipped));
  context.PrintLine(fmt::format("{} new cases, {} proven to be gone", done->opened(), done->proven()));
  context.Note(done->opened() > 0 ? fmt::format("see them with: waybill reconcile cases --settlement {}", id)
                                  : fmt::format("see the sums with: waybill reconcile report {}", id));
  return ExitCode::kOk;
}

struct ListArgs {
  std::string gateway;
  size_t limit = 50;
};

ExitCode List(const Context& context, const ListArgs& args) {
  reconciliation_pb::ListSettlementsRequest request;
  request.set_gateway(args.gateway);
  bool more = false;
  absl::StatusOr<std::vector<reconciliation_pb::Settlement>> found = CallPages<reconciliation_pb::Settlement>(
      request, args.limit, more,
      [&](const reconciliation_pb::ListSettlementsRequest& page, std::vector<reconciliation_pb::Settlement>& items,
          std::string& next) {
        absl::StatusOr<reconciliation_pb::ListSettlementsResponse> response =
            Call<Service>(context, context.server, &Stub::ListSettlements, page);
        if (!response.ok()) return response.status();
        for (reconciliation_pb::Settlement& one : *response->mutable_settlements()) items.push_back(std::move(one));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailServer(context, found.status());
  constexpr Column::Align kRight = Column::Align::kRight;
  Table table({{"ID", kRight},
               {"GATEWAY"},
               {"NAME", Column::Align::kLeft, Column::Overflow::kCut},
               {"FROM"},
               {"TO"},
               {"STATE"},
               {"LINES", kRight},
               {"OPENED", kRight},
               {"PROVEN", kRight}});
  for (const reconciliation_pb::Settlement& one : *found) {
    if (context.json) {
      context.PrintLine(ToJson(one));
    } else {
      table.Add({fmt::format("{}", one.settlement_id()), one.gateway(), one.name(), ShowTime(ToTime(one.from())),
                 ShowTime(ToTime(one.to())),
                 absl::AsciiStrToLower(reconciliation_pb::SettlementState_Name(one.state())),
                 fmt::format("{}", one.lines()), fmt::format("{}", one.opened()), fmt::format("{}", one.proven())});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (found->empty()) context.Note("no settlements");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

struct CasesArgs {
  std::string gateway, order;
  int64_t settlement = 0;
  bool closed_too = false;
  size_t limit = 50;
};

absl::StatusOr<std::vector<reconciliation_pb::Case>> FetchCases(const Context& context, const CasesArgs& args,
                                                                bool& more) {
  reconciliation_pb::ListCasesRequest request;
  request.set_gateway(args.gateway);
  request.set_order_id(args.order);
  request.set_settlement_id(args.settlement);
  request.set_closed_too(args.closed_too);
  return CallPages<reconciliation_pb::Case>(request, args.limit, more,
                                            [&](const reconciliation_pb::ListCasesRequest& page,
                                                std::vector<reconciliation_pb::Case>& items, std::string& next) {
                                              absl::StatusOr<reconciliation_pb::ListCasesResponse> response =
                                                  Call<Service>(context, context.server, &Stub::ListCases, page);
                                              if (!response.ok()) return response.status();
                                              for (reconciliation_pb::Case& one : *response->mutable_cases())
                                                items.push_back(std::move(one));
                                              next = response->next_page_token();
                                              return absl::OkStatus();
                                            });
}

CaseView ViewOf(const reconciliation_pb::Case& one) {
  CaseView view;
  view.id = one.case_id();
  view.gateway = one.gateway();
  view.what = fmt::format("{} ({})", reconciliation_pb::Case::Difference_Name(one.difference()),
                          reconciliation_pb::LineKind_Name(one.about()));
  absl::AsciiStrToLower(&view.what);
  std::replace(view.what.begin(), view.what.end(), '_', ' ');
  view.whose = one.order_id().empty() ? one.gateway_reference() : one.order_id();
  if (one.has_ours_minor()) view.ours = ShowMoney(one.ours_minor(), one.currency());
  if (one.has_theirs_minor()) view.theirs = ShowMoney(one.theirs_minor(), one.currency());
  view.opened = ToTime(one.open_time());
  if (one.has_close_time()) {
    view.closed = fmt::format("{}: {}", one.closed_by().empty() ? "by itself" : one.closed_by(), one.reason());
  }
  view.action = one.suggested_action();
  return view;
}

ExitCode Cases(const Context& context, const CasesArgs& args) {
  bool more = false;
  absl::StatusOr<std::vector<reconciliation_pb::Case>> found = FetchCases(context, args, more);
  if (!found.ok()) return FailServer(context, found.status());
  std::vector<CaseView> views;
  for (const reconciliation_pb::Case& one : *found) {
    if (context.json) {
      context.PrintLine(ToJson(one));
    } else {
      views.push_back(ViewOf(one));
    }
  }
  if (!views.empty()) context.Print(RenderCases(views, context.out));
  if (found->empty()) context.Note("no such cases");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

struct CloseArgs {
  int64_t id = 0;
  std::string reason, by;
};

ExitCode Close(const Context& context, const CloseArgs& args) {
  reconciliation_pb::CloseCaseRequest request;
  request.set_case_id(args.id);
  request.set_reason(args.reason);
  request.set_operator_(args.by);
  absl::StatusOr<reconciliation_pb::Case> closed = Call<Service>(context, context.server, &Stub::CloseCase, request);
  if (!closed.ok()) return FailServer(context, closed.status());
  if (context.json) {
    context.PrintLine(ToJson(*closed));
  } else {
    context.PrintLine(fmt::format("case {} is closed", args.id));
  }
  return ExitCode::kOk;
}

struct ReportArgs {
  int64_t settlement = 0;
  std::string format = "text";
};

ExitCode Report(const Context& context, const ReportArgs& args) {
  reconciliation_pb::GetReportRequest request;
  request.set_settlement_id(args.settlement);
  absl::StatusOr<reconciliation_pb::Report> report = Call<Service>(context, context.server, &Stub::GetReport, request);
  if (!report.ok()) return FailServer(context, report.status());
  if (context.json) {
    context.PrintLine(ToJson(*report));
    return ExitCode::kOk;
  }
  CasesArgs which;
  which.settlement = args.settlement;
  which.closed_too = true;
  which.limit = 0;
  bool more = false;
  absl::StatusOr<std::vector<reconciliation_pb::Case>> cases = FetchCases(context, which, more);
  if (!cases.ok()) return FailServer(context, cases.status());
  ReportView view;
  const reconciliation_pb::Settlement& settlement = report->settlement();
  view.gateway = settlement.gateway();
  view.name = settlement.name();
  view.span = ShowSpan(settlement);
  view.lines = settlement.lines();
  const auto sum = [](const reconciliation_pb::Report::Sum& from) {
    return ReportView::Sum{from.count(), from.minor()};
  };
  for (const reconciliation_pb::Report::Totals& totals : report->totals()) {
    view.totals.push_back({totals.currency(), sum(totals.charges()), sum(totals.refunds()), sum(totals.fees()),
                           sum(totals.chargebacks()), sum(totals.our_charges()), sum(totals.our_refunds())});
  }
  for (const reconciliation_pb::Case& one : *cases) view.cases.push_back(ViewOf(one));
  context.Print(args.format == "html"  ? RenderHtml(view)
                : args.format == "csv" ? RenderCsv(view)
                                       : RenderText(view, context.out));
  return ExitCode::kOk;
}

}  // namespace

void AddReconcileCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("reconcile", "Compare gateways' settlement files with our books");
  group->require_subcommand(1);
  group->footer("`waybill reconcile COMMAND --help` explains each command with examples.");

  auto args = std::make_shared<RunArgs>();
  CLI::App* run = group->add_subcommand("run", "Read a file, and compare what is in it");
  run->add_option("FILE", args->file, "Comma-separated values with a header")->required();
  run->add_option("--gateway", args->gateway, "Whose file it is")->required()->type_name("NAME");
  run->add_option("--name", args->name,
                  "What it is called; one of the same name takes its place (default: the file's)");
  CLI::Option* day = run->add_option("--day", args->day, "The day that it covers (default: those of its lines)");
  CLI::Option* from = run->add_option("--from", args->from, "Or the time that it covers: its begin")->excludes(day);
  CLI::Option* to = run->add_option("--to", args->to, "And its end")->needs(from);
  from->needs(to)->type_name("TIME");
  to->type_name("TIME");
  day->type_name("DATE");
  run->add_option("--zone", args->zone, "Time zone of days, and of times that say none")->capture_default_str();
  run->add_option("--column", args->columns, "A column that has none of the usual names, as often as needed")
      ->type_name("OURS=THEIRS");
  run->add_option("--kind", args->kinds, "A kind that has none of the usual names, as often as needed")
      ->type_name("OURS=THEIRS");
  run->add_option("--currency", args->currency, "Of all lines, where no column says");
  run->add_option("--skip", args->skip, "Leave lines of this kind out, such as sums of a payout; as often as needed")
      ->type_name("KIND");
  run->add_flag("--minor-units", args->minor_units, "Amounts are whole numbers of the minor unit, not decimals");
  run->add_flag("--decimal-comma", args->decimal_comma, "Amounts are written like 1.234,50");
  run->add_flag("--negate-fees", args->negate_fees, "Fees that the gateway kept are written below zero");
  run->add_option("--fee-percent", args->fee_percent, "Hold fees of charges against this share (default: do not)")
      ->check(process::NumberBetween(0, 100))
      ->type_name("PERCENT");
  process::AddInteger(*run, "--fee-fixed", args->fee_fixed, "And so many minor units besides")->type_name("N");
  run->footer(
      "Columns are found by their names, whatever their case: kind (type), reference (order_id, merchant_reference),\n"
      "gateway_reference (psp_reference, transaction_id, id), amount (gross), fee (fees), currency, booked_at (time,\n"
      "created, date) and payout (payout_id, batch). Kinds are charge (payment, capture, sale), refund, fee and "
      "chargeback\n"
      "(dispute); a charge below zero is a refund. A file with a mistake is not sent at all.\n"
      "\n"
      "Examples:\n"
      "  waybill reconcile run 2026-01-31.csv --gateway north --day 2026-01-31\n"
      "  waybill reconcile run umsatz.csv --gateway nord --decimal-comma --zone Europe/Berlin \\\n"
      "    --column kind=Art --column amount=Betrag --column booked_at=Datum --column reference=Zweck --currency EUR "
      "\\\n"
      "    --kind charge=Zahlung --kind refund=Erstattung --skip Auszahlung");
  run->callback([&context, args] { context.run = [&context, args] { return Run(context, *args); }; });

  auto list_args = std::make_shared<ListArgs>();
  CLI::App* list = group->add_subcommand("list", "List settlements, newest first");
  list->add_option("--gateway", list_args->gateway, "Only this one's")->type_name("NAME");
  process::AddInteger(*list, "--limit", list_args->limit, "At most so many; 0: all")
      ->capture_default_str()
      ->type_name("N");
  list->footer("Example:\n  waybill reconcile list --gateway north");
  list->callback([&context, list_args] { context.run = [&context, list_args] { return List(context, *list_args); }; });

  auto report_args = std::make_shared<ReportArgs>();
  CLI::App* report = group->add_subcommand("report", "Show a settlement's sums beside ours, and its cases");
  process::AddInteger(*report, "SETTLEMENT", report_args->settlement, "Its id")->required();
  report->add_option("--format", report_args->format, "text, csv or html")
      ->check(CLI::IsMember({"text", "csv", "html"}))
      ->capture_default_str();
  report->footer(
      "Examples:\n  waybill reconcile report 17\n  waybill reconcile report 17 --format html >2026-01-31.html");
  report->callback(
      [&context, report_args] { context.run = [&context, report_args] { return Report(context, *report_args); }; });

  auto cases_args = std::make_shared<CasesArgs>();
  CLI::App* cases = group->add_subcommand("cases", "List differences that are open, oldest first");
  cases->add_option("--gateway", cases_args->gateway, "Only this one's")->type_name("NAME");
  cases->add_option("--order", cases_args->order, "Only of this order")->type_name("ORDER");
  process::AddInteger(*cases, "--settlement", cases_args->settlement, "Only those that this one showed last")
      ->type_name("ID");
  cases->add_flag("--closed-too", cases_args->closed_too, "Those that are closed as well");
  process::AddInteger(*cases, "--limit", cases_args->limit, "At most so many; 0: all")
      ->capture_default_str()
      ->type_name("N");
  cases->footer("Examples:\n  waybill reconcile cases\n  waybill reconcile cases --gateway north --closed-too");
  cases->callback(
      [&context, cases_args] { context.run = [&context, cases_args] { return Cases(context, *cases_args); }; });

  auto close_args = std::make_shared<CloseArgs>();
  CLI::App* close =
      group->add_subcommand("close", "Close a case: say why the difference may stay, or how it was mended");
  process::AddInteger(*close, "CASE", close_args->id, "Its id")->required();
  close->add_option("--reason", close_args->reason, "Kept with the case, and in the audit")->required();
  close->add_option("--operator", close_args->by, "Who decides")->required()->envname("USER")->type_name("NAME");
  close->footer("Example:\n  waybill reconcile close 4 --reason \"given back by hand, ticket 812\"");
  close->callback(
      [&context, close_args] { context.run = [&context, close_args] { return Close(context, *close_args); }; });
}

}  // namespace waybill::cli

// waybill risk reviews | show | approve | deny | test
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "cli/money.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "runtime/file.h"
#include "services/process/flags.h"
#include "waybill/ops/v1/risk.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace risk_v1 = waybill::ops::v1;
using RiskAdmin = risk_v1::RiskAdmin::StubInterface;
using Align = Column::Align;
using Overflow = Column::Overflow;

std::string DecisionName(risk_v1::RiskDecision decision) {
  switch (decision) {
    case risk_v1::RISK_ALLOW:
      return "allow";
    case risk_v1::RISK_REVIEW:
      return "review";
    case risk_v1::RISK_DENY:
      return "deny";
    default:
      return "";
  }
}

Cell DecisionCell(risk_v1::RiskDecision decision) {
  const Style style = decision == risk_v1::RISK_DENY     ? Style::kBad
                      : decision == risk_v1::RISK_REVIEW ? Style::kWaiting
                                                         : Style::kGood;
  return Cell(DecisionName(decision), style);
}

std::string KindName(risk_v1::RiskKind kind) {
  switch (kind) {
    case risk_v1::RISK_PAYMENT:
      return "payment";
    case risk_v1::RISK_PAYOUT:
      return "payout";
    default:
      return "order";
  }
}

// "user-hour, score 40"
std::string By(const risk_v1::RiskVerdict& verdict) {
  const std::string score = fmt::format("score {}", verdict.score());
  return verdict.rule().empty() ? score : fmt::format("{}, {}", verdict.rule(), score);
}

template <typename Reasons>
std::string Why(const Reasons& reasons) {
  std::string text;
  for (const risk_v1::RiskReason& reason : reasons) {
    text += fmt::format("{}{}{}: {}", text.empty() ? "" : "; ", reason.rule(), reason.shadow() ? " (shadow)" : "",
                        reason.detail());
  }
  return text;
}

ExitCode ListOpenReviews(const Context& context, size_t limit) {
  bool more = false;
  absl::StatusOr<std::vector<risk_v1::RiskAssessment>> reviews = CallPages<risk_v1::RiskAssessment>(
      risk_v1::ListReviewsRequest(), limit, more,
      [&](const risk_v1::ListReviewsRequest& page, std::vector<risk_v1::RiskAssessment>& items, std::string& next) {
        absl::StatusOr<risk_v1::ListReviewsResponse> response =
            Call<risk_v1::RiskAdmin>(context, context.server, &RiskAdmin::ListReviews, page);
        if (!response.ok()) return response.status();
        for (risk_v1::RiskAssessment& one : *response->mutable_reviews()) items.push_back(std::move(one));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!reviews.ok()) return FailServer(context, reviews.status());
  Table table({{"ID"},
               {"KIND"},
               {"USER", Align::kLeft, Overflow::kCut},
               {"AMOUNT", Align::kRight},
               {"UNTIL"},
               {"THEN"},
               {"WHY", Align::kLeft, Overflow::kWrap}});
  for (const risk_v1::RiskAssessment& review : *reviews) {
    if (context.json) {
      context.PrintLine(ToJson(review));
    } else {
      table.Add({review.order_id(), KindName(review.kind()), review.user_id(),
                 ShowMoney(review.amount_minor(), review.currency()), ShowTime(ToTime(review.review_until())),
                 DecisionName(review.after_review()), Why(review.reasons())});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (reviews->empty()) context.Note("nothing waits for a person");
  if (more) context.Note("there are more: --limit");
  return ExitCode::kOk;
}

ExitCode ShowAssessment(const Context& context, const std::string& order_id) {
  risk_v1::GetAssessmentRequest request;
  request.set_order_id(order_id);
  const auto kept = Call<risk_v1::RiskAdmin>(context, context.server, &RiskAdmin::GetAssessment, request);
  if (!kept.ok()) return FailServer(context, kept.status());
  if (context.json) {
    context.PrintLine(ToJson(*kept));
    return ExitCode::kOk;
  }
  context.PrintLine(fmt::format("{} {}: {} ({}), by rules of version {}, at {}", KindName(kept->kind()),
                                kept->order_id(), DecisionName(kept->verdict().decision()), By(kept->verdict()),
                                kept->rules_version(), ShowTime(ToTime(kept->time()))));
  const std::string amount = ShowMoney(kept->amount_minor(), kept->currency());
  const std::string whose = kept->user_id().empty() ? amount : fmt::format("{} of {}", amount, kept->user_id());
  context.PrintLine(kept->destination().empty()
                        ? fmt::format("{}, for {}", whose, kept->client())
                        : fmt::format("{} to {}, for {}", whose, kept->destination(), kept->client()));
  if (kept->has_review_until()) {
    context.PrintLine(
        fmt::format("for a person to decide until {}, and otherwise: {}; `waybill saga show {}` says who did",
                    ShowTime(ToTime(kept->review_until())), DecisionName(kept->after_review()), kept->order_id()));
  }
  const risk_v1::RiskVerdict& shadow = kept->shadow_verdict();
  if (shadow.SerializeAsString() != kept->verdict().SerializeAsString()) {
    context.PrintLine(fmt::format("without shadow: {} ({})", DecisionName(shadow.decision()), By(shadow)));
  }
  Table table({{"RULE"}, {"SCORE", Align::kRight}, {"DECIDES"}, {"SHADOW"}, {"WHY", Align::kLeft, Overflow::kWrap}});
  for (const risk_v1::RiskReason& reason : kept->reasons()) {
    table.Add({reason.rule(), fmt::format("{}", reason.score()), DecisionName(reason.decides()),
               reason.shadow() ? "yes" : "", reason.detail()});
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  return ExitCode::kOk;
}

struct DecideArgs {
  std::string id, reason, who;
};

ExitCode DecideOpenReview(const Context& context, const DecideArgs& args, risk_v1::RiskDecision decision) {
  risk_v1::DecideReviewRequest request;
  request.set_order_id(args.id);
  request.set_decision(decision);
  request.set_reason(args.reason);
  request.set_operator_(args.who);
  const auto response = Call<risk_v1::RiskAdmin>(context, context.server, &RiskAdmin::DecideReview, request);
  if (!response.ok()) return FailServer(context, response.status());
  if (context.json) {
    context.PrintLine(ToJson(*response));
  } else {
    context.PrintLine(decision == risk_v1::RISK_ALLOW ? "It goes on."
                                                      : "It is turned back; nothing was charged or sent.");
  }
  return ExitCode::kOk;
}

struct TestArgs {
  std::string file, since, to;
  size_t show = 20;
};

ExitCode TestFile(const Context& context, const TestArgs& args) {
  risk_v1::TestRulesRequest request;
  absl::StatusOr<std::string> text = ReadFile(args.file);
  if (!text.ok()) return context.Fail(text.status());
  request.set_rules(*std::move(text));
  request.set_file_name(args.file);
  const absl::Time now = context.clock.Now();
  const absl::StatusOr<absl::Time> from = ForOption("--since", ParseMoment(args.since, now));
  if (!from.ok()) return context.Fail(from.status());
  const absl::StatusOr<absl::Time> to = args.to.empty() ? now : ForOption("--to", ParseMoment(args.to, now));
  if (!to.ok()) return context.Fail(to.status());
  *request.mutable_from() = FromTime(*from);
  *request.mutable_to() = FromTime(*to);

  // Of what kind, what was decided, what would be, and by which rule.
  std::map<std::tuple<int, int, int>, int64_t> decisions;
  std::map<std::string, std::pair<int64_t, int64_t>> by_rule;  // what meets it, of this in shadow
  int64_t tested = 0, changed = 0;
  Table differ({{"ID"},
                {"KIND"},
                {"TIME"},
                {"USER", Align::kLeft, Overflow::kCut},
                {"WAS"},
                {"WOULD BE"},
                {"WHY", Align::kLeft, Overflow::kWrap}});
  bool more = false;
  const auto take = [&](const risk_v1::TestRulesRequest& page, std::vector<int>&, std::string& next) -> absl::Status {
    absl::StatusOr<risk_v1::TestRulesResponse> response =
        Call<risk_v1::RiskAdmin>(context, context.server, &RiskAdmin::TestRules, page);
    if (!response.ok()) return response.status();
    for (const risk_v1::TestRulesResponse::Tested& one : response->tested()) {
      ++tested;
      if (context.json) context.PrintLine(ToJson(one));
      ++decisions[{one.was().kind(), one.was().verdict().decision(), one.verdict().decision()}];
      for (const risk_v1::RiskReason& reason : one.reasons()) {
        auto& [met, shadow] = by_rule[reason.rule()];
        ++met;
        if (reason.shadow()) ++shadow;
      }
      if (one.was().verdict().decision() == one.verdict().decision()) continue;
      if (++changed > static_cast<int64_t>(args.show) && args.show != 0) continue;
      differ.Add({one.was().order_id(), KindName(one.was().kind()), ShowTime(ToTime(one.was().time())),
                  one.was().user_id(), DecisionCell(one.was().verdict().decision()),
                  DecisionCell(one.verdict().decision()), Why(one.reasons())});
    }
    next = response->next_page_token();
    return absl::OkStatus();
  };
  const absl::StatusOr<std::vector<int>> read = CallPages<int>(request, 0, more, take);
  if (!read.ok()) return FailServer(context, read.status());
  if (context.json) return ExitCode::kOk;
  if (tested == 0) {
    context.Note("nothing was assessed in this time");
    return ExitCode::kOk;
  }
  Table summary({{"KIND"}, {"WAS"}, {"WOULD BE"}, {"COUNT", Align::kRight}});
  for (const auto& [each, count] : decisions) {
    const auto [kind, was, would_be] = each;
    summary.Add({KindName(static_cast<risk_v1::RiskKind>(kind)), DecisionCell(static_cast<risk_v1::RiskDecision>(was)),
                 DecisionCell(static_cast<risk_v1::RiskDecision>(would_be)), fmt::format("{}", count)});
  }
  context.Print(summary.Render(context.out));
  Table rules({{"RULE"}, {"MET BY", Align::kRight}, {"IN SHADOW", Align::kRight}});
  for (const auto& [rule, counts] : by_rule) {
    rules.Add({rule, fmt::format("{}", counts.first), fmt::format("{}", counts.second)});
  }
  if (!rules.empty()) context.Print(rules.Render(context.out));
  if (!differ.empty()) context.Print(differ.Render(context.out));
  if (args.show != 0 && changed > static_cast<int64_t>(args.show)) {
    context.Note(fmt::format("{} of {} that differ are shown: --show", args.show, changed));
  }
  return ExitCode::kOk;
}

void AddDecision(CLI::App& group, Context& context, const std::string& name, const std::string& help,
                 risk_v1::RiskDecision decision) {
  auto args = std::make_shared<DecideArgs>();
  CLI::App* command = group.add_subcommand(name, help);
  command->add_option("id", args->id, "The order, or the saga of the payment or payout")->required()->type_name("ID");
  command->add_option("--reason", args->reason, "Why, for whoever reads its log later")->required()->type_name("TEXT");
  command->add_option("--operator", args->who, "Who decides")->required()->envname("USER")->type_name("NAME");
  command->footer(
      fmt::format("Example:\n"
                  "  waybill risk {} 01939f6e-0000-7000-8000-000000000001 --reason \"called the customer\"\n"
                  "\n"
                  "What does not wait for a person, or is decided, is refused (exit code 4).",
                  name));
  command->callback([&context, args, decision] {
    context.run = [&context, args, decision] { return DecideOpenReview(context, *args, decision); };
  });
}

}  // namespace

void AddRiskCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("risk", "Rules of risk: who waits for a person, and what other rules would do");
  group->require_subcommand(1);
  group->footer("`waybill risk COMMAND --help` explains each command with examples.");

  auto limit = std::make_shared<size_t>(50);
  CLI::App* reviews =
      group->add_subcommand("reviews", "List orders, payments and payouts that wait for a person, the newest first");
  process::AddInteger(*reviews, "--limit", *limit, "At most so many; 0: all")->capture_default_str()->type_name("N");
  reviews->footer(
      "Example:\n"
      "  waybill risk reviews");
  reviews->callback(
      [&context, limit] { context.run = [&context, limit] { return ListOpenReviews(context, *limit); }; });

  auto shown = std::make_shared<std::string>();
  CLI::App* show = group->add_subcommand("show", "Show what was said of an order, a payment or a payout, and why");
  show->add_option("id", *shown, "The order, or the saga of the payment or payout")->required()->type_name("ID");
  show->footer(
      "Example:\n"
      "  waybill risk show 01939f6e-0000-7000-8000-000000000001");
  show->callback([&context, shown] { context.run = [&context, shown] { return ShowAssessment(context, *shown); }; });

  AddDecision(*group, context, "approve", "Let what waits for a person go on to its charge, or to the payout gateway",
              risk_v1::RISK_ALLOW);
  AddDecision(*group, context, "deny", "End what waits for a person; nothing is charged or sent", risk_v1::RISK_DENY);

  auto args = std::make_shared<TestArgs>();
  CLI::App* test = group->add_subcommand("test", "Say what the rules of a file would have done in the past");
  test->add_option("file", args->file, "File of risk rules, as --risk-file of waybill-order takes it")
      ->required()
      ->type_name("FILE");
  test->add_option("--since", args->since, "What was assessed since then")->required()->type_name("TIME");
  test->add_option("--to", args->to, "Only before this time (default: now)")->type_name("TIME");
  process::AddInteger(*test, "--show", args->show, "Show so many that differ; 0: all")
      ->capture_default_str()
      ->type_name("N");
  test->footer(
      "Each is looked at by what was known when it was assessed, itself and what came later left out. Nothing "
      "is\n"
      "changed. TIME is like 2026-01-31, 2026-01-31T12:00:00Z, or 2h for two hours ago. With --json, a line each.\n"
      "\n"
      "Example:\n"
      "  waybill risk test new-rules.toml --since 7d");
  test->callback([&context, args] { context.run = [&context, args] { return TestFile(context, *args); }; });
}

}  // namespace waybill::cli

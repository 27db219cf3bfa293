// waybill dead list | count | redrive | discard
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "cli/context.h"
#include "cli/interrupts.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "services/process/flags.h"
#include "waybill/ops/v1/dead_letters.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace letters_v1 = waybill::ops::v1;
using DeadLetters = letters_v1::DeadLetterAdmin::StubInterface;

struct LetterArgs {
  std::vector<std::string> ids;
  std::string kind, cause, gateway, client, endpoint, older_than;
  size_t limit = 50;
  int per_second = 10;
  std::string reason, who;
};

std::string KindName(letters_v1::DeadLetterKind kind) {
  return absl::AsciiStrToLower(letters_v1::DeadLetterKind_Name(kind));
}

absl::StatusOr<letters_v1::DeadLetterFilter> FilterOf(const LetterArgs& args) {
  letters_v1::DeadLetterFilter filter;
  if (!args.kind.empty()) {
    letters_v1::DeadLetterKind kind;
    if (!letters_v1::DeadLetterKind_Parse(args.kind, &kind))
      return absl::InvalidArgumentError("--kind: unknown " + args.kind);
    filter.set_kind(kind);
  }
  filter.set_cause(args.cause);
  filter.set_gateway(args.gateway);
  filter.set_client(args.client);
  filter.set_endpoint_id(args.endpoint);
  if (!args.older_than.empty()) {
    absl::StatusOr<absl::Duration> age = ForOption("--older-than", ParseDuration(args.older_than));
    if (!age.ok()) return age.status();
    filter.mutable_min_age()->set_seconds(absl::ToInt64Seconds(*age));
    filter.mutable_min_age()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(*age % absl::Seconds(1))));
  }
  return filter;
}

ExitCode ListLetters(const Context& context, const LetterArgs& args) {
  absl::StatusOr<letters_v1::DeadLetterFilter> filter = FilterOf(args);
  if (!filter.ok()) return context.Fail(filter.status());
  letters_v1::ListDeadLettersRequest request;
  *request.mutable_filter() = *std::move(filter);
  bool more = false;
  absl::StatusOr<std::vector<letters_v1::DeadLetter>> found = CallPages<letters_v1::DeadLetter>(
      request, args.limit, more,
      [&](const letters_v1::ListDeadLettersRequest& page, std::vector<letters_v1::DeadLetter>& items,
          std::string& next) {
        absl::StatusOr<letters_v1::ListDeadLettersResponse> response =
            Call<letters_v1::DeadLetterAdmin>(context, context.server, &DeadLetters::ListDeadLetters, page);
        if (!response.ok()) return response.status();
        for (letters_v1::DeadLetter& letter : *response->mutable_letters()) items.push_back(std::move(letter));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailServer(context, found.status());
  Table table(
      {{"DEAD LETTER"}, {"CAUSE"}, {"SINCE"}, {"WHOSE"}, {"DETAIL", Column::Align::kLeft, Column::Overflow::kCut}});
  for (const letters_v1::DeadLetter& letter : *found) {
    if (context.json) {
      context.PrintLine(ToJson(letter));
      continue;
    }
    const std::string& whose = letter.gateway().empty() ? letter.client() : letter.gateway();
    const std::string blocked = letter.blocked().empty() ? "" : fmt::format("[{}] ", letter.blocked());
    table.Add({letter.id(), letter.cause(), ShowTime(ToTime(letter.since())), whose, blocked + letter.detail()});
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (found->empty()) context.Note("there are no such dead letters");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

ExitCode CountLetters(const Context& context, const LetterArgs& args) {
  absl::StatusOr<letters_v1::DeadLetterFilter> filter = FilterOf(args);
  if (!filter.ok()) return context.Fail(filter.status());
  letters_v1::CountDeadLettersRequest request;
  *request.mutable_filter() = *std::move(filter);
  absl::StatusOr<letters_v1::CountDeadLettersResponse> counted =
      Call<letters_v1::DeadLetterAdmin>(context, context.server, &DeadLetters::CountDeadLetters, request);
  if (!counted.ok()) return FailServer(context, counted.status());
  Table table({{"KIND"}, {"CAUSE"}, {"LETTERS", Column::Align::kRight}, {"OLDEST SINCE"}});
  for (const letters_v1::CountDeadLettersResponse::Count& count : counted->counts()) {
    if (context.json) {
      context.PrintLine(ToJson(count));
    } else {
      table.Add({KindName(count.kind()), count.cause(), fmt::format("{}", count.letters()),
                 ShowTime(ToTime(count.oldest()))});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (counted->counts().empty()) context.Note("there are no such dead letters");
  return ExitCode::kOk;
}

// Of single ones, or one second's worth after the other. Whenever it is stopped, what was redriven so far is, and
// nothing else.
ExitCode RedriveLetters(const Context& context, const LetterArgs& args) {
  absl::StatusOr<letters_v1::DeadLetterFilter> filter = FilterOf(args);
  if (!filter.ok()) return context.Fail(filter.status());
  letters_v1::RedriveDeadLettersRequest request;
  request.set_per_second(args.per_second);
  for (const std::string& id : args.ids) {
    request.mutable_filter()->set_id(id);
    absl::StatusOr<letters_v1::RedriveDeadLettersResponse> done =
        Call<letters_v1::DeadLetterAdmin>(context, context.server, &DeadLetters::RedriveDeadLetters, request);
    if (!done.ok()) return FailServer(context, done.status());
    context.PrintLine(context.json ? ToJson(*done) : Printable(id + " is redriven"));
  }
  if (!args.ids.empty()) return ExitCode::kOk;
  *request.mutable_filter() = *std::move(filter);
  const auto most = static_cast<int64_t>(args.limit);  // 0: all
  int64_t redriven = 0, all = -1;
  const Interrupts interrupts;
  for (int idle = 0;;) {
    const absl::Time began = context.clock.Now();
    int64_t wanted = args.per_second;
    if (most > 0) wanted = std::min(wanted, most - redriven);
    request.set_limit(static_cast<int32_t>(wanted));
    absl::StatusOr<letters_v1::RedriveDeadLettersResponse> done =
        Call<letters_v1::DeadLetterAdmin>(context, context.server, &DeadLetters::RedriveDeadLetters, request);
    if (!done.ok()) {
      if (redriven > 0) context.Note(fmt::format("{} were redriven before that; the same command goes on", redriven));
      return FailServer(context, done.status());
    }
    *request.mutable_as_of() = done->as_of();  // what dies again meanwhile is not redriven again
    redriven += done->redriven();
    if (all < 0) all = redriven + done->left();
    if (context.json) {
      context.PrintLine(ToJson(*done));
    } else if (done->redriven() > 0) {
      context.PrintLine(fmt::format("{} redriven, {} left", redriven, done->left()));
    }
    // Somebody else may hold a letter for a moment.
    idle = done->redriven() > 0 ? 0 : idle + 1;
    if (done->left() == 0 || idle == 3 || redriven >= all || redriven == most) {
      if (redriven == 0 && !context.json) context.Note("there are no such dead letters that could be redriven");
      if (done->blocked() > 0) {
        context.Note(fmt::format("{} cannot be redriven now: `waybill dead list` says why", done->blocked()));
      }
      return done->left() > 0 && redriven != most ? ExitCode::kPartly : ExitCode::kOk;
    }
    Interrupts::SleepUnlessSeen(began + absl::Seconds(1) - context.clock.Now());
    if (Interrupts::Seen()) {
      context.Note(fmt::format("stopped: {} were redriven and {} are left; the same command goes on with them",
                               redriven, done->left()));
      return ExitCode::kPartly;
    }
  }
}

ExitCode DiscardLetters(const Context& context, const LetterArgs& args) {
  absl::StatusOr<letters_v1::DeadLetterFilter> filter = FilterOf(args);
  if (!filter.ok()) return context.Fail(filter.status());
  letters_v1::DiscardDeadLettersRequest request;
  request.set_reason(args.reason);
  request.set_operator_(args.who);
  for (const std::string& id : args.ids) {
    request.mutable_filter()->set_id(id);
    absl::StatusOr<letters_v1::DiscardDeadLettersResponse> done =
        Call<letters_v1::DeadLetterAdmin>(context, context.server, &DeadLetters::DiscardDeadLetters, request);
    if (!done.ok()) return FailServer(context, done.status());
    context.PrintLine(context.json ? ToJson(*done) : Printable(id + " is discarded"));
  }
  if (!args.ids.empty()) return ExitCode::kOk;
  *request.mutable_filter() = *std::move(filter);
  for (int64_t discarded = 0;;) {
    absl::StatusOr<letters_v1::DiscardDeadLettersResponse> done =
        Call<letters_v1::DeadLetterAdmin>(context, context.server, &DeadLetters::DiscardDeadLetters, request);
    if (!done.ok()) return FailServer(context, done.status());
    *request.mutable_as_of() = done->as_of();  // what dies meanwhile nobody has seen
    discarded += done->discarded();
    context.PrintLine(context.json ? ToJson(*done) : fmt::format("{} discarded, {} left", discarded, done->left()));
    if (done->left() == 0) return ExitCode::kOk;
    if (done->discarded() == 0) return ExitCode::kPartly;
  }
}

void AddFilter(CLI::App& command, LetterArgs& args) {
  command.add_option("--kind", args.kind, "Only of this kind")
      ->transform(CLI::IsMember({"EVENT", "DELIVERY", "CASE", "SAGA"}, CLI::ignore_case));
  command.add_option("--cause", args.cause, "Only those that are dead for it, as `waybill dead count` says")
      ->type_name("CAUSE");
  command.add_option("--gateway", args.gateway, "Only this payment gateway's")->type_name("NAME");
  command.add_option("--of-client", args.client, "Only this client's")->type_name("CLIENT");
  command.add_option("--endpoint", args.endpoint, "Only what this endpoint was to be told")->type_name("ID");
  command.add_option("--older-than", args.older_than, "Only those that are dead for longer")->type_name("DURATION");
}

}  // namespace

void AddDeadLetterCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("dead", "For operators: dead letters, all that has failed for good");
  group->require_subcommand(1);
  group->footer(
      "`waybill dead COMMAND --help` explains each command with examples.\n"
      "Those of RabbitMQ's queues are in `waybill broker`.");

  auto listed = std::make_shared<LetterArgs>();
  CLI::App* list = group->add_subcommand("list", "List dead letters, the longest dead first");
  AddFilter(*list, *listed);
  process::AddInteger(*list, "--limit", listed->limit, "At most so many; 0: all")
      ->capture_default_str()
      ->type_name("N");
  list->footer(
      "Examples:\n"
      "  waybill dead list\n"
      "  waybill dead list --kind saga --gateway north --older-than 1h\n"
      "\n"
      "In brackets before the detail stands why one cannot be redriven now.");
  list->callback([&context, listed] { context.run = [&context, listed] { return ListLetters(context, *listed); }; });

  auto counted = std::make_shared<LetterArgs>();
  CLI::App* count = group->add_subcommand("count", "Count dead letters by kind and cause");
  AddFilter(*count, *counted);
  count->footer("Example:\n  waybill dead count");
  count->callback(
      [&context, counted] { context.run = [&context, counted] { return CountLetters(context, *counted); }; });

  auto redriven = std::make_shared<LetterArgs>();
  redriven->limit = 0;
  CLI::App* redrive = group->add_subcommand("redrive", "Have dead letters tried again: some, or all that fit");
  redrive->add_option("id", redriven->ids, "Which, as `waybill dead list` says")->type_name("ID");
  AddFilter(*redrive, *redriven);
  redrive->add_option("--per-second", redriven->per_second, "So many a second, 1 to 1000")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  process::AddInteger(*redrive, "--limit", redriven->limit, "At most so many; 0: all")
      ->capture_default_str()
      ->type_name("N");
  redrive->footer(
      "Examples:\n"
      "  waybill dead redrive saga/01939f6e-0000-7000-8000-000000000001\n"
      "  waybill dead redrive --kind delivery --of-client shop --per-second 50 --limit 10000\n"
      "\n"
      "It can be stopped at any time (Ctrl-C): what was redriven by then is, and the same command goes on with the "
      "rest.\n"
      "What dies again meanwhile is left for the next time. An event is looked at, a delivery sent, a case compared\n"
      "and a saga driven again. Exit code 7: some that could be redriven are left.");
  redrive->callback(
      [&context, redriven] { context.run = [&context, redriven] { return RedriveLetters(context, *redriven); }; });

  auto discarded = std::make_shared<LetterArgs>();
  CLI::App* discard = group->add_subcommand("discard", "Give dead letters up, with a reason: some, or all that fit");
  discard->add_option("id", discarded->ids, "Which, as `waybill dead list` says")->type_name("ID");
  AddFilter(*discard, *discarded);
  discard->add_option("--reason", discarded->reason, "Kept beside them, and in the audit")
      ->required()
      ->type_name("TEXT");
  discard->add_option("--operator", discarded->who, "Who decides")->required()->envname("USER")->type_name("NAME");
  discard->footer(
      "Examples:\n"
      "  waybill dead discard case/17 --reason \"given back by hand, ticket 812\"\n"
      "  waybill dead discard --kind event --cause UNKNOWN_PAYMENT --gateway north --reason \"another shop's "
      "account\"\n"
      "\n"
      "A saga is resolved by it: Waybill undoes nothing further for it. Exit code 7: some are left.");
  discard->callback(
      [&context, discarded] { context.run = [&context, discarded] { return DiscardLetters(context, *discarded); }; });
}

}  // namespace waybill::cli

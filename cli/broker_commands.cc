// waybill broker: straight at RabbitMQ, where the dead letters of its queues lie.
#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "cli/interrupts.h"
#include "cli/table.h"
#include "cli/values.h"
#include "edge/amqp/address.h"
#include "edge/amqp/dead_letters.h"
#include "edge/amqp/topology.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "services/process/flags.h"

namespace waybill::cli {
namespace {

constexpr char kBrokerHint[] = "Is RabbitMQ running there? Say where with WAYBILL_AMQP_URL or --amqp-url.";

struct BrokerArgs {
  std::string url, ca;
};

struct BrokerLetterArgs {
  std::shared_ptr<BrokerArgs> broker;
  std::vector<std::string> queues;
  std::string queue;
  std::vector<std::string> ids;
  std::string cause;
  size_t limit = 50;
  int per_second = 10;
  bool all = false;
};

absl::StatusOr<amqp::ConnectionOptions> BrokerOptionsOf(const BrokerArgs& args) {
  if (args.url.empty()) {
    return absl::InvalidArgumentError("where is RabbitMQ? Say so with WAYBILL_AMQP_URL or --amqp-url");
  }
  absl::StatusOr<amqp::Address> address = amqp::ParseUrl(args.url);
  if (!address.ok()) return address.status();
  amqp::ConnectionOptions options;
  options.address = *std::move(address);
  options.ca = args.ca;
  options.name = "waybill broker";
  options.heartbeat = absl::ZeroDuration();  // a person may think for a while
  return options;
}

absl::StatusOr<std::unique_ptr<amqp::DeadLetterQueue>> OpenDead(const Context& context, const BrokerArgs& args,
                                                                const std::string& queue) {
  absl::StatusOr<amqp::ConnectionOptions> options = BrokerOptionsOf(args);
  if (!options.ok()) return options.status();
  return amqp::DeadLetterQueue::Open(*options, queue, context.clock);
}

bool FitsBrokerFilter(const amqp::DeadLetter& letter, const BrokerLetterArgs& args) {
  if (!args.cause.empty() && letter.reason != args.cause) return false;
  return args.ids.empty() || std::find(args.ids.begin(), args.ids.end(), letter.id) != args.ids.end();
}

std::string TimeOrNothing(absl::Time time) { return time == absl::InfinitePast() ? "" : ShowTime(time); }

std::string BrokerLetterJson(const amqp::DeadLetter& letter) {
  nlohmann::ordered_json json;
  json["queue"] = letter.queue;
  json["id"] = letter.id;
  json["cause"] = letter.reason;
  json["detail"] = letter.detail;
  json["first_seen"] = TimeOrNothing(letter.first_seen);
  json["failed_at"] = TimeOrNothing(letter.failed_at);
  json["attempts"] = letter.attempts;
  json["redrives"] = letter.redrives;
  json["content_type"] = letter.message.content_type;
  json["correlation_id"] = letter.message.correlation_id;
  json["reply_to"] = letter.message.reply_to;
  json["body"] = letter.message.body;
  return json.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

ExitCode ListBrokerLetters(const Context& context, const BrokerLetterArgs& args) {
  Table table({{"QUEUE"},
               {"MESSAGE"},
               {"CAUSE"},
               {"FAILED AT"},
               {"ATTEMPTS", Column::Align::kRight},
               {"DETAIL", Column::Align::kLeft, Column::Overflow::kCut}});
  size_t shown = 0;
  bool more = false;
  for (const std::string& queue : args.queues) {
    absl::StatusOr<std::unique_ptr<amqp::DeadLetterQueue>> dead = OpenDead(context, *args.broker, queue);
    if (!dead.ok()) return context.Fail(dead.status(), kBrokerHint);
    for (;;) {
      absl::StatusOr<std::optional<amqp::DeadLetter>> letter = (*dead)->Next();
      if (!letter.ok()) return context.Fail(letter.status(), kBrokerHint);
      if (!letter->has_value()) break;
      if (!FitsBrokerFilter(**letter, args)) continue;
      if (args.limit > 0 && shown == args.limit) {
        more = true;
        break;
      }
      ++shown;
      if (context.json) {
        context.PrintLine(BrokerLetterJson(**letter));
      } else {
        table.Add({(*letter)->queue, (*letter)->id, (*letter)->reason, TimeOrNothing((*letter)->failed_at),
                   fmt::format("{}", (*letter)->attempts), (*letter)->detail});
      }
    }
    (*dead)->Close();
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (shown == 0) context.Note("there are no such dead letters");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

ExitCode CountBrokerLetters(const Context& context, const BrokerLetterArgs& args) {
  absl::StatusOr<amqp::ConnectionOptions> options = BrokerOptionsOf(*args.broker);
  if (!options.ok()) return context.Fail(options.status());
  Table table({{"QUEUE"}, {"WAITING", Column::Align::kRight}, {"DEAD", Column::Align::kRight}});
  for (const std::string& queue : args.queues) {
    absl::StatusOr<std::unique_ptr<amqp::Connection>> connection = amqp::Connection::Open(*options);
    if (!connection.ok()) return context.Fail(connection.status(), kBrokerHint);
    const absl::StatusOr<int64_t> waiting = (*connection)->CountReady(queue);
    if (!waiting.ok()) return context.Fail(waiting.status(), kBrokerHint);
    const absl::StatusOr<int64_t> dead = (*connection)->CountReady(amqp::DeadQueue(queue));
    if (!dead.ok()) return context.Fail(dead.status(), kBrokerHint);
    (*connection)->Close();
    if (context.json) {
      context.PrintLine(nlohmann::ordered_json{{"queue", queue}, {"waiting", *waiting}, {"dead", *dead}}.dump());
    } else {
      table.Add({queue, fmt::format("{}", *waiting), fmt::format("{}", *dead)});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  return ExitCode::kOk;
}

using LetterChange = std::function<absl::Status(amqp::DeadLetterQueue&, const amqp::DeadLetter&)>;

// One after the other, so many a second. Whenever it is stopped, what was changed so far is, and nothing else; what was
// passed over goes back to its place.
// `letters_printed`: standard output is theirs, so that what is said goes elsewhere.
ExitCode ChangeBrokerLetters(const Context& context, const BrokerLetterArgs& args, std::string_view done,
                             bool letters_printed, const LetterChange& change) {
  absl::StatusOr<std::unique_ptr<amqp::DeadLetterQueue>> dead = OpenDead(context, *args.broker, args.queue);
  if (!dead.ok()) return context.Fail(dead.status(), kBrokerHint);
  const Interrupts interrupts;
  size_t changed = 0;
  std::set<std::string> missing(args.ids.begin(), args.ids.end());  // one id may be there twice
  bool limited = false;
  const SteadyTime began = context.clock.Steady();
  const auto told = [&] {
    return fmt::format("{}: {} {}; dead letters left: {}", args.queue, changed, done,
                       (*dead)->count() - static_cast<int64_t>(changed));
  };
  for (;;) {
    absl::StatusOr<std::optional<amqp::DeadLetter>> letter = (*dead)->Next();
    if (!letter.ok()) return context.Fail(letter.status(), kBrokerHint);
    limited = letter->has_value() && args.limit > 0 && changed == args.limit;
    if (!letter->has_value() || limited) break;
    if (!FitsBrokerFilter(**letter, args)) continue;
    const SteadyTime due = began + absl::Seconds(1) * static_cast<double>(changed) / args.per_second;
    if (const absl::Duration wait = due - context.clock.Steady(); wait > absl::ZeroDuration()) {
      Interrupts::SleepUnlessSeen(wait);
    }
    if (Interrupts::Seen()) {
      (*dead)->Close();
      context.Note(fmt::format("stopped: {}; the same command goes on with the others", told()));
      return ExitCode::kPartly;
    }
    if (absl::Status status = change(**dead, **letter); !status.ok()) {
      if (changed > 0) context.Note(fmt::format("before that, {}; the same command goes on", told()));
      return context.Fail(status, kBrokerHint);
    }
    ++changed;
    missing.erase((*letter)->id);
  }
  (*dead)->Close();
  letters_printed ? context.Note(told()) : context.PrintLine(told());
  if (!missing.empty() && limited) {
    context.Note("the others were not looked for, by --limit");
  } else if (!missing.empty()) {
    context.Note(args.cause.empty() ? "the others are not among the dead letters of this queue"
                                    : "the others are not among the dead letters of this queue and cause");
  }
  return missing.empty() ? ExitCode::kOk : ExitCode::kPartly;
}

ExitCode RedriveBrokerLetters(const Context& context, const BrokerLetterArgs& args) {
  return ChangeBrokerLetters(context, args, "redriven", context.json,
                             [&](amqp::DeadLetterQueue& dead, const amqp::DeadLetter& letter) {
                               absl::Status status = dead.Redrive(letter);
                               if (status.ok() && context.json) context.PrintLine(BrokerLetterJson(letter));
                               return status;
                             });
}

// Each is printed first: from then on nobody else has it.
ExitCode DiscardBrokerLetters(const Context& context, const BrokerLetterArgs& args) {
  if (args.ids.empty() && args.cause.empty() && !args.all) {
    return context.Fail(absl::InvalidArgumentError("which? Name messages, a --cause, or --all"));
  }
  if (args.all && !(args.ids.empty() && args.cause.empty())) {
    return context.Fail(absl::InvalidArgumentError("--all is the whole queue: name no messages and no --cause"));
  }
  return ChangeBrokerLetters(context, args, "discarded", /*letters_printed=*/true,
                             [&](amqp::DeadLetterQueue& dead, const amqp::DeadLetter& letter) {
                               context.PrintLine(BrokerLetterJson(letter));
                               return dead.Discard(letter);
                             });
}

void AddBrokerFilter(CLI::App& command, BrokerLetterArgs& args) {
  command.add_option("queue", args.queue, "The queue whose messages they are, such as transactions")
      ->required()
      ->type_name("QUEUE");
  command.add_option("id", args.ids, "Which, as `waybill broker list` says")->type_name("MESSAGE");
  command.add_option("--cause", args.cause, "Only those that are dead for it")->type_name("CAUSE");
  command.add_option("--per-second", args.per_second, "So many a second, 1 to 1000")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  process::AddInteger(command, "--limit", args.limit, "At most so many; 0: all")->capture_default_str()->type_name("N");
}

std::vector<std::string> ContractQueues() { return {"transactions", "balance-calculation", "refunds"}; }

}  // namespace

void AddBrokerCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("broker", "For operators: queues of RabbitMQ and the dead letters in them");
  group->require_subcommand(1);
  auto broker = std::make_shared<BrokerArgs>();
  group->add_option("--amqp-url", broker->url, "RabbitMQ: amqp://user:password@host:port/virtual-host, or amqps://")
      ->envname("WAYBILL_AMQP_URL")
      ->type_name("URL");
  group->add_option("--amqp-ca", broker->ca, "CAs (PEM) that vouch for it (default: those of this machine)")
      ->envname("WAYBILL_AMQP_CA")
      ->type_name("FILE");
  group->footer(
      "They go straight to RabbitMQ, and ask no service. `waybill broker COMMAND --help` explains each with examples.");

  auto counted = std::make_shared<BrokerLetterArgs>();
  counted->broker = broker;
  counted->queues = ContractQueues();
  CLI::App* count = group->add_subcommand("count", "Count the messages that wait in queues, and the dead ones");
  count->add_option("queue", counted->queues, "Which queues (default: those of the ledger)")->type_name("QUEUE");
  count->footer(
      "Example:\n"
      "  waybill broker count\n"
      "\n"
      "Those that are being handled, or wait for another attempt, are in neither number.");
  count->callback(
      [&context, counted] { context.run = [&context, counted] { return CountBrokerLetters(context, *counted); }; });

  auto listed = std::make_shared<BrokerLetterArgs>();
  listed->broker = broker;
  listed->queues = ContractQueues();
  CLI::App* list = group->add_subcommand("list", "List dead letters, the longest dead first");
  list->add_option("queue", listed->queues, "Of which queues (default: those of the ledger)")->type_name("QUEUE");
  list->add_option("--cause", listed->cause, "Only those that are dead for it")->type_name("CAUSE");
  process::AddInteger(*list, "--limit", listed->limit, "At most so many; 0: all")
      ->capture_default_str()
      ->type_name("N");
  list->footer(
      "Examples:\n"
      "  waybill broker list\n"
      "  waybill broker list refunds --cause BAD_REQUEST --json\n"
      "\n"
      "With --json each has its body. While it runs, nobody else gets the letters.");
  list->callback(
      [&context, listed] { context.run = [&context, listed] { return ListBrokerLetters(context, *listed); }; });

  auto redriven = std::make_shared<BrokerLetterArgs>();
  redriven->broker = broker;
  redriven->limit = 0;
  CLI::App* redrive =
      group->add_subcommand("redrive", "Send dead letters back into their queue: some, or all that fit");
  AddBrokerFilter(*redrive, *redriven);
  redrive->footer(
      "Examples:\n"
      "  waybill broker redrive transactions pay-17\n"
      "  waybill broker redrive refunds --cause TRANSFER_NOT_FOUND --per-second 50\n"
      "\n"
      "Their attempts count from the beginning. It can be stopped at any time (Ctrl-C): what was redriven by then is,\n"
      "and the same command goes on with the rest. What dies again meanwhile is left for the next time.\n"
      "Exit code 7: it was stopped, or some of the messages are not among the dead letters.");
  redrive->callback([&context, redriven] {
    context.run = [&context, redriven] { return RedriveBrokerLetters(context, *redriven); };
  });

  auto discarded = std::make_shared<BrokerLetterArgs>();
  discarded->broker = broker;
  discarded->limit = 0;
  discarded->per_second = 1'000;
  CLI::App* discard = group->add_subcommand("discard", "Give dead letters up, and print them: some, or all that fit");
  AddBrokerFilter(*discard, *discarded);
  discard->add_flag("--all", discarded->all, "All of the queue");
  discard->footer(
      "Examples:\n"
      "  waybill broker discard transactions pay-17 >discarded.jsonl\n"
      "  waybill broker discard refunds --cause MALFORMED_REQUEST >discarded.jsonl\n"
      "\n"
      "Each is printed as a line of JSON before it is gone: nobody else has it then. Exit code 7: it was stopped, or\n"
      "some of the messages are not among the dead letters.");
  discard->callback([&context, discarded] {
    context.run = [&context, discarded] { return DiscardBrokerLetters(context, *discarded); };
  });
}

}  // namespace waybill::cli

// The `waybill` command line.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "cli/context.h"
#include "edge/rpc/grpc_log.h"
#include "fmt/format.h"
#include "runtime/build.h"
#include "services/process/flags.h"

namespace waybill::cli {
namespace {

constexpr char kFooter[] =
    "First steps:\n"
    "  waybill migrate                                   # make the tables\n"
    "  waybill driver put d-1 --at 52.52,13.405          # a driver on the map\n"
    "  waybill order create --user u-1 --amount 12.50 --currency EUR --pickup 52.52,13.405\n"
    "  waybill order list\n"
    "  waybill track generate day.csv && waybill track replay day.csv   # positions for the ingest service\n"
    "  waybill saga list --needs-attention               # what a person should look at\n"
    "\n"
    "Scripts: --json prints one JSON object a line on standard output, with the contract's field names (proto3 JSON:\n"
    "64-bit integers are strings). Errors go to standard error, with --json as JSON.\n"
    "\n"
    "Exit codes:\n"
    "  0  done\n"
    "  1  the call failed\n"
    "  2  the command line or a field is wrong; nothing was done\n"
    "  3  there is no such thing\n"
    "  4  refused: the state of things does not allow it\n"
    "  5  no answer, not in time, not decided yet, or too busy; a retry may help\n"
    "  6  order create, order watch: the order was turned back; payout create: it is refused\n"
    "  7  track replay, ledger transfer create --file, redrive, discard: done, but some were rejected or skipped\n"
    "\n"
    "Environment: WAYBILL_SERVER, WAYBILL_SANDBOX, WAYBILL_INGEST, WAYBILL_LEDGER, WAYBILL_CLIENT, WAYBILL_KEY or\n"
    "WAYBILL_KEY_FILE, WAYBILL_KEY_OVER_PLAIN, WAYBILL_TLS, WAYBILL_TLS_CA, WAYBILL_TLS_CERTIFICATE, WAYBILL_TLS_KEY,\n"
    "DATABASE_URL, WAYBILL_AMQP_URL, WAYBILL_AMQP_CA; NO_COLOR.\n"
    "`waybill COMMAND --help` explains each command with examples.";

void AddSettings(CLI::App& app, Context& context) {
  app.add_option("--server", context.server, "Where waybill-order is")
      ->envname("WAYBILL_SERVER")
      ->capture_default_str()
      ->type_name("HOST:PORT");
  app.add_option("--ingest", context.ingest, "Where waybill-ingest is, for track and driver")
      ->envname("WAYBILL_INGEST")
      ->capture_default_str()
      ->type_name("HOST:PORT");
  app.add_option("--ledger", context.ledger, "Where waybill-ledger is")
      ->envname("WAYBILL_LEDGER")
      ->capture_default_str()
      ->type_name("HOST:PORT");
  app.add_option("--client", context.client, "Who calls; idempotency keys are unique for each")
      ->envname("WAYBILL_CLIENT")
      ->type_name("NAME");
  app.add_option("--key-file", context.key_file, "File with the key that calls show; or WAYBILL_KEY, the key itself")
      ->envname("WAYBILL_KEY_FILE")
      ->type_name("FILE");
  app.add_flag("--key-over-plain", context.key_over_plain,
               "Show the key without TLS, too, also to other machines: on a way that is closed to others")
      ->envname("WAYBILL_KEY_OVER_PLAIN");
  app.add_flag("--tls", context.tls, "Call the services over TLS; --tls-ca and --tls-certificate mean it, too")
      ->envname("WAYBILL_TLS");
  app.add_option("--tls-ca", context.tls_files.ca, "CAs (PEM) that vouch for them (default: those of this machine)")
      ->envname("WAYBILL_TLS_CA")
      ->type_name("FILE");
  app.add_option("--tls-certificate", context.tls_files.certificate, "Certificate (PEM) to show them")
      ->envname("WAYBILL_TLS_CERTIFICATE")
      ->type_name("FILE");
  app.add_option("--tls-key", context.tls_files.key, "Its key (PEM, not encrypted)")
      ->envname("WAYBILL_TLS_KEY")
      ->type_name("FILE");
  app.add_option("--timeout", context.timeout, "For the whole command, retries included (default: 30s; watch: none)")
      ->type_name("DURATION");
  process::AddInteger(app, "--retries", context.retries, "How often, while the service does not answer")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--database-url", context.database_url, "Postgres, for migrate")
      ->capture_default_str()
      ->envname("DATABASE_URL")
      ->type_name("URL");
  app.add_flag("--json", context.json, "For scripts: one JSON object a line");
}

// Options as people read them: what to write behind the name, and default and environment variable behind the
// description.
class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string value = ValueOf(option);
    if (!value.empty()) value.insert(0, " ");
    return value;
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    std::string text = option->get_description();
    if (option->get_required()) text += " (required)";
    if (!option->get_default_str().empty()) text += fmt::format(" [default: {}]", option->get_default_str());
    if (!option->get_envname().empty()) text += fmt::format(" [{}]", option->get_envname());
    return text;
  }

 private:
  // CLI11 writes "N:INT in [0 - 9]" for a checked number, and "TEXT:{a,b}" for a choice.
  static std::string ValueOf(const CLI::Option* option) {
    if (option->get_type_size() == 0 || option->get_positional()) return "";
    std::string type = option->get_type_name();
    size_t colon = type.find(':');
    if (colon == std::string::npos) return type;
    if (type[colon + 1] != '{') return type.substr(0, type.compare(0, 4, "HOST") == 0 ? std::string::npos : colon);
    std::string choice = type.substr(colon + 2, type.find('}') - colon - 2);
    std::replace(choice.begin(), choice.end(), ',', '|');
    return choice;
  }
};

// The first option or argument that was given with an empty value. It would count as one that was not given: a filter
// by a variable that is not set would show all, and a deed would be done to all.
const CLI::Option* FindEmpty(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0) continue;
    const std::vector<std::string>& values = option->results();
    if (std::any_of(values.begin(), values.end(), [](const std::string& value) { return value.empty(); })) {
      return option;
    }
  }
  for (const CLI::App* command : app.get_subcommands()) {
    if (const CLI::Option* empty = FindEmpty(*command)) return empty;
  }
  return nullptr;
}

// What the command line got wrong, and where to read how it is right.
std::string ExplainMistake(const CLI::App* app, const CLI::Error& error) {
  std::string what = error.what();
  std::vector<std::string> extra = app->remaining(true);
  if (error.get_name() == "RequiredError" && !extra.empty()) {
    what = fmt::format("there is no {} \"{}\"", extra[0].starts_with('-') ? "option" : "command", extra[0]);
  }
  std::string path = "waybill";
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands()[0];
    path += " " + app->get_name();
  }
  return fmt::format("waybill: {}. See: {} --help\n", Printable(what), path);
}

int Main(int argc, char** argv) {
  SystemClock clock;
  SeededRandom random(EntropySeed());
  Context context(clock, random);
  const rpc::GrpcLog grpc_log;
  context.out = DetectTerminal(stdout);
  context.err = DetectTerminal(stderr);

  CLI::App app("waybill: orders that are charged and given a driver, or the money goes back");
  app.name("waybill");
  app.fallthrough();  // settings may stand behind the command as well
  app.require_subcommand(1);
  app.failure_message(ExplainMistake);
  app.footer(kFooter);
  app.set_version_flag("--version", Describe("waybill", ThisBuild()), "Print version and commit, and exit");
  auto formatter = std::make_shared<HelpFormatter>();
  formatter->column_width(34);
  app.formatter(formatter);
  AddSettings(app, context);
  AddOrderCommands(app, context);
  AddSagaCommands(app, context);
  AddMigrateCommand(app, context);
  AddFleetCommands(app, context);
  AddLocationCommands(app, context);
  AddTrackCommands(app, context);
  AddGatewayCommands(app, context);
  AddKeyCommands(app, context);
  AddPaymentsCommands(app, context);
  AddPayoutCommands(app, context);
  AddLedgerCommands(app, context);
  AddRiskCommands(app, context);
  AddReconcileCommands(app, context);
  AddAuditCommands(app, context);
  AddWebhookCommands(app, context);
  AddWebhookInboxCommands(app, context);
  AddDeadLetterCommands(app, context);
  AddBrokerCommands(app, context);
  AddTokenCommands(app, context);
  AddSandboxCommands(app, context);
  CLI::App* version = app.add_subcommand("version", "Print version and commit");
  version->footer("Example:\n  waybill version --json");
  version->callback([&context] {
    context.run = [&context] {
      const Build build = ThisBuild();
      context.PrintLine(context.json ? fmt::format(R"({{"version":"{}","commit":"{}"}})", build.version, build.commit)
                                     : Describe("waybill", build));
      return ExitCode::kOk;
    };
  });

  if (argc <= 1) {
    fmt::print(stderr, "{}", app.help());
    return static_cast<int>(ExitCode::kUsage);
  }
  try {
    app.parse(argc, argv);
    if (const CLI::Option* empty = FindEmpty(app)) {
      throw CLI::ValidationError(empty->get_name(), "the value is empty; leave it out, or say what is meant");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  if (absl::Status prepared = context.PrepareCalls(); !prepared.ok()) return static_cast<int>(context.Fail(prepared));
  if (absl::Status read = context.ReadKey(); !read.ok()) return static_cast<int>(context.Fail(read));
  return static_cast<int>(context.run());
}

}  // namespace
}  // namespace waybill::cli

int main(int argc, char** argv) { return waybill::cli::Main(argc, argv); }

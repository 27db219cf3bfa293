// What the commands share: where the servers are, how to print, and what was asked for.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cli/failure.h"
#include "cli/retry.h"
#include "cli/terminal.h"
#include "edge/tls/credentials.h"
#include "grpcpp/security/credentials.h"
#include "runtime/clock.h"
#include "runtime/random.h"

namespace waybill::cli {

struct Context {
  std::string server = "127.0.0.1:7410";
  std::string sandbox = "127.0.0.1:7420";
  std::string ingest = "127.0.0.1:7430";
  std::string ledger = "127.0.0.1:7440";
  std::string client;
  std::string key_file;  // empty: none
  std::string key;       // ReadKey sets it; empty: calls carry none
  bool key_over_plain = false;
  std::string database_url = "postgresql:///waybill";
  std::string timeout;  // empty: 30 s for a call, no bound for a watch
  int retries = 5;
  bool json = false;
  bool tls = false;      // also where there are files
  tls::Files tls_files;  // a CA that vouches for the services, and what they are shown

  const Clock& clock;
  Random& random;
  Terminal out;  // standard output
  Terminal err;  // standard error

  // Set by the subcommand on the command line; answers the exit code.
  std::function<ExitCode()> run;

  Context(const Clock& the_clock, Random& the_random) : clock(the_clock), random(the_random) {}

  // For a call whose repetition would do it twice.
  Context Once() const {
    Context once = *this;
    once.retries = 0;
    return once;
  }

  // How the services are called. INVALID_ARGUMENT when the files of TLS are wrong.
  absl::Status PrepareCalls();
  const std::shared_ptr<grpc::ChannelCredentials>& credentials() const { return credentials_; }
  // The key of the file, or of WAYBILL_KEY; never of the command line, which every user of the machine can read.
  // INVALID_ARGUMENT, also when it would be readable on the way to another machine and nobody has said that it may be.
  absl::Status ReadKey();

  bool bounded() const { return !timeout.empty(); }
  // INVALID_ARGUMENT when --timeout is not a duration. `unbounded`: what no --timeout means. `sleep`: between tries.
  absl::StatusOr<Retrier> MakeRetrier(absl::Duration unbounded = absl::Seconds(30),
                                      std::function<void(absl::Duration)> sleep = absl::SleepFor) const;

  void Print(std::string_view text) const;      // to standard output
  void PrintLine(std::string_view text) const;  // the same, with the end of the line, at once
  void Note(std::string_view text) const;       // a line for people, to standard error

  // Says what went wrong on standard error and answers the exit code for it.
  ExitCode Fail(const absl::Status& status, std::string_view hint = "") const;

 private:
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
};

// Adds a group's subcommands. `context` outlives the parser.
void AddMigrateCommand(CLI::App& app, Context& context);        // migrate
void AddFleetCommands(CLI::App& app, Context& context);         // driver
void AddLocationCommands(CLI::App& app, Context& context);      // further ones of driver, which has to be there
void AddTrackCommands(CLI::App& app, Context& context);         // track
void AddOrderCommands(CLI::App& app, Context& context);         // order
void AddSagaCommands(CLI::App& app, Context& context);          // saga
void AddGatewayCommands(CLI::App& app, Context& context);       // gateway
void AddKeyCommands(CLI::App& app, Context& context);           // key
void AddWebhookCommands(CLI::App& app, Context& context);       // webhook
void AddWebhookInboxCommands(CLI::App& app, Context& context);  // further ones of webhook, which has to be there
void AddPaymentsCommands(CLI::App& app, Context& context);      // payments
void AddPayoutCommands(CLI::App& app, Context& context);        // payout
void AddLedgerCommands(CLI::App& app, Context& context);        // ledger
void AddRiskCommands(CLI::App& app, Context& context);          // risk
void AddReconcileCommands(CLI::App& app, Context& context);     // reconcile
void AddDeadLetterCommands(CLI::App& app, Context& context);    // dead
void AddAuditCommands(CLI::App& app, Context& context);         // audit
void AddBrokerCommands(CLI::App& app, Context& context);        // broker
void AddSandboxCommands(CLI::App& app, Context& context);       // sandbox
void AddTokenCommands(CLI::App& app, Context& context);         // token

}  // namespace waybill::cli

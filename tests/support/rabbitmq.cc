#include "tests/support/rabbitmq.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "fmt/format.h"
#include "tests/support/certificates.h"

namespace waybill::testing {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(120);
// The script that Debian puts on the PATH wants root, and becomes rabbitmq with its own folders; these want nobody.
constexpr std::string_view kScripts = "/usr/lib/rabbitmq/bin/";

std::string RabbitmqUser() { return getuid() == 0 && getpwnam("rabbitmq") != nullptr ? "rabbitmq" : ""; }

}  // namespace

RabbitmqServer::RabbitmqServer() : directory_(RabbitmqUser()) {}

absl::StatusOr<std::unique_ptr<RabbitmqServer>> RabbitmqServer::Start(std::vector<std::string> settings) {
  absl::Status status;
  // Another test program may take a port between our look and the bind.
  for (int attempt = 0; attempt < 5; ++attempt) {
    auto server = std::unique_ptr<RabbitmqServer>(new RabbitmqServer);
    server->port_ = FreePort();
    server->tls_port_ = FreePort();
    server->mapper_port_ = FreePort();
    server->node_port_ = FreePort();
    {
      const std::string folder = server->directory_.path();
      const TestCa ca;
      const Issued issued = ca.Issue();
      std::ofstream(folder + "/ca.pem") << ca.certificate();
      std::ofstream(folder + "/certificate.pem") << issued.certificate;
      std::ofstream(folder + "/key.pem") << issued.key;
      std::ofstream file(folder + "/rabbitmq.conf");
      file << "listeners.ssl.1 = 127.0.0.1:" << server->tls_port_ << "\nssl_options.cacertfile = " << folder
           << "/ca.pem\nssl_options.certfile = " << folder << "/certificate.pem\nssl_options.keyfile = " << folder
           << "/key.pem\nssl_options.verify = verify_none\n";
      file << "listeners.tcp.1 = 127.0.0.1:" << server->port_ << "\nlog.console = true\nlog.console.level = info\n"
           << "log.file = false\n";
      for (const std::string& line : settings) file << line << "\n";
      std::ofstream(folder + "/enabled_plugins") << "[].\n";
    }
    status = server->Launch();
    if (status.ok()) return server;
    if (!absl::IsUnavailable(status)) break;
  }
  return status;
}

RabbitmqServer::~RabbitmqServer() { Kill(); }

std::string RabbitmqServer::Url(std::string_view virtual_host) const {
  return fmt::format("amqp://guest:guest@127.0.0.1:{}/{}", port_, virtual_host);
}

std::string RabbitmqServer::TlsUrl(std::string_view host) const {
  return fmt::format("amqps://guest:guest@{}:{}/%2F", host, tls_port_);
}

std::vector<std::pair<std::string, std::string>> RabbitmqServer::Environment() const {
  const std::string folder = directory_.path();
  return {
      {"HOME", folder},  // where the cookie is
      {"LANG", "C.UTF-8"},
      {"ERL_EPMD_PORT", std::to_string(mapper_port_)},
      {"ERL_EPMD_ADDRESS", "127.0.0.1"},
      {"RABBITMQ_NODENAME", fmt::format("waybill{}@localhost", port_)},
      {"RABBITMQ_CONF_ENV_FILE", folder + "/none"},
      {"RABBITMQ_CONFIG_FILE", folder + "/rabbitmq.conf"},
      {"RABBITMQ_ENABLED_PLUGINS_FILE", folder + "/enabled_plugins"},
      {"RABBITMQ_MNESIA_BASE", folder + "/data"},
      {"RABBITMQ_LOG_BASE", folder + "/log"},
      {"RABBITMQ_LOGS", "-"},
      {"RABBITMQ_DIST_PORT", std::to_string(node_port_)},
      // The script becomes the broker, so that the process that is killed is it.
      {"RABBITMQ_ALLOW_INPUT", "1"},
      {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
       "-noinput -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +A 8 "
       "-rabbit channel_tick_interval 1000"},  // how often it looks at consumer_timeout, in ms,
      {"RABBITMQ_CTL_ERL_ARGS", "+S 1:1"},
  };
}

absl::Status RabbitmqServer::Launch() {
  if (!mapper_ || !mapper_->Running()) {
    ProcessOptions options;
    options.user = RabbitmqUser();
    options.env = Environment();
    options.working_directory = directory_.path();
    options.args = {"-port", std::to_string(mapper_port_), "-address", "127.0.0.1"};
    absl::StatusOr<std::unique_ptr<Process>> mapper = Process::Start("epmd", std::move(options));
    if (!mapper.ok()) return mapper.status();
    mapper_ = *std::move(mapper);
  }
  ProcessOptions options;
  options.user = RabbitmqUser();
  options.env = Environment();
  options.working_directory = directory_.path();
  absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Start(std::string(kScripts) + "rabbitmq-server", std::move(options));
  if (!process.ok()) return process.status();
  process_ = *std::move(process);
  if (process_->WaitForLine("Server startup complete", kStartTimeout)) return absl::OkStatus();
  const std::string log = process_->Output();
  Kill();
  if (log.find("eaddrinuse") != std::string::npos) return absl::UnavailableError(log);
  return absl::InternalError("rabbitmq-server did not start: " + log);
}

void RabbitmqServer::Kill() { process_.reset(); }

void RabbitmqServer::StopCleanly() {
  if (!process_) return;
  process_->Signal(SIGTERM);
  process_->Wait(absl::Seconds(60));
  process_.reset();
}

absl::Status RabbitmqServer::StartAgain() { return Launch(); }

absl::StatusOr<std::string> RabbitmqServer::Control(std::vector<std::string> arguments) const {
  ProcessOptions options;
  options.user = RabbitmqUser();
  options.env = Environment();
  options.working_directory = directory_.path();
  options.args = std::move(arguments);
  absl::StatusOr<std::unique_ptr<Process>> process =
      Process::Start(std::string(kScripts) + "rabbitmqctl", std::move(options));
  if (!process.ok()) return process.status();
  const std::optional<int> code = (*process)->Wait(absl::Seconds(60));
  if (code != 0) return absl::InternalError("rabbitmqctl: " + (*process)->Output());
  return (*process)->Output();
}

RabbitmqServer& SharedRabbitmq() {
  static const absl::StatusOr<std::unique_ptr<RabbitmqServer>> server = RabbitmqServer::Start();
  if (!server.ok()) {
    std::fprintf(stderr, "no RabbitMQ for this test: %s\n", server.status().ToString().c_str());
    std::abort();
  }
  return **server;
}

std::string NewQueueName(std::string_view prefix) {
  static std::atomic<int> last = 0;
  return fmt::format("{}-{}-{}", prefix, ++last, getpid());
}

}  // namespace waybill::testing

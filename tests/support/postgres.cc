#include "tests/support/postgres.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include "fmt/format.h"
#include "tests/support/certificates.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

constexpr absl::Duration kPostgresStartTimeout = absl::Seconds(60);
constexpr absl::Duration kPostgresProgramTimeout = absl::Minutes(2);
constexpr absl::Duration kStopTimeout = absl::Seconds(30);

std::string Binary(const char* name) {
  if (*name == '/') return name;
  const char* folder = std::getenv("WAYBILL_POSTGRES_BIN");
  return fmt::format("{}/{}", folder != nullptr ? folder : "/usr/lib/postgresql/15/bin", name);
}

// The children of a process we started, at this moment.
std::vector<pid_t> Children(pid_t pid) {
  std::ifstream list(fmt::format("/proc/{}/task/{}/children", pid, pid));
  std::vector<pid_t> children;
  for (pid_t child; list >> child;) children.push_back(child);
  return children;
}

}  // namespace

std::string PostgresUser() { return getuid() == 0 ? "postgres" : ""; }

PostgresServer::PostgresServer() : directory_(PostgresUser()) {}

PostgresServer::~PostgresServer() { Stop(StopMode::kImmediate); }

namespace {

// For the server alone to read.
void PutFile(const std::filesystem::path& data, const std::string& file, const std::string& text) {
  ReplaceFile(data / file, text);
  struct stat owner {};
  if (stat(data.c_str(), &owner) != 0 || chown((data / file).c_str(), owner.st_uid, owner.st_gid) != 0) std::abort();
}

}  // namespace

absl::Status RunPostgresProgram(const char* name, std::vector<std::string> args) {
  ProcessOptions options;
  options.user = PostgresUser();
  options.working_directory = "/";
  options.args = std::move(args);
  absl::StatusOr<std::unique_ptr<Process>> program = Process::Start(Binary(name), std::move(options));
  if (!program.ok()) return program.status();
  if ((*program)->Wait(kPostgresProgramTimeout) == 0) return absl::OkStatus();
  return absl::InternalError(fmt::format("{}: {}", name, (*program)->Output()));
}

absl::StatusOr<std::unique_ptr<PostgresServer>> PostgresServer::Start(
    std::vector<std::pair<std::string, std::string>> settings,
    const std::vector<std::pair<std::string, std::string>>& files) {
  const auto initdb = [&](const std::filesystem::path& data) {
    const absl::Status made = RunPostgresProgram("initdb", {"-N", "-A", "trust", "--no-instructions", "-E", "UTF8",
                                                            "--locale=C.UTF-8", "-U", "postgres", "-D", data});
    if (made.ok()) {
      for (const auto& [file, text] : files) PutFile(data, file, text);
    }
    return made;
  };
  return StartOver(initdb, std::move(settings));
}

absl::StatusOr<std::unique_ptr<PostgresServer>> PostgresServer::StartOver(
    const std::function<absl::Status(const std::filesystem::path& data)>& make,
    std::vector<std::pair<std::string, std::string>> settings, int port) {
  auto server = std::unique_ptr<PostgresServer>(new PostgresServer);
  server->settings_ = std::move(settings);
  if (absl::Status status = make(server->data()); !status.ok()) return status;
  // Another test process may take the port between our look and the bind.
  absl::Status status;
  for (int attempt = 0; attempt < 10; ++attempt) {
    server->port_ = port != 0 ? port : FreePort();
    status = server->Launch();
    if (status.ok()) return server;
    if (!absl::IsUnavailable(status)) break;
  }
  return status;
}

std::string PostgresServer::Url(std::string_view database) const {
  return fmt::format("postgresql://postgres@127.0.0.1:{}/{}", port_, database);
}

absl::Status PostgresServer::Launch() {
  std::vector<std::pair<std::string, std::string>> settings = {
      {"listen_addresses", "127.0.0.1"},
      {"port", std::to_string(port_)},
      {"unix_socket_directories", ""},
      {"max_connections", "200"},
      {"shared_buffers", "256MB"},
      {"max_wal_size", "4GB"},
      {"fsync", "on"},
      {"synchronous_commit", "on"},
      {"log_checkpoints", "off"},
      {"lc_messages", "C"},
  };
  settings.insert(settings.end(), settings_.begin(), settings_.end());
  ProcessOptions options;
  options.user = PostgresUser();
  options.working_directory = directory_.path();
  options.death_signal = SIGQUIT;  // an immediate shutdown: no backend outlives the test
  options.args = {"-D", data()};
  for (const auto& [name, value] : settings) {
    options.args.push_back("-c");
    options.args.push_back(name + "=" + value);
  }
  absl::StatusOr<std::unique_ptr<Process>> process = Process::Start(Binary("postgres"), std::move(options));
  if (!process.ok()) return process.status();
  process_ = *std::move(process);
  if (process_->WaitForLine("database system is ready to accept connections", kPostgresStartTimeout))
    return absl::OkStatus();
  const std::string log = process_->Output();
  process_.reset();
  if (log.find("Address already in use") != std::string::npos) return absl::UnavailableError(log);
  // After Kill, the kernel may still be tearing down the old processes.
  if (log.find("shared memory block") != std::string::npos) return absl::FailedPreconditionError(log);
  return absl::InternalError("postgres did not start: " + log);
}

void PostgresServer::Stop(StopMode mode) {
  if (process_ == nullptr) return;
  process_->Signal(mode == StopMode::kFast ? SIGINT : SIGQUIT);
  if (!process_->Wait(kStopTimeout)) Kill();
  process_.reset();
}

void PostgresServer::Kill() {
  if (process_ == nullptr) return;
  process_->Signal(SIGSTOP);  // so that it neither cleans up nor starts others meanwhile
  for (const pid_t child : Children(process_->pid())) kill(child, SIGKILL);
  process_.reset();
}

void PostgresServer::Signal(int signal) {
  if (process_ == nullptr) return;
  process_->Signal(signal);
  for (const pid_t child : Children(process_->pid())) kill(child, signal);
}

absl::Status PostgresServer::StartAgain() {
  absl::Status status;
  Eventually(kPostgresStartTimeout, [&] {
    status = Launch();
    return !absl::IsFailedPrecondition(status);
  });
  return status;
}

absl::Status PostgresServer::Restart(StopMode mode) {
  Stop(mode);
  return StartAgain();
}

std::string PostgresServer::Log() const { return process_ ? process_->Output() : ""; }

std::string SharedPostgresUrl() {
  if (const char* url = std::getenv("WAYBILL_TEST_DATABASE_URL"); url != nullptr && *url != '\0') return url;
  static const absl::StatusOr<std::unique_ptr<PostgresServer>> server = PostgresServer::Start();
  if (!server.ok()) {
    std::fprintf(stderr, "no Postgres for this test: %s\n", server.status().ToString().c_str());
    std::abort();
  }
  return (*server)->Url();
}

TestDatabase::TestDatabase() : TestDatabase(SharedPostgresUrl()) {}

TestDatabase::TestDatabase(std::string_view server_url, std::string_view copied) : server_url_(server_url) {
  static std::atomic<int> count = 0;
  name_ = fmt::format("waybill_test_{}_{}_{:08x}", getpid(), ++count, std::random_device{}());
  url_ = WithDatabase(server_url, name_);
  Sql(server_url_).Exec(fmt::format("CREATE DATABASE {} TEMPLATE {}", name_, copied));
}

TestDatabase::~TestDatabase() {
  // Not through Exec: a test that broke its server on purpose should not fail for that.
  Sql(server_url_).Run(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", name_));
}

Sql::Sql(const std::string& url) : connection_(PQconnectdb(url.c_str()), PQfinish) {
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
}

Sql::~Sql() = default;

bool Sql::connected() const { return PQstatus(connection_.get()) == CONNECTION_OK; }

SqlResult Sql::Run(const std::string& sql, const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(
      parameters.empty() ? PQexec(connection_.get(), sql.c_str())
                         : PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                                        values.data(), nullptr, nullptr, 0),
      PQclear);
  SqlResult answer;
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
    const char* sqlstate = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    const char* constraint = PQresultErrorField(result.get(), PG_DIAG_CONSTRAINT_NAME);
    answer.sqlstate = sqlstate != nullptr ? sqlstate : "08006";
    answer.constraint = constraint != nullptr ? constraint : "";
    answer.message = PQerrorMessage(connection_.get());
    return answer;
  }
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    std::vector<std::string>& cells = answer.rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      cells.emplace_back(PQgetisnull(result.get(), row, column) ? "NULL" : PQgetvalue(result.get(), row, column));
    }
  }
  return answer;
}

void Sql::Exec(const std::string& sql, const std::vector<std::string>& parameters) { Rows(sql, parameters); }

std::vector<std::vector<std::string>> Sql::Rows(const std::string& sql, const std::vector<std::string>& parameters) {
  SqlResult result = Run(sql, parameters);
  if (!result.ok()) ADD_FAILURE() << sql << "\n" << result.sqlstate << " " << result.message;
  return std::move(result.rows);
}

std::string Sql::Value(const std::string& sql, const std::vector<std::string>& parameters) {
  const std::vector<std::vector<std::string>> rows = Rows(sql, parameters);
  return rows.empty() || rows[0].empty() ? "" : rows[0][0];
}

std::string WithDatabase(std::string_view url, std::string_view database) {
  const size_t authority = url.find("://") == std::string_view::npos ? 0 : url.find("://") + 3;
  const size_t options = url.find('?', authority);
  const size_t slash = std::min(url.find('/', authority), options);
  return fmt::format("{}/{}{}", url.substr(0, slash), database,
                     options == std::string_view::npos ? std::string_view() : url.substr(options));
}

}  // namespace waybill::testing

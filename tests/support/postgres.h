// Postgres for tests: a private server, a database of one's own on a shared server, and SQL in one line.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/process.h"
#include "tests/support/temp_directory.h"

struct pg_conn;

namespace waybill::testing {

// The user that servers run as: Postgres refuses to be root. "": the test's own.
std::string PostgresUser();

// Runs a program of Postgres (pg_dump, pg_basebackup, …), or any that is named by its path, to its end, as that user.
// An error has what it printed.
absl::Status RunPostgresProgram(const char* name, std::vector<std::string> args);

// A Postgres 15 of the test's own: loopback, free port, fresh data folder, fsync on. For tests that restart or break
// it; all others share a server (TestDatabase). Binaries: $WAYBILL_POSTGRES_BIN, else Debian's place.
class PostgresServer {
 public:
  enum class StopMode {
    kFast,       // clients are cut off, a checkpoint is written
    kImmediate,  // as in a crash, but every process ends in good order; the next start recovers from the log
  };

  // Starts with `settings` ({"max_connections", "20"}, …) on top of the defaults, and is ready when this returns.
  // `files`
  // ({"server.key", "-----BEGIN…"}, …) are in its data folder, where only the server can read them.
  static absl::StatusOr<std::unique_ptr<PostgresServer>> Start(
      std::vector<std::pair<std::string, std::string>> settings = {},
      const std::vector<std::pair<std::string, std::string>>& files = {});
  // The same over a data folder that `make` fills: pg_basebackup, say. It is given its path. At `port`, where that is
  // not 0.
  static absl::StatusOr<std::unique_ptr<PostgresServer>> StartOver(
      const std::function<absl::Status(const std::filesystem::path& data)>& make,
      std::vector<std::pair<std::string, std::string>> settings = {}, int port = 0);
  ~PostgresServer();

  int port() const { return port_; }
  pid_t pid() const { return process_ ? process_->pid() : -1; }
  std::filesystem::path data() const { return directory_.path() / "data"; }
  std::string Url(std::string_view database = "postgres") const;

  void Stop(StopMode mode);
  void Kill();  // SIGKILL to every process of it at once: power loss without losing the disk
  // The same port and data folder again; ready when this returns.
  absl::Status StartAgain();
  absl::Status Restart(StopMode mode = StopMode::kImmediate);

  // To every process of it that runs at this moment: SIGSTOP makes it hang, SIGCONT ends that.
  void Signal(int signal);

  // The server log since its last start.
  std::string Log() const;

 private:
  PostgresServer();

  absl::Status Launch();

  std::vector<std::pair<std::string, std::string>> settings_;
  TempDirectory directory_;
  int port_ = 0;
  std::unique_ptr<Process> process_;
};

// The server all tests share: $WAYBILL_TEST_DATABASE_URL (./dev test sets it), else one started for this process.
// It accepts CREATE DATABASE.
std::string SharedPostgresUrl();

// An empty database with a name of its own, dropped with everything in it at the end.
class TestDatabase {
 public:
  TestDatabase();  // on the shared server
  // On the server of any URL; a copy of another database of it, with which nobody is connected.
  explicit TestDatabase(std::string_view server_url, std::string_view copied = "template0");
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  const std::string& url() const { return url_; }
  const std::string& name() const { return name_; }

 private:
  std::string server_url_;
  std::string name_;
  std::string url_;
};

// The answer to one statement. NULL is read as "NULL".
struct SqlResult {
  std::string sqlstate;    // empty: success
  std::string message;     // of the error
  std::string constraint;  // the name of the violated one, if that was the error
  std::vector<std::vector<std::string>> rows;

  bool ok() const { return sqlstate.empty(); }
};

// One connection. A statement on a broken connection gives sqlstate 08006.
class Sql {
 public:
  explicit Sql(const std::string& url);
  ~Sql();
  Sql(const Sql&) = delete;
  Sql& operator=(const Sql&) = delete;

  bool connected() const;

  // Without parameters `sql` may be several statements; the rows of the last are returned.
  SqlResult Run(const std::string& sql, const std::vector<std::string>& parameters = {});

  // These fail the running gtest test when the statement does.
  void Exec(const std::string& sql, const std::vector<std::string>& parameters = {});
  std::vector<std::vector<std::string>> Rows(const std::string& sql, const std::vector<std::string>& parameters = {});
  // The first column of the first row; "" without rows.
  std::string Value(const std::string& sql, const std::vector<std::string>& parameters = {});

 private:
  std::unique_ptr<pg_conn, std::function<void(pg_conn*)>> connection_;
};

// `url` with its database replaced: postgresql://user@host:port/<database>?options.
std::string WithDatabase(std::string_view url, std::string_view database);

}  // namespace waybill::testing

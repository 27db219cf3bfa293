// One session with Postgres: binary parameters and results, pipelines, and no wait without a bound.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "runtime/ids.h"
#include "storage/postgres/params.h"

struct pg_conn;
struct pg_result;

namespace waybill::storage {

inline constexpr std::string_view kTakesNoWrites =
    "this server takes no writes: it is a standby, or default_transaction_read_only is on";

// The rows a statement answered, in binary. Row and column count from 0; outside the range, or with a type that does
// not fit, the process aborts: that is a bug in the query's caller.
class Rows {
 public:
  explicit Rows(pg_result* result) : result_(result) {}  // takes ownership
  Rows(Rows&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
  Rows& operator=(Rows&& other) noexcept {
    std::swap(result_, other.result_);
    return *this;
  }
  ~Rows();

  int size() const;  // rows
  int columns() const;
  bool empty() const { return size() == 0; }
  int64_t affected() const;  // by INSERT, UPDATE, DELETE; rows answered by SELECT

  bool IsNull(int row, int column) const;
  // A NULL reads as 0, false, "" or the epoch; ask IsNull where it may be one. Views live as long as the Rows.
  int64_t Int(int row, int column) const;  // int2, int4, int8
  bool Bool(int row, int column) const;
  double Double(int row, int column) const;           // float4, float8
  std::string_view Text(int row, int column) const;   // text, an enum's label
  std::string_view Bytes(int row, int column) const;  // bytea, or any type as it is
  std::string_view Json(int row, int column) const;   // jsonb, as text
  Uuid Id(int row, int column) const;
  absl::Time Time(int row, int column) const;  // timestamptz

 private:
  std::string_view Field(int row, int column) const;

  pg_result* result_;
};

// What the URL says about connect_timeout, target_session_attrs, keepalives and tcp_user_timeout goes before what
// stands here; so do PGCONNECT_TIMEOUT and PGTARGETSESSIONATTRS.
struct ConnectionOptions {
  std::string application_name = "waybill";
  // For each address of each host of the URL, one after the other. In whole seconds, 2 at least.
  absl::Duration connect_timeout = absl::Seconds(3);
  // How long any one call waits for the server, a whole pipeline included; then the connection is given up and the
  // outcome is unknown. The server's statement_timeout is set to nine tenths of it, so that a statement that is merely
  // slow fails by itself, and only a hung server costs the connection. Infinite: no bound.
  absl::Duration statement_timeout = absl::Seconds(10);
  absl::Duration keepalive_idle = absl::Seconds(10);
  absl::Duration tcp_user_timeout = absl::Seconds(10);
  // For sessions that write what is then promised. Their commits wait for the disk and for a synchronous standby, if
  // there is one, whatever the database's defaults are. And they begin with a small commit of their own: once it is
  // durable, so is whatever an earlier session committed without living to hear of it, and what is found written by
  // such a one may be promised. While commits do not end (a synchronous standby is gone), connecting fails, so that no
  // session is left waiting for each try.
  bool commits = false;
  // Settings of the session, e.g. {"enable_seqscan", "off"}.
  std::vector<std::pair<std::string, std::string>> settings;
  // A statement that each session begins with, once it has its settings; empty: none. Where it fails, so does
  // connecting.
  std::string begins_with;
};

// A prepared statement with the parameters of one call, for Pipeline.
struct Statement {
  std::string name;
  absl::Span<const Param> params;
};

// Whether libpq takes it; INVALID_ARGUMENT says why not, without any of it: where it is wrong, what is its password is
// anybody's guess.
absl::Status CheckConnectionString(const std::string& url);

// Used by one thread at a time. Errors are those of ToStatus in sqlstate.h. After STORE_UNAVAILABLE look at Broken().
class Connection {
 public:
  // `url` is a postgresql:// URL or a libpq keyword string; several hosts are tried in turn, as libpq does, and a
  // server that takes no writes is passed over. STORE_UNAVAILABLE where there is no other.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& url, const ConnectionOptions& options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // One statement, one transaction of its own (unless one was begun), one round trip.
  absl::StatusOr<Rows> Execute(const std::string& sql, absl::Span<const Param> params = {});

  // Makes the statement known under `name`, now and after every Reset. Repeating it with the same name costs nothing.
  // Types of parameters: as given, or inferred by the server.
  absl::Status Prepare(const std::string& name, const std::string& sql, const std::vector<Oid>& oids = {});
  absl::StatusOr<Rows> ExecutePrepared(const std::string& name, absl::Span<const Param> params = {});

  // All statements in one transaction, one round trip and one commit: all of them take effect or none does. The error
  // is the first failing statement's. Rows are in the order of the statements.
  absl::StatusOr<std::vector<Rows>> Pipeline(absl::Span<const Statement> statements);

  // Several statements separated by ';', without parameters or results: migrations. One transaction, unless the script
  // begins and commits by itself.
  absl::Status ExecuteScript(const std::string& sql);

  // True once the connection has been lost or given up: every call but Reset then answers STORE_UNAVAILABLE. It is
  // given up when an answer does not come in time, when an error says that another session may fare better
  // (NeedsNewSession in sqlstate.h), and when the server begins to take no writes.
  bool Broken() const { return broken_; }
  // Notices, without a round trip, that the server has closed an idle connection. False: Broken.
  bool CheckAlive();
  // Connects anew and prepares again what was prepared. On error the connection stays broken.
  absl::Status Reset();
  // Reset if Broken.
  absl::Status EnsureConnected() { return broken_ ? Reset() : absl::OkStatus(); }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Prepared {
    std::string sql;
    std::vector<Oid> oids;
  };

  Connection(std::string url, ConnectionOptions options) : url_(std::move(url)), options_(std::move(options)) {}

  absl::StatusOr<Rows> Execute(const std::string& sql, absl::Span<const Param> params, TimePoint deadline);
  // Connects; `target` as target_session_attrs, unless the URL has one. False: this server takes no writes.
  absl::StatusOr<bool> Begin(const char* target);
  absl::StatusOr<bool> ApplySettings();
  // What ConnectionOptions::commits says.
  absl::Status AwaitDurability();
  // Ends the wait of that session's first commit, which is harmless: nothing depends on it. Answers what it waited for.
  absl::Status EndWait(int64_t pid);
  absl::Status PrepareAll();
  // Gives the connection up; answers `why`.
  absl::Status Break(absl::Status why);
  absl::Status SendFailed();
  // Waits for the socket until `deadline`; `events` as for poll(2). Breaks on timeout.
  absl::Status Wait(short events, TimePoint deadline);
  // Sends what is buffered, reading meanwhile: a server that cannot get rid of its answers would stop reading ours.
  absl::Status Flush(TimePoint deadline);
  // The next result; null: none left for this statement.
  absl::StatusOr<pg_result*> NextResult(TimePoint deadline);
  // All results of the one statement in flight; the last one's rows, or the first error.
  absl::StatusOr<Rows> Finish(TimePoint deadline);
  // The results of `count` statements and the sync that ends their pipeline.
  absl::StatusOr<std::vector<Rows>> FinishPipeline(size_t count, TimePoint deadline);
  // Takes an error out of a result, keeping the first one.
  void Note(const pg_result* result, absl::Status& error);
  // After the last result of a call: `error`, or what else there is to say.
  absl::Status Conclude(absl::Status error);
  // A server that begins to take no writes tells with its next answer.
  bool AnnouncesReadOnly() const;
  static void OnNotice(void* connection, const pg_result* notice);
  TimePoint Deadline() const;

  const std::string url_;
  const ConnectionOptions options_;
  pg_conn* conn_ = nullptr;
  bool broken_ = true;
  bool useless_ = false;              // by an error of the call that runs
  bool unreplicated_ = false;         // a commit of the call that runs ended before a synchronous standby had it
  bool announced_read_only_ = false;  // when the session began
  std::map<std::string, Prepared> prepared_;
};

}  // namespace waybill::storage

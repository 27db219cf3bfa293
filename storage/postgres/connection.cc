#include "storage/postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "fmt/format.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

constexpr int kBinary = 1;

uint64_t LoadBigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (char byte : bytes) value = (value << 8) | static_cast<uint8_t>(byte);
  return value;
}

[[noreturn]] void DieOfType(const char* wanted, size_t width, int column) {
  std::fprintf(stderr, "postgres: column %d of %zu bytes read as %s\n", column, width, wanted);
  std::abort();
}

std::string_view Trimmed(const char* text) {
  std::string_view view = text == nullptr ? "" : text;
  while (!view.empty() && (view.back() == '\n' || view.back() == ' ')) view.remove_suffix(1);
  return view;
}

std::string_view ErrorField(const PGresult* result, int field) { return Trimmed(PQresultErrorField(result, field)); }

bool IsError(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY;
}

PostgresError ErrorOf(const PGresult* result) {
  PostgresError error;
  error.sqlstate = ErrorField(result, PG_DIAG_SQLSTATE);
  error.message = ErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  if (error.message.empty()) error.message = Trimmed(PQresultErrorMessage(result));
  error.table = ErrorField(result, PG_DIAG_TABLE_NAME);
  error.constraint = ErrorField(result, PG_DIAG_CONSTRAINT_NAME);
  error.routine = ErrorField(result, PG_DIAG_SOURCE_FUNCTION);
  return error;
}

// Parameters as libpq takes them.
struct ParamArrays {
  std::vector<Oid> oids;
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;

  explicit ParamArrays(absl::Span<const Param> params) {
    for (const Param& param : params) {
      oids.push_back(param.oid());
      // An empty view may have a null pointer, which libpq would take for NULL.
      values.push_back(param.is_null() ? nullptr : param.bytes().empty() ? "" : param.bytes().data());
      lengths.push_back(static_cast<int>(param.bytes().size()));
      formats.push_back(kBinary);
    }
  }
  int count() const { return static_cast<int>(values.size()); }
};

std::chrono::steady_clock::time_point After(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return std::chrono::steady_clock::time_point::max();
  return std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(duration);
}

std::string Milliseconds(absl::Duration duration) { return fmt::format("{}", absl::ToInt64Milliseconds(duration)); }
std::string WholeSeconds(absl::Duration duration) {
  return fmt::format("{}", absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1))));
}

// Keywords and values as libpq takes them; of one keyword the last counts.
class ConnectParams {
 public:
  void Add(const char* keyword, std::string value) {
    keywords_.push_back(keyword);
    values_.push_back(std::move(value));
  }
  // The same, unless the environment has it.
  void AddDefault(const char* keyword, const char* variable, std::string value) {
    if (std::getenv(variable) == nullptr) Add(keyword, std::move(value));
  }
  PGconn* Connect() const {
    std::vector<const char*> keywords = keywords_, values;
    for (const std::string& value : values_) values.push_back(value.c_str());
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    return PQconnectdbParams(keywords.data(), values.data(), /*expand_dbname=*/1);
  }

 private:
  std::vector<const char*> keywords_;
  std::vector<std::string> values_;
};

}  // namespace

// --- Rows

Rows::~Rows() { PQclear(result_); }

int Rows::size() const { return PQntuples(result_); }

int Rows::columns() const { return PQnfields(result_); }

int64_t Rows::affected() const {
  std::string_view text = PQcmdTuples(result_);
  int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

std::string_view Rows::Field(int row, int column) const {
  if (row < 0 || row >= size() || column < 0 || column >= columns()) {
    std::fprintf(stderr, "postgres: row %d, column %d of %d rows, %d columns\n", row, column, size(), columns());
    std::abort();
  }
  return {PQgetvalue(result_, row, column), static_cast<size_t>(PQgetlength(result_, row, column))};
}

bool Rows::IsNull(int row, int column) const { return PQgetisnull(result_, row, column) != 0; }

int64_t Rows::Int(int row, int column) const {
  std::string_view field = Field(row, column);
  switch (field.size()) {
    case 0:
      return 0;
    case 2:
      return static_cast<int16_t>(LoadBigEndian(field));
    case 4:
      return static_cast<int32_t>(LoadBigEndian(field));
    case 8:
      return static_cast<int64_t>(LoadBigEndian(field));
    default:
      DieOfType("an integer", field.size(), column);
  }
}

bool Rows::Bool(int row, int column) const {
  std::string_view field = Field(row, column);
  if (field.size() > 1) DieOfType("a boolean", field.size(), column);
  return !field.empty() && field[0] != 0;
}

double Rows::Double(int row, int column) const {
  std::string_view field = Field(row, column);
  switch (field.size()) {
    case 0:
      return 0;
    case 4:
      return std::bit_cast<float>(static_cast<uint32_t>(LoadBigEndian(field)));
    case 8:
      return std::bit_cast<double>(LoadBigEndian(field));
    default:
      DieOfType("a floating-point number", field.size(), column);
  }
}

std::string_view Rows::Text(int row, int column) const { return Field(row, column); }

std::string_view Rows::Bytes(int row, int column) const { return Field(row, column); }

std::string_view Rows::Json(int row, int column) const {
  std::string_view field = Field(row, column);
  if (field.empty()) return field;
  if (field[0] != 1) DieOfType("jsonb", field.size(), column);  // the format's version
  return field.substr(1);
}

Uuid Rows::Id(int row, int column) const {
  std::string_view field = Field(row, column);
  Uuid id;
  if (field.empty()) return id;
  if (field.size() != id.bytes.size()) DieOfType("a UUID", field.size(), column);
  std::memcpy(id.bytes.data(), field.data(), field.size());
  return id;
}

absl::Time Rows::Time(int row, int column) const {
  std::string_view field = Field(row, column);
  if (field.empty()) return absl::UnixEpoch();
  if (field.size() != 8) DieOfType("a time", field.size(), column);
  return FromPostgresMicros(static_cast<int64_t>(LoadBigEndian(field)));
}

// --- Connecting

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& url, const ConnectionOptions& options) {
  std::unique_ptr<Connection> connection(new Connection(url, options));
  absl::Status status = connection->Reset();
  if (!status.ok()) return status;
  return connection;
}

Connection::~Connection() { PQfinish(conn_); }

absl::Status Connection::Reset() {
  absl::StatusOr<bool> takes_writes = Begin("any");
  // libpq goes by what is announced when a session begins, and a pooler announces what was true of an earlier one. So
  // it is asked to look on among the hosts only where the first that answers takes no writes indeed.
  if (takes_writes.ok() && !*takes_writes) takes_writes = Begin("read-write");
  absl::Status status = takes_writes.status();
  if (status.ok() && !*takes_writes) status = ConnectionError(kTakesNoWrites);
  if (status.ok() && options_.commits) status = AwaitDurability();
  if (status.ok() && !options_.begins_with.empty()) status = Execute(options_.begins_with).status();
  if (status.ok()) status = PrepareAll();
  if (!status.ok()) broken_ = true;
  return status;
}

absl::Status CheckConnectionString(const std::string& url) {
  // libpq takes a text that is neither a URL nor has a = for a database's name.
  const bool name = !url.starts_with("postgresql://") && !url.starts_with("postgres://") && url.find('=') == url.npos;
  if (name) return absl::OkStatus();
  char* why = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &why);
  if (options != nullptr) {
    PQconninfoFree(options);
    return absl::OkStatus();
  }
  const std::string said(why == nullptr ? "out of memory" : Trimmed(why));
  PQfreemem(why);
  return absl::InvalidArgumentError("is no connection string: " + said.substr(0, said.find(" \"")));
}

absl::StatusOr<bool> Connection::Begin(const char* target) {
  broken_ = true;
  PQfinish(std::exchange(conn_, nullptr));
  if (absl::Status taken = CheckConnectionString(url_); !taken.ok())
    return ConnectionError(std::string(taken.message()));
  ConnectParams params;
  params.AddDefault("connect_timeout", "PGCONNECT_TIMEOUT", WholeSeconds(options_.connect_timeout));
  params.AddDefault("target_session_attrs", "PGTARGETSESSIONATTRS", target);
  params.Add("keepalives", "1");
  params.Add("keepalives_idle", WholeSeconds(options_.keepalive_idle));
  params.Add("keepalives_interval", "5");
  params.Add("keepalives_count", "3");
  params.Add("tcp_user_timeout", Milliseconds(options_.tcp_user_timeout));
  params.Add("dbname", url_);  // goes before what stands above
  params.Add("application_name", options_.application_name);
  params.Add("client_encoding", "UTF8");
  // Not PQconnectStart: only this one keeps connect_timeout, for each address by itself.
  conn_ = params.Connect();
  if (conn_ == nullptr) return ConnectionError("out of memory");
  if (PQstatus(conn_) != CONNECTION_OK) return ConnectionError(Trimmed(PQerrorMessage(conn_)));
  PQsetNoticeReceiver(conn_, &Connection::OnNotice, this);
  PQsetnonblocking(conn_, 1);
  announced_read_only_ = AnnouncesReadOnly();
  broken_ = useless_ = unreplicated_ = false;
  return ApplySettings();
}

// Not by the `options` of the connection string: poolers between us and the server do not pass those on.
absl::StatusOr<bool> Connection::ApplySettings() {
  static constexpr char kSet[] =
      "SELECT NOT current_setting('transaction_read_only')::bool, "
      "(SELECT count(set_config(name, value, false)) FROM unnest($1::text[], $2::text[]) AS s (name, value)), "
      "CASE WHEN $3 AND current_setting('synchronous_commit') IN ('off', 'local') "
      "THEN set_config('synchronous_commit', 'on', false) END";
  ArrayParam names(kOidText), values(kOidText);
  // Whatever the database's or the role's default: statements here count on seeing what was committed before them.
  names.AddText("default_transaction_isolation");
  values.AddText("read committed");
  if (options_.statement_timeout != absl::InfiniteDuration()) {
    names.AddText("statement_timeout");
    values.AddText(Milliseconds(options_.statement_timeout * 9 / 10));
  }
  for (const auto& [name, value] : options_.settings) {
    names.AddText(name);
    values.AddText(value);
  }
  absl::StatusOr<Rows> set = Execute(kSet, {names, values, Param::Bool(options_.commits)});
  if (!set.ok()) return set.status();
  return set->Bool(0, 0);
}

// A commit waits for a synchronous standby only when it has written something.
constexpr char kFirstCommit[] = "SELECT pg_logical_emit_message(true, 'waybill', 'a session begins')";
constexpr absl::Duration kFirstCommitMax = absl::Seconds(10);

absl::Status Connection::AwaitDurability() {
  absl::StatusOr<Rows> pid = Execute("SELECT pg_backend_pid()");
  if (!pid.ok()) return pid.status();
  const TimePoint deadline = After(std::min(options_.statement_timeout, kFirstCommitMax));
  absl::Status committed = Execute(kFirstCommit, {}, deadline).status();
  const bool no_answer = broken_ && Sqlstate(committed).empty();
  return no_answer ? EndWait(pid->Int(0, 0)) : committed;
}

absl::Status Connection::EndWait(int64_t pid) {
  static constexpr char kEnd[] =
      "SELECT wait_event IS NOT DISTINCT FROM 'SyncRep', pg_cancel_backend(pid) FROM pg_stat_activity "
      "WHERE pid = $1 AND query = $2 AND state = 'active'";
  ConnectionOptions options = options_;
  options.commits = false;
  options.begins_with.clear();
  auto other = Open(url_, options);
  if (!other.ok()) return other.status();
  auto ended = (*other)->Execute(kEnd, {Param::Int4(static_cast<int32_t>(pid)), Param::Text(kFirstCommit)});
  if (!ended.ok()) return ended.status();
  if (ended->empty() || !ended->Bool(0, 0)) return ConnectionError("a commit did not end in time");
  return ConnectionError("commits wait for a synchronous standby, and none answers");
}

absl::Status Connection::PrepareAll() {
  if (prepared_.empty()) return absl::OkStatus();
  TimePoint deadline = Deadline();
  if (PQenterPipelineMode(conn_) == 0) return SendFailed();
  for (const auto& [name, statement] : prepared_) {
    if (PQsendPrepare(conn_, name.c_str(), statement.sql.c_str(), static_cast<int>(statement.oids.size()),
                      statement.oids.data()) == 0) {
      return SendFailed();
    }
  }
  return FinishPipeline(prepared_.size(), deadline).status();
}

bool Connection::CheckAlive() {
  // A server that speaks to an idle session ends it. (It may also announce a changed setting; a new connection then is
  // a small price for not having to tell the two apart.)
  pollfd fd{PQsocket(conn_), POLLIN, 0};
  if (!broken_ && poll(&fd, 1, 0) > 0) broken_ = true;
  return !broken_;
}

// --- Talking

absl::StatusOr<Rows> Connection::Execute(const std::string& sql, absl::Span<const Param> params) {
  return Execute(sql, params, Deadline());
}

absl::StatusOr<Rows> Connection::Execute(const std::string& sql, absl::Span<const Param> params, TimePoint deadline) {
  if (broken_) return ConnectionError("not connected");
  ParamArrays arrays(params);
  if (PQsendQueryParams(conn_, sql.c_str(), arrays.count(), arrays.oids.data(), arrays.values.data(),
                        arrays.lengths.data(), arrays.formats.data(), kBinary) == 0) {
    return SendFailed();
  }
  return Finish(deadline);
}

absl::Status Connection::Prepare(const std::string& name, const std::string& sql, const std::vector<Oid>& oids) {
  if (broken_) return ConnectionError("not connected");
  if (prepared_.count(name) > 0) return absl::OkStatus();
  TimePoint deadline = Deadline();
  if (PQsendPrepare(conn_, name.c_str(), sql.c_str(), static_cast<int>(oids.size()), oids.data()) == 0) {
    return SendFailed();
  }
  absl::Status status = Finish(deadline).status();
  if (status.ok()) prepared_.emplace(name, Prepared{sql, oids});
  return status;
}

absl::StatusOr<Rows> Connection::ExecutePrepared(const std::string& name, absl::Span<const Param> params) {
  if (broken_) return ConnectionError("not connected");
  TimePoint deadline = Deadline();
  ParamArrays arrays(params);
  if (PQsendQueryPrepared(conn_, name.c_str(), arrays.count(), arrays.values.data(), arrays.lengths.data(),
                          arrays.formats.data(), kBinary) == 0) {
    return SendFailed();
  }
  return Finish(deadline);
}

absl::StatusOr<std::vector<Rows>> Connection::Pipeline(absl::Span<const Statement> statements) {
  if (broken_) return ConnectionError("not connected");
  TimePoint deadline = Deadline();
  if (PQenterPipelineMode(conn_) == 0) return SendFailed();
  for (const Statement& statement : statements) {
    ParamArrays arrays(statement.params);
    if (PQsendQueryPrepared(conn_, statement.name.c_str(), arrays.count(), arrays.values.data(), arrays.lengths.data(),
                            arrays.formats.data(), kBinary) == 0) {
      return SendFailed();
    }
  }
  return FinishPipeline(statements.size(), deadline);
}

absl::Status Connection::ExecuteScript(const std::string& sql) {
  if (broken_) return ConnectionError("not connected");
  TimePoint deadline = Deadline();
  if (PQsendQuery(conn_, sql.c_str()) == 0) return SendFailed();
  return Finish(deadline).status();
}

Connection::TimePoint Connection::Deadline() const { return After(options_.statement_timeout); }

absl::Status Connection::Break(absl::Status why) {
  broken_ = true;
  return why;
}

absl::Status Connection::SendFailed() { return Break(ConnectionError(Trimmed(PQerrorMessage(conn_)))); }

absl::Status Connection::Wait(short events, TimePoint deadline) {
  while (true) {
    int timeout_ms = -1;
    if (deadline != TimePoint::max()) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return Break(ConnectionError("no answer in time; the outcome is unknown"));
      timeout_ms = static_cast<int>(std::min<int64_t>(left.count(), std::numeric_limits<int>::max()));
    }
    pollfd fd{PQsocket(conn_), events, 0};
    int ready = poll(&fd, 1, timeout_ms);
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return Break(ConnectionError(std::strerror(errno)));
  }
}

absl::Status Connection::Flush(TimePoint deadline) {
  while (true) {
    int left = PQflush(conn_);
    if (left == 0) return absl::OkStatus();
    if (left < 0) return SendFailed();
    absl::Status status = Wait(POLLIN | POLLOUT, deadline);
    if (!status.ok()) return status;
    if (PQconsumeInput(conn_) == 0) return SendFailed();
  }
}

absl::StatusOr<pg_result*> Connection::NextResult(TimePoint deadline) {
  while (PQisBusy(conn_) != 0) {
    absl::Status status = Wait(POLLIN, deadline);
    if (!status.ok()) return status;
    if (PQconsumeInput(conn_) == 0) return SendFailed();
  }
  return PQgetResult(conn_);
}

void Connection::Note(const pg_result* result, absl::Status& error) {
  if (!IsError(result)) return;
  const PostgresError found = ErrorOf(result);
  useless_ = useless_ || NeedsNewSession(found);
  error.Update(ToStatus(found));
}

absl::Status Connection::Conclude(absl::Status error) {
  if (std::exchange(useless_, false) || (!announced_read_only_ && AnnouncesReadOnly())) broken_ = true;
  if (std::exchange(unreplicated_, false) && error.ok()) {
    return Break(ConnectionError("committed on this server, but perhaps not on its synchronous standby"));
  }
  return error;
}

bool Connection::AnnouncesReadOnly() const {
  for (const char* parameter : {"in_hot_standby", "default_transaction_read_only"}) {
    const char* value = PQparameterStatus(conn_, parameter);
    if (value != nullptr && std::string_view(value) == "on") return true;
  }
  return false;
}

// A warning, and the answer to the commit is as good as any other: only this says that somebody ended its wait.
void Connection::OnNotice(void* connection, const pg_result* notice) {
  if (ErrorField(notice, PG_DIAG_SOURCE_FUNCTION) != "SyncRepWaitForLSN") return;
  static_cast<Connection*>(connection)->unreplicated_ = true;
}

absl::StatusOr<Rows> Connection::Finish(TimePoint deadline) {
  absl::Status sent = Flush(deadline);
  if (!sent.ok()) return sent;
  Rows last(nullptr);
  absl::Status error;
  while (true) {
    absl::StatusOr<pg_result*> result = NextResult(deadline);
    if (!result.ok()) return error.ok() ? result.status() : error;
    if (*result == nullptr) break;
    Rows rows(*result);
    Note(*result, error);
    last = std::move(rows);
    if (PQstatus(conn_) == CONNECTION_BAD) return error.ok() ? SendFailed() : Break(error);
  }
  error = Conclude(error);
  if (!error.ok()) return error;
  return last;
}

absl::StatusOr<std::vector<Rows>> Connection::FinishPipeline(size_t count, TimePoint deadline) {
  if (PQpipelineSync(conn_) == 0) return SendFailed();
  absl::Status sent = Flush(deadline);
  if (!sent.ok()) return sent;
  std::vector<Rows> all;
  all.reserve(count);
  absl::Status error;
  while (true) {
    absl::StatusOr<pg_result*> result = NextResult(deadline);
    if (!result.ok()) return error.ok() ? result.status() : error;
    if (*result == nullptr) continue;  // between two statements
    Rows rows(*result);
    ExecStatusType status = PQresultStatus(*result);
    if (status == PGRES_PIPELINE_SYNC) break;
    // What follows a failed statement is skipped by the server; its reason is the one that counts. A failing commit
    // (a deferred constraint) shows as an error after the last statement.
    if (status != PGRES_PIPELINE_ABORTED) Note(*result, error);
    all.push_back(std::move(rows));
    if (PQstatus(conn_) == CONNECTION_BAD) return error.ok() ? SendFailed() : Break(error);
  }
  if (PQexitPipelineMode(conn_) == 0) return SendFailed();
  error = Conclude(error);
  if (!error.ok()) return error;
  return all;
}

}  // namespace waybill::storage

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

absl::Status ResultStatus(const PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      return absl::OkStatus();
    default: {
      PostgresError error;
      error.sqlstate = ErrorField(result, PG_DIAG_SQLSTATE);
      error.message = ErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
      if (error.message.empty()) error.message = Trimmed(PQresultErrorMessage(result));
      error.table = ErrorField(result, PG_DIAG_TABLE_NAME);
      error.constraint = ErrorField(result, PG_DIAG_CONSTRAINT_NAME);
      return ToStatus(error);
    }
  }
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

void IgnoreNotice(void*, const PGresult*) {}

std::chrono::steady_clock::time_point After(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return std::chrono::steady_clock::time_point::max();
  return std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(duration);
}

std::string Milliseconds(absl::Duration duration) { return fmt::format("{}", absl::ToInt64Milliseconds(duration)); }

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
  broken_ = true;
  PQfinish(conn_);
  conn_ = nullptr;
  absl::Status status = Connect();
  if (status.ok()) status = ApplySettings();
  if (status.ok()) status = PrepareAll();
  if (!status.ok()) broken_ = true;
  return status;
}

absl::Status Connection::Connect() {
  const std::string idle = fmt::format("{}", absl::ToInt64Seconds(options_.keepalive_idle));
  const std::string user_timeout = Milliseconds(options_.tcp_user_timeout);
  const char* const keywords[] = {"dbname",           "application_name", "client_encoding",
                                  "keepalives",       "keepalives_idle",  "keepalives_interval",
                                  "keepalives_count", "tcp_user_timeout", nullptr};
  const char* const values[] = {
      url_.c_str(), options_.application_name.c_str(), "UTF8", "1", idle.c_str(), "5", "3", user_timeout.c_str(),
      nullptr};
  conn_ = PQconnectStartParams(keywords, values, /*expand_dbname=*/1);
  if (conn_ == nullptr) return ConnectionError("out of memory");
  TimePoint deadline = After(options_.connect_timeout);
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (PQstatus(conn_) != CONNECTION_BAD && state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
    absl::Status status = Wait(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
    if (!status.ok()) return status;
    state = PQconnectPoll(conn_);
  }
  if (PQstatus(conn_) != CONNECTION_OK) return ConnectionError(Trimmed(PQerrorMessage(conn_)));
  PQsetNoticeReceiver(conn_, IgnoreNotice, nullptr);
  PQsetnonblocking(conn_, 1);
  broken_ = false;
  return absl::OkStatus();
}

// Not by the `options` of the connection string: poolers between us and the server do not pass those on.
absl::Status Connection::ApplySettings() {
  static constexpr char kSet[] =
      "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)";
  ArrayParam names(kOidText), values(kOidText);
  if (options_.statement_timeout != absl::InfiniteDuration()) {
    names.AddText("statement_timeout");
    values.AddText(Milliseconds(options_.statement_timeout * 9 / 10));
  }
  for (const auto& [name, value] : options_.settings) {
    names.AddText(name);
    values.AddText(value);
  }
  if (names.size() == 0) return absl::OkStatus();
  return Execute(kSet, {names, values}).status();
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
  if (broken_) return ConnectionError("not connected");
  TimePoint deadline = Deadline();
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
    error.Update(ResultStatus(*result));
    last = std::move(rows);
    if (PQstatus(conn_) == CONNECTION_BAD) return error.ok() ? SendFailed() : Break(error);
  }
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
    if (status != PGRES_PIPELINE_ABORTED) error.Update(ResultStatus(*result));
    all.push_back(std::move(rows));
    if (PQstatus(conn_) == CONNECTION_BAD) return error.ok() ? SendFailed() : Break(error);
  }
  if (PQexitPipelineMode(conn_) == 0) return SendFailed();
  if (!error.ok()) return error;
  return all;
}

}  // namespace waybill::storage

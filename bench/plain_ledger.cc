#include "bench/plain_ledger.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "runtime/worker_pool.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"
#include "waybill/ledger/v1/ledger.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace v1 = ::waybill::ledger::v1;
using storage::Connection;
using storage::Param;
using storage::Statement;

constexpr size_t kQueueMax = 100'000;

constexpr char kTables[] = R"sql(
CREATE TABLE accounts (
    id text PRIMARY KEY,
    currency text NOT NULL,
    limited boolean NOT NULL,
    debits bigint NOT NULL DEFAULT 0,
    credits bigint NOT NULL DEFAULT 0
);
CREATE TABLE transfers (
    id text PRIMARY KEY,
    debit_account text NOT NULL REFERENCES accounts,
    credit_account text NOT NULL REFERENCES accounts,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    code int NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transfers_debit ON transfers (debit_account, created_at);
CREATE INDEX transfers_credit ON transfers (credit_account, created_at);
)sql";

constexpr char kOpenSql[] = "INSERT INTO accounts (id, currency, limited) VALUES ($1, $2, $3)";

constexpr char kBegin[] = "begin";
constexpr char kLock[] = "lock";
constexpr char kLockSql[] =
    "SELECT id, limited, credits - debits FROM accounts WHERE id IN ($1, $2) ORDER BY id FOR UPDATE";
constexpr char kInsert[] = "insert";
constexpr char kInsertSql[] =
    "INSERT INTO transfers (id, debit_account, credit_account, amount, currency, code) VALUES ($1, $2, $3, $4, $5, $6)";
constexpr char kDebit[] = "debit";
constexpr char kDebitSql[] = "UPDATE accounts SET debits = debits + $2 WHERE id = $1";
constexpr char kCredit[] = "credit";
constexpr char kCreditSql[] = "UPDATE accounts SET credits = credits + $2 WHERE id = $1";
constexpr char kCommit[] = "commit";

}  // namespace

class PlainLedger::Service final : public v1::LedgerService::CallbackService {
 public:
  explicit Service(std::vector<std::unique_ptr<Connection>> connections)
      : idle_(std::move(connections)), workers_(idle_.size(), kQueueMax) {}
  ~Service() override {
    if (server_) server_->Shutdown();
    workers_.Stop();
  }

  absl::Status Listen(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (!server_ || port_ == 0) return absl::UnavailableError("cannot listen on " + address);
    return absl::OkStatus();
  }
  int port() const { return port_; }

  grpc::ServerUnaryReactor* CreateAccounts(grpc::CallbackServerContext* context,
                                           const v1::CreateAccountsRequest* request,
                                           v1::CreateAccountsResponse* response) override {
    return OnWorker(context, [request, response](Connection& connection) -> absl::Status {
      for (const v1::NewAccount& account : request->accounts()) {
        auto opened = connection.Execute(kOpenSql, {Param::Text(account.account_id()), Param::Text(account.currency()),
                                                    Param::Bool(account.flags().debits_must_not_exceed_credits())});
        if (!opened.ok()) return opened.status();
        response->add_outcomes()->set_result(v1::AccountOutcome::CREATED);
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* CreateTransfers(grpc::CallbackServerContext* context,
                                            const v1::CreateTransfersRequest* request,
                                            v1::CreateTransfersResponse* response) override {
    return OnWorker(context, [request, response](Connection& connection) -> absl::Status {
      for (const v1::NewTransfer& transfer : request->transfers()) {
        auto result = Post(connection, transfer);
        if (!result.ok()) return result.status();
        response->add_outcomes()->set_result(*result);
      }
      return absl::OkStatus();
    });
  }

 private:
  static absl::StatusOr<v1::TransferOutcome::Result> Post(Connection& connection, const v1::NewTransfer& transfer) {
    for (const auto& [name, sql] :
         {std::pair(kBegin, "BEGIN"), std::pair(kLock, kLockSql), std::pair(kInsert, kInsertSql),
          std::pair(kDebit, kDebitSql), std::pair(kCredit, kCreditSql), std::pair(kCommit, "COMMIT")}) {
      if (absl::Status prepared = connection.Prepare(name, sql); !prepared.ok()) return prepared;
    }
    const Param debit = Param::Text(transfer.debit_account_id()), credit = Param::Text(transfer.credit_account_id()),
                amount = Param::Int8(transfer.amount_minor());
    const std::vector<Param> lock = {debit, credit};
    auto locked = connection.Pipeline({{Statement{kBegin, {}}, Statement{kLock, lock}}});
    if (!locked.ok()) return locked.status();
    const storage::Rows& accounts = (*locked)[1];
    v1::TransferOutcome::Result refused =
        accounts.size() == 2 ? v1::TransferOutcome::RESULT_UNSPECIFIED : v1::TransferOutcome::DEBIT_ACCOUNT_NOT_FOUND;
    for (int row = 0; row < accounts.size(); ++row) {
      if (accounts.Text(row, 0) != transfer.debit_account_id()) continue;
      if (accounts.Bool(row, 1) && accounts.Int(row, 2) < transfer.amount_minor()) {
        refused = v1::TransferOutcome::EXCEEDS_CREDITS;
      }
    }
    if (refused != v1::TransferOutcome::RESULT_UNSPECIFIED) {
      auto ended = connection.Execute("ROLLBACK");
      if (!ended.ok()) return ended.status();
      return refused;
    }
    const std::vector<Param> insert = {
        Param::Text(transfer.transfer_id()), debit, credit, amount, Param::Text(transfer.currency()),
        Param::Int4(transfer.code())};
    const std::vector<Param> take = {debit, amount}, give = {credit, amount};
    auto written = connection.Pipeline(
        {{Statement{kInsert, insert}, Statement{kDebit, take}, Statement{kCredit, give}, Statement{kCommit, {}}}});
    if (!written.ok()) return written.status();
    return v1::TransferOutcome::CREATED;
  }

  template <typename Work>
  grpc::ServerUnaryReactor* OnWorker(grpc::CallbackServerContext* context, Work work) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    Executor::Task task = [this, reactor, work = std::move(work)] {
      std::unique_ptr<Connection> connection;
      {
        std::lock_guard lock(mutex_);
        connection = std::move(idle_.back());  // there are as many as threads
        idle_.pop_back();
      }
      const absl::Status status = work(*connection);
      {
        std::lock_guard lock(mutex_);
        idle_.push_back(std::move(connection));
      }
      reactor->Finish(status.ok() ? grpc::Status::OK
                                  : grpc::Status(grpc::StatusCode::UNAVAILABLE, std::string(status.message())));
    };
    if (!workers_.Submit(task)) reactor->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many calls"));
    return reactor;
  }

  std::mutex mutex_;  // of idle_
  std::vector<std::unique_ptr<Connection>> idle_;
  WorkerPool workers_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

absl::StatusOr<std::unique_ptr<PlainLedger>> PlainLedger::Start(const PlainLedgerOptions& options) {
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < options.connections; ++i) {
    auto connection = Connection::Open(options.database_url, {});
    if (!connection.ok()) return connection.status();
    connections.push_back(*std::move(connection));
  }
  if (absl::Status made = connections.front()->ExecuteScript(kTables); !made.ok()) return made;
  auto service = std::make_unique<Service>(std::move(connections));
  if (absl::Status listening = service->Listen(options.listen); !listening.ok()) return listening;
  return std::unique_ptr<PlainLedger>(new PlainLedger(std::move(service)));
}

PlainLedger::PlainLedger(std::unique_ptr<Service> service) : service_(std::move(service)) {}
PlainLedger::~PlainLedger() = default;

int PlainLedger::port() const { return service_->port(); }

}  // namespace waybill::bench

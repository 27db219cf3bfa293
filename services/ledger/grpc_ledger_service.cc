#include "services/ledger/grpc_ledger_service.h"

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/reasons.h"
#include "edge/rpc/on_worker.h"
#include "edge/rpc/proto_time.h"
#include "runtime/failpoint.h"
#include "services/ledger/requests.h"
#include "services/ledger/results.h"
#include "waybill/ledger/v1/ledger.pb.h"

namespace waybill::ledger {
namespace {

using domain::Scope;
using storage::LedgerStore;
using CreateTransfersCall = rpc::UnaryCall<v1::CreateTransfersRequest, v1::CreateTransfersResponse>;

constexpr char kReplayed[] = "idempotency-replayed";

// --- Accounts.

absl::Status CreateAccounts(const LedgerService& service,
                            rpc::UnaryCall<v1::CreateAccountsRequest, v1::CreateAccountsResponse>& call) {
  absl::StatusOr<std::string> client = ClientToWrite(*call.caller());
  if (!client.ok()) return client.status();
  absl::StatusOr<std::vector<NewAccount>> accounts = TakeAccounts(call.request());
  if (!accounts.ok()) return accounts.status();
  absl::StatusOr<std::vector<AccountResult>> results = service.store.CreateAccounts(*client, *accounts);
  if (!results.ok()) return results.status();
  service.metrics.Answered(*results);
  for (const AccountResult result : *results) {
    v1::AccountOutcome& outcome = *call.response().add_outcomes();
    outcome.set_result(ToWire(result));
    outcome.set_field(std::string(FieldOf(result)));
  }
  return absl::OkStatus();
}

absl::Status FillAccount(LedgerStore& store, const std::string& client, const std::string& id, v1::Account& out) {
  absl::StatusOr<Account> account = store.GetAccount(client, id);
  if (account.ok()) Fill(*account, out);
  return account.status();
}

absl::Status CreateAccount(const LedgerService& service, rpc::UnaryCall<v1::NewAccount, v1::Account>& call) {
  absl::StatusOr<std::string> client = ClientToWrite(*call.caller());
  if (!client.ok()) return client.status();
  const NewAccount account = TakeAccount(call.request());
  absl::StatusOr<std::vector<AccountResult>> results = service.store.CreateAccounts(*client, {account});
  if (!results.ok()) return results.status();
  service.metrics.Answered(*results);
  const AccountResult result = results->at(0);
  if (absl::Status refused = StatusOf(result, account.id); !refused.ok()) return refused;
  if (result == AccountResult::kExists) call.AddInitialMetadata(kReplayed, "true");
  return FillAccount(service.store, *client, account.id, call.response());
}

absl::Status GetAccount(const LedgerService& service, rpc::UnaryCall<v1::GetAccountRequest, v1::Account>& call) {
  const std::string& id = call.request().account_id();
  if (absl::Status wrong = CheckId(id, "account_id"); !wrong.ok()) return wrong;
  absl::StatusOr<std::string> client = ClientToRead(*call.caller(), call.request().client());
  if (!client.ok()) return client.status();
  return FillAccount(service.store, *client, id, call.response());
}

absl::Status ListAccounts(const LedgerService& service,
                          rpc::UnaryCall<v1::ListAccountsRequest, v1::ListAccountsResponse>& call) {
  absl::StatusOr<storage::AccountQuery> query = TakeQuery(call.request(), *call.caller());
  if (!query.ok()) return query.status();
  absl::StatusOr<std::vector<Account>> found = service.store.ListAccounts(*query);
  if (!found.ok()) return found.status();
  if (found->size() == static_cast<size_t>(query->limit)) {
    found->pop_back();
    call.response().set_next_page_token(MakeToken(found->back(), call.request()));
  }
  for (const Account& account : *found) Fill(account, *call.response().add_accounts());
  return absl::OkStatus();
}

template <typename Request>
absl::Status SetClosed(const LedgerService& service, bool closed, rpc::UnaryCall<Request, v1::Account>& call) {
  const std::string& id = call.request().account_id();
  if (absl::Status wrong = CheckId(id, "account_id"); !wrong.ok()) return wrong;
  absl::StatusOr<std::string> client = ClientToWrite(*call.caller());
  if (!client.ok()) return client.status();
  if (absl::Status done = service.store.SetClosed(*client, id, closed); !done.ok()) return done;
  return FillAccount(service.store, *client, id, call.response());
}

// --- Transfers.

void CreateTransfers(const LedgerService& service, CreateTransfersCall::Ptr call) {
  absl::StatusOr<std::string> client = ClientToWrite(*call->caller());
  if (!client.ok()) {
    call->Finish(client.status());
    return;
  }
  absl::StatusOr<std::vector<NewTransfer>> transfers = TakeTransfers(call->request());
  if (!transfers.ok()) {
    call->Finish(transfers.status());
    return;
  }
  auto shared = std::make_shared<CreateTransfersCall::Ptr>(std::move(call));
  service.store.Post(*client, *std::move(transfers),
                     [shared, &metrics = service.metrics](absl::StatusOr<std::vector<Outcome>> outcomes) {
                       CreateTransfersCall& answered = **shared;
                       if (outcomes.ok()) {
                         metrics.Answered(*outcomes);
                         answered.response().mutable_outcomes()->Reserve(static_cast<int>(outcomes->size()));
                         for (const Outcome& outcome : *outcomes) Fill(outcome, *answered.response().add_outcomes());
                       }
                       WAYBILL_FAILPOINT("create_transfers.before_answer");
                       answered.Finish(outcomes.status());
                     });
}

absl::Status GetTransfer(const LedgerService& service, rpc::UnaryCall<v1::GetTransferRequest, v1::Transfer>& call) {
  const std::string& id = call.request().transfer_id();
  if (absl::Status wrong = CheckId(id, "transfer_id"); !wrong.ok()) return wrong;
  absl::StatusOr<std::string> client = ClientToRead(*call.caller(), call.request().client());
  if (!client.ok()) return client.status();
  absl::StatusOr<storage::TransferRecord> transfer = service.store.GetTransfer(*client, id);
  if (transfer.ok()) {
    Fill(*transfer, call.response());
    return absl::OkStatus();
  }
  if (absl::IsNotFound(transfer.status())) {
    absl::StatusOr<std::optional<TransferResult>> refusal = service.store.GetRefusal(*client, id);
    if (!refusal.ok()) return refusal.status();
    if (*refusal) return StatusOf(**refusal, id);
  }
  return transfer.status();
}

absl::Status ListTransfers(const LedgerService& service,
                           rpc::UnaryCall<v1::ListTransfersRequest, v1::ListTransfersResponse>& call) {
  absl::StatusOr<storage::StatementQuery> query = TakeQuery(call.request(), *call.caller());
  if (!query.ok()) return query.status();
  absl::StatusOr<std::vector<storage::TransferRecord>> found = service.store.Statement(*query);
  if (!found.ok()) return found.status();
  if (found->size() == static_cast<size_t>(query->limit)) {
    found->pop_back();
    call.response().set_next_page_token(MakeToken(found->back(), call.request()));
  }
  for (const storage::TransferRecord& transfer : *found) Fill(transfer, *call.response().add_transfers());
  return absl::OkStatus();
}

// --- Balances.

void FillBalance(const Balance& balance, const std::string& currency, v1::GetBalanceResponse& out) {
  Fill(balance, *out.mutable_balance());
  out.set_available_minor(Available(balance));
  out.set_currency(currency);
}

absl::Status GetBalance(const LedgerService& service,
                        rpc::UnaryCall<v1::GetBalanceRequest, v1::GetBalanceResponse>& call) {
  absl::StatusOr<BalanceRequest> asked = TakeBalance(call.request(), *call.caller(), service.clock.Now());
  if (!asked.ok()) return asked.status();
  if (asked->max_staleness && service.balances != nullptr) {
    absl::StatusOr<storage::BalanceCache::Found> found =
        service.balances->Get(asked->client, asked->account, *asked->max_staleness);
    if (found.ok() && found->balance) {
      service.metrics.BalanceRead(LedgerMetrics::Source::kCache);
      FillBalance(found->balance->balance, found->balance->currency, call.response());
      call.response().set_cached(true);
      return absl::OkStatus();
    }
    absl::StatusOr<Account> account = service.store.GetAccount(asked->client, asked->account);
    if (!account.ok()) return account.status();
    FillBalance(account->balance, account->currency, call.response());
    service.metrics.BalanceRead(found.ok() ? LedgerMetrics::Source::kMissed : LedgerMetrics::Source::kCacheAway);
    // One that fails is read from the store again.
    if (found.ok()) {
      service.balances->Put(asked->client, asked->account, {account->balance, account->currency}, found->now)
          .IgnoreError();
    }
    return absl::OkStatus();
  }
  absl::StatusOr<Account> account = service.store.GetAccount(asked->client, asked->account);
  if (!account.ok()) return account.status();
  v1::GetBalanceResponse& response = call.response();
  Balance balance = account->balance;
  if (asked->at) {
    absl::StatusOr<storage::BalanceMoment> moment = service.store.BalanceAt(asked->client, asked->account, *asked->at);
    if (!moment.ok()) return moment.status();
    balance = moment->balance;
    if (balance.version > 0) rpc::SetTime(moment->at, *response.mutable_since());
    response.set_settled(moment->settled);
  }
  FillBalance(balance, account->currency, response);
  return absl::OkStatus();
}

absl::Status ListBalances(const LedgerService& service,
                          rpc::UnaryCall<v1::ListBalancesRequest, v1::ListBalancesResponse>& call) {
  absl::StatusOr<storage::HistoryQuery> query = TakeQuery(call.request(), *call.caller());
  if (!query.ok()) return query.status();
  absl::StatusOr<std::vector<storage::BalanceMoment>> found = service.store.History(*query);
  if (!found.ok()) return found.status();
  if (found->size() == static_cast<size_t>(query->limit)) {
    found->pop_back();
    call.response().set_next_page_token(MakeToken(found->back(), call.request()));
  }
  for (const storage::BalanceMoment& moment : *found) {
    v1::ListBalancesResponse::Moment& out = *call.response().add_moments();
    rpc::SetTime(moment.at, *out.mutable_since());
    Fill(moment.balance, *out.mutable_balance());
  }
  return absl::OkStatus();
}

// --- Single transfers in plain words. One thread of the workers' has the call until the store has it, and another one
// afterwards: none waits for the commit.

absl::Status StatusOfVerb(const Verb& verb, TransferResult result) {
  const std::string_view field = FieldOf(result);
  if (field == "debit_account_id") return StatusOf(result, verb.transfer.id, verb.debit_field);
  if (field == "credit_account_id") return StatusOf(result, verb.transfer.id, verb.credit_field);
  return StatusOf(result, verb.transfer.id);
}

// The transfer, made just now or before, and the client's accounts of the verb, as they are now.
absl::Status FillPosting(LedgerStore& store, const std::string& client, const Verb& verb, v1::Posting& out) {
  absl::StatusOr<storage::TransferRecord> transfer = store.GetTransfer(client, verb.transfer.id);
  if (!transfer.ok()) return transfer.status();
  Fill(*transfer, *out.mutable_transfer());
  for (const auto& [field, id] : {std::pair(verb.debit_field, &verb.transfer.debit_account),
                                  std::pair(verb.credit_field, &verb.transfer.credit_account)}) {
    if (field == "counterpart_id") continue;
    if (absl::Status filled = FillAccount(store, client, *id, *out.add_accounts()); !filled.ok()) return filled;
  }
  return absl::OkStatus();
}

template <typename Request>
void Move(const LedgerService& service, typename rpc::UnaryCall<Request, v1::Posting>::Ptr owned) {
  using Call = rpc::UnaryCall<Request, v1::Posting>;
  absl::StatusOr<std::string> client = ClientToWrite(*owned->caller());
  if (!client.ok()) {
    owned->Finish(client.status());
    return;
  }
  absl::StatusOr<Verb> taken = TakeVerb(owned->request(), owned->Metadata("idempotency-key"));
  if (!taken.ok()) {
    owned->Finish(taken.status());
    return;
  }
  struct Moving {
    typename Call::Ptr call;
    Verb verb;
    std::string client;
  };
  auto moving = std::make_shared<Moving>(Moving{std::move(owned), *std::move(taken), *std::move(client)});
  Executor::Task begin = [service, moving] {
    const Verb& verb = moving->verb;
    if (!verb.counterpart.empty()) {
      absl::Status opened = service.counterparts.Open(moving->client, verb.counterpart, verb.transfer.currency);
      if (!opened.ok()) {
        moving->call->Finish(opened);
        return;
      }
    }
    service.store.Post(
        moving->client, {verb.transfer}, [service, moving](absl::StatusOr<std::vector<Outcome>> outcomes) {
          absl::Status status = outcomes.status();
          if (status.ok()) {
            service.metrics.Answered(*outcomes);
            status = StatusOfVerb(moving->verb, outcomes->at(0).result);
          }
          if (!status.ok()) {
            moving->call->Finish(status);
            return;
          }
          if (outcomes->at(0).result == TransferResult::kExists) {
            moving->call->AddInitialMetadata(kReplayed, "true");
          }
          Executor::Task answer = [service, moving] {
            moving->call->Finish(FillPosting(service.store, moving->client, moving->verb, moving->call->response()));
          };
          if (!service.workers.Submit(answer)) moving->call->Finish(domain::TooBusy());
        });
  };
  if (!service.workers.Submit(begin)) moving->call->Finish(domain::TooBusy());
}

class Methods {
 public:
  Methods(rpc::Server& server, const LedgerService& service) : server_(server), service_(service) {}

  template <typename Request, typename Response>
  void Add(const std::string& name, Scope scope,
           absl::Status (*serve)(const LedgerService&, rpc::UnaryCall<Request, Response>&)) {
    rpc::UnaryOnWorker<Request, Response>(server_, kName + name, scope, service_.workers,
                                          [service = service_, serve](auto& call) { return serve(service, call); });
  }
  template <typename Request>
  void AddSetClosed(const std::string& name, bool closed) {
    rpc::UnaryOnWorker<Request, v1::Account>(
        server_, kName + name, Scope::kLedgerWrite, service_.workers,
        [service = service_, closed](auto& call) { return SetClosed<Request>(service, closed, call); });
  }
  template <typename Request>
  void AddVerb(const std::string& name) {
    server_.Unary<Request, v1::Posting>(kName + name, Scope::kLedgerWrite,
                                        [service = service_](typename rpc::UnaryCall<Request, v1::Posting>::Ptr call) {
                                          Move<Request>(service, std::move(call));
                                        });
  }
  void AddCreateTransfers() {
    rpc::MethodOptions busy;
    busy.slots = 256;
    server_.Unary<v1::CreateTransfersRequest, v1::CreateTransfersResponse>(
        kName + "CreateTransfers", Scope::kLedgerWrite,
        [service = service_](CreateTransfersCall::Ptr call) { CreateTransfers(service, std::move(call)); }, busy);
  }

 private:
  const std::string kName = "waybill.ledger.v1.LedgerService/";
  rpc::Server& server_;
  const LedgerService& service_;
};

}  // namespace

absl::Status Counterparts::Open(const std::string& client, const std::string& id, const std::string& currency) {
  constexpr size_t kKnownMax = 10'000;
  std::pair<std::string, std::string> key(client, id);
  {
    std::lock_guard lock(mutex_);
    if (known_.contains(key)) return absl::OkStatus();
  }
  absl::StatusOr<std::vector<AccountResult>> results = store_.CreateAccounts(client, {Counterpart(id, currency)});
  if (!results.ok()) return results.status();
  const AccountResult result = results->at(0);
  // One that the client has opened as another: it is there.
  if (!Done(result) && Row(result).of != ResultClass::kConflict) return StatusOf(result, id);
  std::lock_guard lock(mutex_);
  if (known_.size() >= kKnownMax) known_.clear();
  known_.insert(std::move(key));
  return absl::OkStatus();
}

void AddLedgerService(rpc::Server& server, const LedgerService& service) {
  Methods methods(server, service);
  methods.Add("CreateAccounts", Scope::kLedgerWrite, CreateAccounts);
  methods.Add("CreateAccount", Scope::kLedgerWrite, CreateAccount);
  methods.Add("GetAccount", Scope::kLedgerRead, GetAccount);
  methods.Add("ListAccounts", Scope::kLedgerRead, ListAccounts);
  methods.AddSetClosed<v1::CloseAccountRequest>("CloseAccount", true);
  methods.AddSetClosed<v1::ReopenAccountRequest>("ReopenAccount", false);
  methods.AddCreateTransfers();
  methods.Add("GetTransfer", Scope::kLedgerRead, GetTransfer);
  methods.Add("ListTransfers", Scope::kLedgerRead, ListTransfers);
  methods.Add("GetBalance", Scope::kLedgerRead, GetBalance);
  methods.Add("ListBalances", Scope::kLedgerRead, ListBalances);
  methods.AddVerb<v1::CreditRequest>("Credit");
  methods.AddVerb<v1::DebitRequest>("Debit");
  methods.AddVerb<v1::TransferRequest>("Transfer");
}

}  // namespace waybill::ledger

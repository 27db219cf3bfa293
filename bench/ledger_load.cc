#include "bench/ledger_load.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "bench/grpc_names.h"
#include "fmt/format.h"
#include "waybill/ledger/v1/ledger.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace v1 = ::waybill::ledger::v1;

constexpr absl::Duration kControlInterval = absl::Milliseconds(50);
constexpr int64_t kSetUpBatch = 1'000;
constexpr char kBank[] = "bank";  // where the funds come from

std::shared_ptr<grpc::Channel> Connect(const std::string& target, absl::Duration timeout) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto channel = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  // A server that cannot be reached shows in the outcomes of the calls.
  channel->WaitForConnected(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  return channel;
}

void Describe(v1::NewAccount& account, std::string id, bool limited) {
  account.set_account_id(std::move(id));
  account.set_currency(kLedgerCurrency);
  account.set_kind(limited ? "wallet" : "bank");
  account.set_code(1);
  account.mutable_flags()->set_debits_must_not_exceed_credits(limited);
}

absl::Status Failed(const std::string& what, const std::string& why) {
  return absl::InternalError(fmt::format("{}: {}", what, why));
}

struct Window {
  absl::Duration start;
  absl::Duration end;
  bool Holds(absl::Duration instant) const { return instant >= start && instant < end; }
};

struct Call {
  v1::CreateTransfersRequest request;
  v1::CreateTransfersResponse response;
  grpc::Status status;
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::CreateTransfersResponse>> reader;
  absl::Duration began;
};

}  // namespace

std::string LedgerAccount(int64_t number) { return fmt::format("a-{}", number); }

absl::Status OpenAccounts(const std::string& target, int64_t accounts) {
  auto stub = v1::LedgerService::NewStub(Connect(target, LedgerLoadOptions().connect_timeout));
  const auto open = [&](const v1::CreateAccountsRequest& request) -> absl::Status {
    grpc::ClientContext context;
    v1::CreateAccountsResponse response;
    if (const grpc::Status status = stub->CreateAccounts(&context, request, &response); !status.ok()) {
      return Failed("CreateAccounts", status.error_message());
    }
    for (const v1::AccountOutcome& outcome : response.outcomes()) {
      if (outcome.result() != v1::AccountOutcome::CREATED) {
        return Failed("an account", v1::AccountOutcome::Result_Name(outcome.result()));
      }
    }
    return absl::OkStatus();
  };
  v1::CreateAccountsRequest bank;
  Describe(*bank.add_accounts(), kBank, /*limited=*/false);
  if (absl::Status opened = open(bank); !opened.ok()) return opened;
  for (int64_t first = 0; first < accounts; first += kSetUpBatch) {
    v1::CreateAccountsRequest request;
    v1::CreateTransfersRequest funds;
    for (int64_t number = first; number < std::min(first + kSetUpBatch, accounts); ++number) {
      Describe(*request.add_accounts(), LedgerAccount(number), /*limited=*/true);
      v1::NewTransfer& transfer = *funds.add_transfers();
      transfer.set_transfer_id(fmt::format("funds-{}", number));
      transfer.set_debit_account_id(kBank);
      transfer.set_credit_account_id(LedgerAccount(number));
      transfer.set_currency(kLedgerCurrency);
      transfer.set_code(1);
      transfer.set_amount_minor(kLedgerFunds);
    }
    if (absl::Status opened = open(request); !opened.ok()) return opened;
    grpc::ClientContext context;
    v1::CreateTransfersResponse response;
    if (const grpc::Status status = stub->CreateTransfers(&context, funds, &response); !status.ok()) {
      return Failed("CreateTransfers", status.error_message());
    }
    for (const v1::TransferOutcome& outcome : response.outcomes()) {
      if (outcome.result() != v1::TransferOutcome::CREATED) {
        return Failed("a transfer", v1::TransferOutcome::Result_Name(outcome.result()));
      }
    }
  }
  return absl::OkStatus();
}

namespace {

constexpr int64_t kStaleSecondsMax = 600;  // longer than any run

v1::GetBalanceRequest BalanceOf(int64_t account) {
  v1::GetBalanceRequest request;
  request.set_account_id(LedgerAccount(account));
  request.mutable_max_staleness()->set_seconds(kStaleSecondsMax);
  return request;
}

}  // namespace

QueryResult AskBalances(const BalanceLoadOptions& options, Timer& timer) {
  using BalanceCall = OpenCall<v1::GetBalanceRequest, v1::GetBalanceResponse>;
  auto stub = v1::LedgerService::NewStub(Connect(options.target, LedgerLoadOptions().connect_timeout));
  const auto begin = [&](BalanceCall& call, size_t number, grpc::CompletionQueue& queue) {
    call.request = BalanceOf(static_cast<int64_t>(number) % options.accounts);
    return stub->AsyncGetBalance(&call.context, call.request, &queue);
  };
  return AskAtRate<v1::GetBalanceRequest, v1::GetBalanceResponse>(
      options.loop, timer, begin, [&](const BalanceCall& call) -> std::string {
        return call.response.cached() || !options.from_cache ? "OK" : "not from the cache";
      });
}

absl::Status ReadBalances(const std::string& target, int64_t accounts) {
  auto stub = v1::LedgerService::NewStub(Connect(target, LedgerLoadOptions().connect_timeout));
  for (int64_t account = 0; account < accounts; ++account) {
    grpc::ClientContext context;
    v1::GetBalanceResponse response;
    const grpc::Status status = stub->GetBalance(&context, BalanceOf(account), &response);
    if (!status.ok()) return Failed("GetBalance", status.error_message());
  }
  return absl::OkStatus();
}

int64_t LedgerLoadResult::created() const {
  const auto at = outcomes.find("CREATED");
  return at == outcomes.end() ? 0 : at->second;
}

void LedgerLoadResult::Merge(const LedgerLoadResult& round) {
  for (const auto& [outcome, count] : round.outcomes) outcomes[outcome] += count;
  calls += round.calls;
  latency.Merge(round.latency);
  transfers += round.transfers;
  window += round.window;
}

// One connection, one completion queue, one thread that completes its calls and begins the next.
class LedgerLoad::Worker {
 public:
  Worker(LedgerLoad& load, const Window& window)
      : load_(load),
        options_(load.options_),
        window_(window),
        stub_(v1::LedgerService::NewStub(Connect(options_.target, options_.connect_timeout))),
        calls_(static_cast<size_t>(options_.callers)) {}

  void Start() {
    for (Call& call : calls_) Send(call);
    thread_ = std::thread([this] { CompleteCalls(); });
  }

  // When every call has ended; each has a deadline.
  LedgerLoadResult Join() {
    thread_.join();
    return std::move(result_);
  }

 private:
  void Send(Call& call) {
    call.request.Clear();
    for (int i = 0; i < options_.batch; ++i) {
      v1::NewTransfer& transfer = *call.request.add_transfers();
      const bool hot = std::uniform_real_distribution<>()(random_) < options_.hot;
      const int64_t credit = hot ? 0 : AnyBut(-1);
      transfer.set_transfer_id(fmt::format("{}-{}", options_.run, next_++));
      transfer.set_debit_account_id(LedgerAccount(AnyBut(credit)));
      transfer.set_credit_account_id(LedgerAccount(credit));
      transfer.set_currency(kLedgerCurrency);
      transfer.set_code(1);
      transfer.set_amount_minor(1 + next_ % 1'000);
    }
    call.context.emplace();
    call.context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(options_.call_deadline));
    call.began = load_.timer_.Now();
    call.reader = stub_->AsyncCreateTransfers(&*call.context, call.request, &queue_);
    call.reader->Finish(&call.response, &call.status, &call);
  }

  int64_t AnyBut(int64_t one) {
    const bool excluded = one >= 0;
    const int64_t number = std::uniform_int_distribution<int64_t>(0, options_.accounts - (excluded ? 2 : 1))(random_);
    return excluded && number >= one ? number + 1 : number;
  }

  void CompleteCalls() {
    size_t in_flight = calls_.size();
    void* tag = nullptr;
    bool ok = false;
    while (in_flight > 0 && queue_.Next(&tag, &ok)) {
      Call& call = *static_cast<Call*>(tag);
      Count(call);
      if (load_.stopped_.load(std::memory_order_relaxed)) {
        --in_flight;
      } else {
        Send(call);
      }
    }
    queue_.Shutdown();
    while (queue_.Next(&tag, &ok)) {
    }
  }

  void Count(const Call& call) {
    ++result_.calls;
    if (!call.status.ok()) {
      result_.outcomes[std::string(CodeName(call.status.error_code()))] += options_.batch;
      return;
    }
    int64_t created = 0;
    for (const v1::TransferOutcome& outcome : call.response.outcomes()) {
      if (outcome.result() == v1::TransferOutcome::CREATED) {
        ++created;
      } else {
        ++result_.outcomes[v1::TransferOutcome::Result_Name(outcome.result())];
      }
    }
    result_.outcomes["CREATED"] += created;
    load_.created_.fetch_add(created, std::memory_order_relaxed);
    const absl::Duration now = load_.timer_.Now();
    if (!window_.Holds(now)) return;
    result_.latency.Record(now - call.began);
    result_.transfers += created;
  }

  LedgerLoad& load_;
  const LedgerLoadOptions& options_;
  const Window& window_;
  std::unique_ptr<v1::LedgerService::Stub> stub_;
  grpc::CompletionQueue queue_;
  std::minstd_rand random_;  // the same transfers in each run
  int64_t next_ = 0;
  std::vector<Call> calls_;
  LedgerLoadResult result_;
  std::thread thread_;
};

LedgerLoadResult LedgerLoad::Run(const Hooks& hooks) {
  Window window;
  Worker worker(*this, window);
  const absl::Duration start = timer_.Now();  // once the connection stands
  window.start = start + options_.warm_up;
  window.end = window.start + options_.duration;
  worker.Start();
  absl::Duration next_progress = start + absl::Seconds(1);
  bool in_window = false;
  for (absl::Duration now = start; now < window.end; now = timer_.Now()) {
    if (!in_window && now >= window.start) {
      in_window = true;
      hooks.window_starts();
    }
    if (now >= next_progress) {
      hooks.progress(now - start, created_);
      next_progress += absl::Seconds(1);
    }
    timer_.SleepUntil(std::min({now + kControlInterval, window.end, in_window ? window.end : window.start}));
  }
  hooks.window_ends();
  stopped_ = true;
  LedgerLoadResult result = worker.Join();
  result.window = window.end - window.start;
  return result;
}

}  // namespace waybill::bench

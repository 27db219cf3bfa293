#include "services/ledger/grpc_ledger_admin.h"

#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "edge/rpc/on_worker.h"
#include "edge/rpc/proto_time.h"
#include "services/ledger/cache_proof.h"
#include "services/ledger/requests.h"
#include "waybill/ledger/v1/ledger.pb.h"

namespace waybill::ledger {
namespace {

using domain::Scope;
using VerifyCall = rpc::ServerStreamCall<v1::VerifyRequest, v1::VerifyResponse>;

constexpr absl::Duration kProgressEvery = absl::Seconds(1);

// Progress that comes while a message is on its way is left out; the report waits for it.
class VerifyStream final : public Verifier::Listener, public std::enable_shared_from_this<VerifyStream> {
 public:
  explicit VerifyStream(VerifyCall::Ptr call) : call_(std::move(call)) {}

  bool Progress(const storage::VerifyProgress& progress) override {
    v1::VerifyResponse message;
    Fill(progress, *message.mutable_progress());
    Send(std::move(message), /*last=*/false);
    return !call_->cancelled();
  }
  void Done(const absl::StatusOr<storage::VerifyReport>& report) override {
    if (!report.ok()) {
      call_->Finish(report.status());
      return;
    }
    v1::VerifyResponse message;
    Fill(*report, *message.mutable_report());
    Send(std::move(message), /*last=*/true);
  }

 private:
  void Send(v1::VerifyResponse message, bool last) {
    {
      std::lock_guard lock(mutex_);
      if (writing_) {
        if (last) report_ = std::move(message);
        return;
      }
      writing_ = true;
    }
    Write(message, last);
  }
  void Write(const v1::VerifyResponse& message, bool last) {
    call_->Write(message, [self = shared_from_this(), last](bool) { self->Written(last); });
    if (last) call_->Finish(absl::OkStatus());  // behind it
  }
  void Written(bool last) {
    std::optional<v1::VerifyResponse> report;
    {
      std::lock_guard lock(mutex_);
      writing_ = last;
      report.swap(report_);
      if (report) writing_ = true;
    }
    if (report) Write(*report, true);
  }

  VerifyCall::Ptr call_;
  std::mutex mutex_;
  bool writing_ = false;                      // these two under mutex_
  std::optional<v1::VerifyResponse> report_;  // waits
};

absl::Status TrialBalance(storage::LedgerStore& store, const Clock& clock,
                          rpc::UnaryCall<v1::TrialBalanceRequest, v1::TrialBalanceResponse>& call) {
  const std::string& client = call.request().client();
  absl::StatusOr<std::vector<storage::TrialBalanceLine>> lines =
      store.TrialBalance(client.empty() ? storage::Owner() : storage::Owner(client));
  if (!lines.ok()) return lines.status();
  for (const storage::TrialBalanceLine& line : *lines) Fill(line, *call.response().add_lines());
  rpc::SetTime(clock.Now(), *call.response().mutable_time());
  return absl::OkStatus();
}

absl::Status ListBatches(storage::LedgerStore& store,
                         rpc::UnaryCall<v1::ListBatchesRequest, v1::ListBatchesResponse>& call) {
  absl::StatusOr<BatchQuery> query = TakeQuery(call.request());
  if (!query.ok()) return query.status();
  absl::StatusOr<std::vector<storage::SealedBatch>> found = store.Batches(query->after, query->limit);
  if (!found.ok()) return found.status();
  if (found->size() == static_cast<size_t>(query->limit)) {
    found->pop_back();
    call.response().set_next_page_token(MakeToken(found->back(), call.request()));
  }
  for (const storage::SealedBatch& batch : *found) Fill(batch, *call.response().add_batches());
  return absl::OkStatus();
}

}  // namespace

absl::Status Verifier::Begin(std::shared_ptr<Listener> listener) {
  if (busy_.exchange(true)) {
    return domain::QueueFull("another verification is under way", absl::Seconds(5));
  }
  Executor::Task task = [this, listener = std::move(listener)] {
    SteadyTime told = clock_.Steady();
    const auto tell = [&](const storage::VerifyProgress& progress) {
      if (stopping_) return false;
      if (clock_.Steady() - told < kProgressEvery) return true;
      told = clock_.Steady();
      return listener->Progress(progress);
    };
    absl::StatusOr<storage::VerifyReport> report = store_.Verify(tell);
    if (report.ok() && cache_ != nullptr) {
      if (absl::Status compared = VerifyCache(store_, *cache_, *report, tell); !compared.ok()) report = compared;
    }
    if (stopping_ && absl::IsCancelled(report.status())) {
      report = domain::ReasonError("SHUTTING_DOWN", "the service is going away");
    }
    if (report.ok()) metrics_.Verified(report->sound(), clock_.Now());
    busy_ = false;
    listener->Done(report);
  };
  if (executor_.Submit(task)) return absl::OkStatus();
  busy_ = false;
  return domain::TooBusy();
}

void AddLedgerAdmin(rpc::Server& server, storage::LedgerStore& store, Verifier& verifier, Executor& workers,
                    const Clock& clock) {
  const std::string service = "waybill.ledger.v1.LedgerAdmin/";
  rpc::UnaryOnWorker<v1::TrialBalanceRequest, v1::TrialBalanceResponse>(
      server, service + "TrialBalance", Scope::kOps, workers,
      [&store, &clock](auto& call) { return TrialBalance(store, clock, call); });
  rpc::UnaryOnWorker<v1::ListBatchesRequest, v1::ListBatchesResponse>(
      server, service + "ListBatches", Scope::kOps, workers, [&store](auto& call) { return ListBatches(store, call); });
  server.ServerStream<v1::VerifyRequest, v1::VerifyResponse>(
      service + "Verify", Scope::kOps, [&verifier](VerifyCall::Ptr call) {
        call->Open();
        auto stream = std::make_shared<VerifyStream>(std::move(call));
        if (absl::Status begun = verifier.Begin(stream); !begun.ok()) stream->Done(begun);
      });
}

}  // namespace waybill::ledger

#include "bench/bare_balances.h"

#include <utility>

#include "domain/access.h"
#include "edge/rpc/on_worker.h"
#include "edge/rpc/server.h"
#include "runtime/metrics.h"
#include "runtime/worker_pool.h"
#include "storage/redis/pool.h"
#include "waybill/ledger/v1/ledger.pb.h"

namespace waybill::bench {

namespace v1 = ::waybill::ledger::v1;

class BareBalances::Service {
 public:
  Service(storage::RedisUrl url, const BareBalancesOptions& options)
      : pool_(std::move(url), {}),
        workers_(static_cast<size_t>(options.workers), 10'000),
        server_(ServerOptionsOf(options), metrics_) {
    rpc::UnaryOnWorker<v1::GetBalanceRequest, v1::GetBalanceResponse>(
        server_, "waybill.ledger.v1.LedgerService/GetBalance", domain::Scope::kLedgerRead, workers_,
        [this](auto& call) -> absl::Status {
          storage::RedisPipeline get;
          get.Add({"GET", "waybill:ledger:balance:anonymous/" + call.request().account_id()});
          storage::RedisPool::Lease connection = pool_.Borrow();
          absl::StatusOr<storage::RedisReplies> replies = connection->Run(get);
          if (!replies.ok()) return replies.status();
          if ((*replies)[0].IsNull()) return absl::NotFoundError("the cache does not hold it");
          call.response().set_currency(std::string((*replies)[0].Text()));
          return absl::OkStatus();
        });
  }
  ~Service() {
    server_.Drain(SteadyTime::InfinitePast());
    workers_.Stop();
  }

  absl::Status Start() { return server_.Start(); }
  int port() const { return server_.port(); }

 private:
  static rpc::ServerOptions ServerOptionsOf(const BareBalancesOptions& options) {
    rpc::ServerOptions made;
    made.address = options.listen;
    return made;
  }

  Metrics metrics_;
  storage::RedisPool pool_;
  WorkerPool workers_;
  rpc::Server server_;
};

absl::StatusOr<std::unique_ptr<BareBalances>> BareBalances::Start(const BareBalancesOptions& options) {
  absl::StatusOr<storage::RedisUrl> url = storage::RedisUrl::Parse(options.redis_url);
  if (!url.ok()) return url.status();
  auto service = std::make_unique<Service>(*std::move(url), options);
  if (absl::Status listening = service->Start(); !listening.ok()) return listening;
  return std::unique_ptr<BareBalances>(new BareBalances(std::move(service)));
}

BareBalances::BareBalances(std::unique_ptr<Service> service) : service_(std::move(service)) {}
BareBalances::~BareBalances() = default;

int BareBalances::port() const { return service_->port(); }

}  // namespace waybill::bench

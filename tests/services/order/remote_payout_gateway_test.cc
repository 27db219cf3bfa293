// The remote payout gateway over real gRPC, against the sandbox in this process.
#include "services/order/remote_payout_gateway.h"

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/server.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"
#include "services/sandbox/book_log.h"
#include "services/sandbox/books.h"
#include "services/sandbox/sandbox.h"
#include "services/sandbox/services.h"
#include "tests/services/order/payout_contract.h"
#include "tests/support/temp_directory.h"
#include "waybill/payout/v1/payout.pb.h"

namespace waybill::order {
namespace {

class PayoutSandboxWorld {
 public:
  PayoutSandboxWorld() {
    sandbox::RegisterServices(server_, *sandbox_, [] {});
    EXPECT_TRUE(server_.Start().ok());
    client_ = std::make_unique<rpc::Client>(
        client_thread_,
        std::vector<std::shared_ptr<grpc::Channel>>{rpc::MakeChannel("127.0.0.1:" + std::to_string(server_.port()))});
    gateway_ = std::make_unique<RemotePayoutGateway>(*client_);
  }
  ~PayoutSandboxWorld() {
    client_.reset();
    sandbox_->ReleaseHeld();
    server_.Drain(SteadyTime::InfinitePast());
  }

  PayoutGateway& gateway() { return *gateway_; }
  void RefuseNext() {
    Misbehave([](sandbox::Behaviour& how) { how.decline_rate = 1; });
  }
  void LoseNextAnswer() {
    Misbehave([](sandbox::Behaviour& how) { how.lost_after_rate = 1; });
  }
  void SlowNext() {
    Misbehave([](sandbox::Behaviour& how) {
      how.slow_rate = 1;
      how.late_ms = 1;
    });
  }
  void PendNext() {
    Misbehave([](sandbox::Behaviour& how) {
      how.pending_rate = 1;
      how.pending_for_ms = 3'600'000;
    });
  }
  void Behave() { ASSERT_TRUE(sandbox_->SetBehaviours({}).ok()); }
  void Land() {
    Behave();
    time_.Advance(absl::Milliseconds(1));
  }
  void Decide(const std::string& key, bool pay) {
    std::promise<void> done;
    sandbox_->Decide(std::make_unique<Asking>(done),
                     [&](sandbox::Books& books, absl::Time now, std::optional<sandbox::Record>& effect) {
                       return books.DecidePayout(key, pay, now, effect);
                     });
    done.get_future().wait();
  }
  int64_t PaidMinor() {
    std::promise<void> done;
    int64_t sum = 0;
    sandbox_->Read(std::make_unique<Asking>(done), [&](const sandbox::Books& books) {
      for (const auto& [key, payout] : books.payouts()) sum += payout.paid_minor;
    });
    done.get_future().wait();
    return sum;
  }
  absl::StatusOr<payout::v1::Payout> Get(const std::string& key) {
    std::promise<absl::StatusOr<payout::v1::Payout>> answer;
    payout::v1::GetPayoutRequest request;
    request.set_idempotency_key(key);
    rpc::CallOptions options;
    options.deadline = SystemClock().Steady() + absl::Seconds(10);
    client_->Call<payout::v1::Payout>("waybill.payout.v1.PayoutGateway/GetPayout", request, options,
                                      [&](const absl::Status& status, payout::v1::Payout& response) {
                                        if (status.ok()) {
                                          answer.set_value(response);
                                        } else {
                                          answer.set_value(status);
                                        }
                                      });
    return answer.get_future().get();
  }

 private:
  class Asking final : public sandbox::Caller {
   public:
    explicit Asking(std::promise<void>& done) : done_(done) {}
    void Answer(const absl::Status&) override { done_.set_value(); }
    void OnGone(absl::AnyInvocable<void()>) override {}

   private:
    std::promise<void>& done_;
  };

  void Misbehave(void (*how)(sandbox::Behaviour&)) {
    sandbox::Behaviour behaviour;
    how(behaviour);
    ASSERT_TRUE(sandbox_->SetBehaviour(sandbox::Target::kPayouts, behaviour).ok());
  }

  waybill::testing::ManualTime time_;  // slow calls land when told to
  SeededRandom random_{1};
  Metrics metrics_;
  waybill::testing::TempDirectory folder_;
  std::unique_ptr<sandbox::BookLog> log_ =
      std::move(sandbox::BookLog::Open((folder_.path() / "books").string(), [](const sandbox::Record&) {})).value();
  std::unique_ptr<sandbox::Sandbox> sandbox_ =
      std::make_unique<sandbox::Sandbox>(sandbox::Books(1), *log_, time_, time_, random_, metrics_, ThreadLoops());
  rpc::Server server_{rpc::ServerOptions{}, metrics_};
  rpc::ClientThread client_thread_;
  std::unique_ptr<rpc::Client> client_;
  std::unique_ptr<RemotePayoutGateway> gateway_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Remote, PayoutGatewayContract, PayoutSandboxWorld);

TEST(RemotePayoutGateway, AnybodyMaySeeWhatTheBooksSay) {
  PayoutSandboxWorld world;
  EXPECT_EQ(world.Get("a").status().code(), absl::StatusCode::kNotFound);
  world.PendNext();
  ASSERT_TRUE(PayNow(world.gateway(), PayoutCall("a"), PayoutOf(100)).ok());
  absl::StatusOr<payout::v1::Payout> pending = world.Get("a");
  ASSERT_TRUE(pending.ok()) << pending.status();
  EXPECT_EQ(pending->state(), payout::v1::Payout::PENDING);
  EXPECT_FALSE(pending->token().empty());
  world.Decide("a", true);
  absl::StatusOr<payout::v1::Payout> paid = world.Get("a");
  ASSERT_TRUE(paid.ok()) << paid.status();
  EXPECT_EQ(paid->state(), payout::v1::Payout::PAID);
  EXPECT_EQ(paid->amount_minor(), 100);
  EXPECT_EQ(paid->destination(), "DE02120300000000202051");
  EXPECT_FALSE(paid->reference().empty());
}

// What no gateway of before says, and one of later may.
TEST(RemotePayoutGateway, APayoutWithoutAnOutcomeIsUnknown) {
  using PayCall = rpc::UnaryCall<payout::v1::PayRequest, payout::v1::PayResponse>;
  Metrics metrics;
  rpc::Server server{rpc::ServerOptions{}, metrics};
  server.Unary<payout::v1::PayRequest, payout::v1::PayResponse>(
      "waybill.payout.v1.PayoutGateway/Pay", access::kAnybody,
      [](PayCall::Ptr call) { call->Finish(absl::OkStatus()); });
  ASSERT_TRUE(server.Start().ok());
  rpc::ClientThread thread;
  rpc::Client client(thread, std::vector<std::shared_ptr<grpc::Channel>>{
                                 rpc::MakeChannel("127.0.0.1:" + std::to_string(server.port()))});
  RemotePayoutGateway gateway(client);
  EXPECT_EQ(PayNow(gateway, PayoutCall("a"), PayoutOf(100)).status().code(), absl::StatusCode::kUnknown);
  client.Stop();
  server.Drain(SteadyTime::InfinitePast());
}

}  // namespace
}  // namespace waybill::order

#include "edge/rpc/client.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "edge/access/gate.h"
#include "edge/rpc/call.h"
#include "edge/rpc/server.h"
#include "runtime/metrics.h"
#include "waybill/payment/v1/payment.pb.h"

namespace waybill::rpc {
namespace {

constexpr char kChargeMethod[] = "waybill.payment.v1.PaymentGateway/Charge";

// Answers with the key that it was called with, or not at all.
class Answering {
 public:
  explicit Answering(bool answers) {
    server_.Unary<waybill::payment::v1::ChargeRequest, waybill::payment::v1::ChargeResponse>(
        kChargeMethod, access::kAnybody,
        [this,
         answers](UnaryCall<waybill::payment::v1::ChargeRequest, waybill::payment::v1::ChargeResponse>::Ptr call) {
          call->response().mutable_approved()->set_reference(call->request().idempotency_key());
          if (answers) {
            call->Finish(absl::OkStatus());
          } else {
            kept_ = std::move(call);
            came_.set_value();
          }
        });
    EXPECT_TRUE(server_.Start().ok());
  }
  ~Answering() {
    if (kept_) kept_->Finish(absl::OkStatus());
    kept_.reset();
    server_.Drain(SteadyTime::InfinitePast());
  }
  std::vector<std::shared_ptr<grpc::Channel>> channels() const {
    return {MakeChannel("127.0.0.1:" + std::to_string(server_.port()))};
  }
  void AwaitCall() { came_.get_future().wait(); }

 private:
  std::promise<void> came_;
  UnaryCall<waybill::payment::v1::ChargeRequest, waybill::payment::v1::ChargeResponse>::Ptr kept_;
  Metrics metrics_;
  Server server_{ServerOptions{}, metrics_};
};

waybill::payment::v1::ChargeRequest RequestOf(const std::string& key) {
  waybill::payment::v1::ChargeRequest request;
  request.set_idempotency_key(key);
  return request;
}

TEST(ClientThread, CompletesTheCallsOfSeveralClients) {
  Answering here(true), there(true);
  ClientThread thread;
  Client one(thread, here.channels()), other(thread, there.channels());
  std::set<std::thread::id> threads;
  for (Client* client : {&one, &other}) {
    std::promise<std::pair<std::string, std::thread::id>> answered;
    client->Call<waybill::payment::v1::ChargeResponse>(
        kChargeMethod, RequestOf("a"), {},
        [&](const absl::Status& status, waybill::payment::v1::ChargeResponse& response) {
          EXPECT_TRUE(status.ok()) << status;
          answered.set_value({response.approved().reference(), std::this_thread::get_id()});
        });
    const auto [reference, on] = answered.get_future().get();
    EXPECT_EQ(reference, "a");
    threads.insert(on);
  }
  EXPECT_EQ(threads.size(), 1u);
}

TEST(ClientThread, ServesTheOthersWhenOneIsStopped) {
  Answering silent(false), answering(true);
  ClientThread thread;
  Client stopped(thread, silent.channels()), other(thread, answering.channels());
  // What `done` holds is gone when Stop returns, since whoever stops it takes its things down next.
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = held;
  absl::Status ended;
  stopped.Call<waybill::payment::v1::ChargeResponse>(
      kChargeMethod, RequestOf("a"), {},
      [&ended, held = std::move(held)](const absl::Status& status, waybill::payment::v1::ChargeResponse&) {
        ended = status;
      });
  silent.AwaitCall();
  stopped.Stop();
  EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
  EXPECT_TRUE(watched.expired());
  std::promise<bool> answered;
  other.Call<waybill::payment::v1::ChargeResponse>(
      kChargeMethod, RequestOf("b"), {},
      [&](const absl::Status& status, waybill::payment::v1::ChargeResponse&) { answered.set_value(status.ok()); });
  EXPECT_TRUE(answered.get_future().get());
}

}  // namespace
}  // namespace waybill::rpc

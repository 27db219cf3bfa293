#include "edge/rpc/server.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/deadline.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "runtime/metrics.h"
#include "runtime/status.h"
#include "runtime/testing/span_box.h"
#include "tests/edge/rpc/raw_http2.h"
#include "tests/support/eventually.h"
#include "tests/support/long_forms.h"
#include "waybill/order/v1/order.grpc.pb.h"
#include "waybill/payment/v1/payment.grpc.pb.h"

namespace waybill::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using order::v1::OrderService;
using order::v1::OrderTransition;
using order::v1::WatchOrderRequest;
using payment::v1::ChargeRequest;
using payment::v1::ChargeResponse;
using payment::v1::PaymentGateway;

using ChargeCall = UnaryCall<ChargeRequest, ChargeResponse>;
using WatchCall = ServerStreamCall<WatchOrderRequest, OrderTransition>;

constexpr char kCharge[] = "waybill.payment.v1.PaymentGateway/Charge";
constexpr char kWatch[] = "waybill.order.v1.OrderService/WatchOrder";

// Everything that happens elsewhere and is waited for here.
template <typename T>
class Box {
 public:
  void Put(T value) {
    std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  // The next one put in; fails the test after ten seconds without.
  T Take() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(10), [this] { return !values_.empty(); })) {
      ADD_FAILURE() << "waited in vain";
      return T();
    }
    T value = std::move(values_.front());
    values_.erase(values_.begin());
    return value;
  }
  size_t size() {
    std::lock_guard lock(mutex_);
    return values_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<T> values_;
};

class RpcServerTest : public ::testing::Test {
 protected:
  // A server with one unary and one streaming method.
  access::Rule charge_rule_ = access::kAnybody;
  void Serve(
      ChargeCall::Handler charge, WatchCall::Handler watch = [](WatchCall::Ptr) {}) {
    options_.queues = 2;
    server_ = std::make_unique<Server>(options_, metrics_);
    server_->Unary<ChargeRequest, ChargeResponse>(kCharge, charge_rule_, std::move(charge));
    server_->ServerStream<WatchOrderRequest, OrderTransition>(kWatch, access::kAnybody, std::move(watch));
    ASSERT_TRUE(server_->Start().ok());
    ASSERT_GT(server_->port(), 0);
    channel_ = MakeChannel(address());
  }
  std::string address() const { return fmt::format("127.0.0.1:{}", server_->port()); }

  grpc::Status Charge(const ChargeRequest& request, ChargeResponse& response) {
    grpc::ClientContext context;
    return PaymentGateway::NewStub(channel_)->Charge(&context, request, &response);
  }
  grpc::Status Charge() {
    ChargeResponse response;
    return Charge({}, response);
  }
  grpc::health::v1::HealthCheckResponse::ServingStatus Health(const std::string& service) {
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::health::v1::HealthCheckResponse response;
    grpc::Status status = grpc::health::v1::Health::NewStub(channel_)->Check(&context, request, &response);
    return status.ok() ? response.status() : grpc::health::v1::HealthCheckResponse::UNKNOWN;
  }
  // Charges that were answered with that code.
  double Handled(const char* code) {
    return metrics_
        .AddCounter("grpc_server_handled_total", "RPCs completed on the server, by status code.",
                    {{"grpc_type", "unary"},
                     {"grpc_service", "waybill.payment.v1.PaymentGateway"},
                     {"grpc_method", "Charge"},
                     {"grpc_code", code}})
        .Value();
  }
  // The bytes of the answer to `request` by `method`, whatever they are.
  grpc::Status Raw(const std::string& method, const std::string& request, std::string& response) {
    grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel_);
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    auto stream = stub.PrepareCall(&context, method, &queue);
    void* tag;
    bool ok;
    stream->StartCall(nullptr);
    queue.Next(&tag, &ok);
    grpc::Slice slice(request);
    stream->WriteLast(grpc::ByteBuffer(&slice, 1), {}, nullptr);
    queue.Next(&tag, &ok);
    grpc::ByteBuffer answer;
    stream->Read(&answer, nullptr);
    queue.Next(&tag, &ok);
    if (ok) {
      std::vector<grpc::Slice> slices;
      EXPECT_TRUE(answer.Dump(&slices).ok());
      for (const grpc::Slice& part : slices) response.append(part.begin(), part.end());
    }
    grpc::Status status;
    stream->Finish(&status, nullptr);
    queue.Next(&tag, &ok);
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
    return status;
  }

  ServerOptions options_;
  Metrics metrics_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(RpcServerTest, AnswersAUnaryCall) {
  const SteadyTime deadline = SystemClock().Steady() + absl::Seconds(60);
  Box<SteadyTime> deadlines;
  Serve([&](ChargeCall::Ptr call) {
    call->response().mutable_approved()->set_reference(
        fmt::format("{} for {}", call->request().idempotency_key(), call->Metadata("waybill-client")));
    EXPECT_EQ(call->Metadata("traceparent"), "");
    EXPECT_THAT(call->Peer(), HasSubstr("127.0.0.1"));
    deadlines.Put(call->deadline());
    call->AddInitialMetadata("idempotency-replayed", "true");
    EXPECT_TRUE(call->Finish(absl::OkStatus()));
  });
  grpc::ClientContext context;
  context.AddMetadata("waybill-client", "shop");
  context.set_deadline(ToGrpcDeadline(deadline));
  ChargeRequest request;
  request.set_idempotency_key("k");
  ChargeResponse response;
  grpc::Status status = PaymentGateway::NewStub(channel_)->Charge(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.approved().reference(), "k for shop");
  EXPECT_EQ(context.GetServerInitialMetadata().count("idempotency-replayed"), 1u);
  EXPECT_LT(absl::AbsDuration(deadlines.Take() - deadline), absl::Seconds(1));
  ASSERT_TRUE(Charge().ok());
  EXPECT_EQ(deadlines.Take(), SteadyTime::InfiniteFuture());
}

// By way of the wall clock's 64-bit nanoseconds it would lie in the past. gRPC's own client asks for three years at
// most.
TEST_F(RpcServerTest, ADeadlineBeyondTheYear2262IsFarAway) {
  Box<SteadyTime> deadlines;
  Serve([&](ChargeCall::Ptr call) {
    deadlines.Put(call->deadline());
    call->Finish(absl::OkStatus());
  });
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(SystemClock().Steady() + absl::Hours(2'562'047)));
  ChargeResponse response;
  EXPECT_TRUE(PaymentGateway::NewStub(channel_)->Charge(&context, ChargeRequest(), &response).ok());
  EXPECT_GT(deadlines.Take() - SystemClock().Steady(), absl::Hours(20'000));
}

TEST_F(RpcServerTest, ErrorsTravelWithTheirDetail) {
  Serve([](ChargeCall::Ptr call) {
    ErrorDetail detail;
    detail.reason = "BUSY";
    detail.retry_after = absl::Seconds(2);
    call->Finish(MakeError(absl::StatusCode::kResourceExhausted, "busy", detail));
  });
  absl::Status status = FromGrpcStatus(Charge());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(status).reason, "BUSY");
  EXPECT_EQ(GetErrorDetail(status).retry_after, absl::Seconds(2));
}

TEST_F(RpcServerTest, IsFinishedOnceFromAnyThread) {
  Box<ChargeCall::Ptr> calls;
  Serve([&](ChargeCall::Ptr call) { calls.Put(std::move(call)); });
  std::thread client([&] { EXPECT_TRUE(Charge().ok()); });
  ChargeCall::Ptr call = calls.Take();
  std::vector<std::thread> threads;
  std::atomic<int> won{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { won += call->Finish(absl::OkStatus()) ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  client.join();
  EXPECT_EQ(won, 1);
}

TEST_F(RpcServerTest, ADroppedCallIsAnswered) {
  Serve([](ChargeCall::Ptr) {}, [](WatchCall::Ptr) {});
  EXPECT_EQ(Charge().error_code(), grpc::StatusCode::INTERNAL);
  grpc::ClientContext context;
  OrderTransition transition;
  auto reader = OrderService::NewStub(channel_)->WatchOrder(&context, {});
  EXPECT_FALSE(reader->Read(&transition));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::INTERNAL);
}

TEST_F(RpcServerTest, MalformedRequestsAreTheClientsFaultAndNameTheField) {
  Serve([](ChargeCall::Ptr call) { call->Finish(absl::OkStatus()); });
  std::string response;
  absl::Status status =
      FromGrpcStatus(Raw(std::string("/") + kCharge, std::string("\x0a\x01k\x1a\x02\xc0\xaf", 7), response));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(status).reason, "MALFORMED_REQUEST");
  EXPECT_THAT(GetErrorDetail(status).violations, ElementsAre(Pair("user_id", "is not valid UTF-8")));
  status = FromGrpcStatus(Raw(std::string("/") + kCharge, "\x0a\x7fshort", response));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(status).reason, "MALFORMED_REQUEST");
}

TEST_F(RpcServerTest, RefusesWhatIsTooLarge) {
  options_.request_bytes_max = 10'000;
  options_.metadata_bytes_max = 4'000;
  Serve([](ChargeCall::Ptr call) { call->Finish(absl::OkStatus()); });
  ChargeRequest request;
  ChargeResponse response;
  request.set_user_id(std::string(9'000, 'u'));
  EXPECT_TRUE(Charge(request, response).ok());
  request.set_user_id(std::string(11'000, 'u'));
  EXPECT_EQ(Charge(request, response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  grpc::ClientContext context;
  context.AddMetadata("waybill-client", std::string(5'000, 'c'));
  EXPECT_EQ(PaymentGateway::NewStub(channel_)->Charge(&context, {}, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(RpcServerTest, AMethodWithoutHandlerIsUnimplemented) {
  Serve([](ChargeCall::Ptr call) { call->Finish(absl::OkStatus()); });
  grpc::ClientContext context;
  payment::v1::RefundResponse response;
  EXPECT_EQ(PaymentGateway::NewStub(channel_)->Refund(&context, {}, &response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(RpcServerTest, ToldWhenTheClientCancels) {
  Box<ChargeCall::Ptr> calls;
  Box<bool> cancelled;
  Serve([&](ChargeCall::Ptr call) {
    call->OnCancelled([&, raw = call.get()] { cancelled.Put(raw->cancelled()); });
    calls.Put(std::move(call));
  });
  grpc::ClientContext context;
  std::thread client([&] {
    ChargeResponse response;
    EXPECT_EQ(PaymentGateway::NewStub(channel_)->Charge(&context, {}, &response).error_code(),
              grpc::StatusCode::CANCELLED);
  });
  ChargeCall::Ptr call = calls.Take();
  EXPECT_FALSE(call->cancelled());
  context.TryCancel();
  EXPECT_TRUE(cancelled.Take());
  client.join();
  bool late = false;
  call->OnCancelled([&] { late = true; });  // already so: told at once
  EXPECT_TRUE(late);
  EXPECT_TRUE(call->Finish(absl::OkStatus()));
}

TEST_F(RpcServerTest, CancellationMayDropTheCall) {
  Box<bool> cancelled;
  Serve([&](ChargeCall::Ptr owned) {
    ChargeCall* call = owned.get();
    call->OnCancelled([&, owned = std::move(owned)] { cancelled.Put(owned->Finish(absl::CancelledError())); });
  });
  grpc::ClientContext context;
  // Long enough for the call to arrive on a busy machine: one that does not is never cancelled here.
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
  ChargeResponse response;
  EXPECT_EQ(PaymentGateway::NewStub(channel_)->Charge(&context, {}, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(cancelled.Take());
}

TEST_F(RpcServerTest, HoldsABurstOfCallers) {
  constexpr int kCallers = 1000;
  Box<ChargeCall::Ptr> calls;
  Serve([&](ChargeCall::Ptr call) { calls.Put(std::move(call)); });
  Box<bool> answers;
  ClientThread client_thread;
  Client client(client_thread, {channel_});
  for (int i = 0; i < kCallers; ++i) {
    client.Call<ChargeResponse>(kCharge, ChargeRequest(), {},
                                [&](const absl::Status& status, ChargeResponse&) { answers.Put(status.ok()); });
  }
  std::vector<ChargeCall::Ptr> held;
  for (int i = 0; i < kCallers; ++i) held.push_back(calls.Take());
  EXPECT_EQ(answers.size(), 0u);
  for (auto& call : held) call->Finish(absl::OkStatus());
  for (int i = 0; i < kCallers; ++i) EXPECT_TRUE(answers.Take());
}

// Writes sequences 1..n, then finishes while the last write is still under way.
void WriteFrom(std::shared_ptr<WatchCall> call, int64_t sequence, int64_t last) {
  OrderTransition transition;
  transition.set_sequence(sequence);
  call->Write(transition, [call, sequence, last](bool ok) {
    if (ok && sequence < last) WriteFrom(call, sequence + 1, last);
  });
  if (sequence == last) {
    EXPECT_TRUE(call->Finish(absl::OkStatus()));
  }
}

TEST_F(RpcServerTest, StreamsMessagesInOrder) {
  Serve([](ChargeCall::Ptr) {},
        [](WatchCall::Ptr call) {
          int64_t first = call->request().from_sequence();
          WriteFrom(std::move(call), first, 100);
        });
  grpc::ClientContext context;
  WatchOrderRequest request;
  request.set_from_sequence(1);
  auto reader = OrderService::NewStub(channel_)->WatchOrder(&context, request);
  OrderTransition transition;
  int64_t expected = 0;
  while (reader->Read(&transition)) EXPECT_EQ(transition.sequence(), ++expected);
  EXPECT_EQ(expected, 100);
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(RpcServerTest, AStreamLearnsThatItsClientIsGone) {
  Box<bool> cancelled;
  Box<WatchCall::Ptr> calls;
  Serve([](ChargeCall::Ptr) {},
        [&](WatchCall::Ptr call) {
          call->OnCancelled([&] { cancelled.Put(true); });
          calls.Put(std::move(call));
        });
  grpc::ClientContext context;
  auto reader = OrderService::NewStub(channel_)->WatchOrder(&context, {});
  WatchCall::Ptr call = calls.Take();
  context.TryCancel();
  EXPECT_TRUE(cancelled.Take());
  Box<bool> written;
  call->Write({}, [&](bool ok) { written.Put(ok); });
  EXPECT_FALSE(written.Take());
  call->Finish(absl::OkStatus());
  call->Write({}, [&](bool ok) { written.Put(ok); });
  EXPECT_FALSE(written.Take());
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(RpcServerTest, DrainWaitsForCallsAndRefusesNewOnes) {
  Box<ChargeCall::Ptr> calls;
  Serve([&](ChargeCall::Ptr call) { calls.Put(std::move(call)); });
  grpc::ClientContext watch_context;
  auto health = grpc::health::v1::Health::NewStub(channel_)->Watch(&watch_context, {});
  grpc::health::v1::HealthCheckResponse response;
  ASSERT_TRUE(health->Read(&response));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  std::thread client([&] { EXPECT_TRUE(Charge().ok()); });
  ChargeCall::Ptr running = calls.Take();

  std::thread drain([&] { server_->Drain(SystemClock().Steady() + absl::Seconds(60)); });
  ASSERT_TRUE(health->Read(&response));  // the drain has begun
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(health->Read(&response));
  EXPECT_EQ(health->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  channel_ = MakeChannel(address());
  EXPECT_EQ(Charge().error_code(), grpc::StatusCode::UNAVAILABLE) << "nobody listens any more";
  running->Finish(absl::OkStatus());
  drain.join();
  client.join();
}

// One channel that knows two servers, as every client of replicas has; the first of them goes.
TEST_F(RpcServerTest, ADrainSendsClientsToTheOtherServerWhileTheirCallsGoOn) {
  Box<ChargeCall::Ptr> calls;
  Serve([&](ChargeCall::Ptr call) { calls.Put(std::move(call)); });
  Metrics metrics;
  Server other(options_, metrics);
  other.Unary<ChargeRequest, ChargeResponse>(kCharge, access::kAnybody, [](ChargeCall::Ptr call) {
    call->response().mutable_approved()->set_reference("other");
    call->Finish(absl::OkStatus());
  });
  ASSERT_TRUE(other.Start().ok());
  channel_ = grpc::CreateChannel(fmt::format("ipv4:{},127.0.0.1:{}", address(), other.port()),
                                 grpc::InsecureChannelCredentials());
  ChargeResponse first;
  grpc::Status first_status;
  std::thread client([&] { first_status = Charge({}, first); });
  ChargeCall::Ptr running = calls.Take();

  server_->SendAway();
  const absl::Time sent_away = absl::Now();
  ChargeResponse second;
  std::vector<int> failed;
  while (absl::Now() < sent_away + absl::Seconds(10)) {
    grpc::Status status = Charge({}, second);
    if (status.ok()) break;
    failed.push_back(status.error_code());
  }
  EXPECT_EQ(second.approved().reference(), "other");
  EXPECT_LT(absl::Now() - sent_away, absl::Seconds(5));
  EXPECT_LE(failed.size(), 1u) << "what crosses the GOAWAY on the wire";
  EXPECT_EQ(calls.size(), 0u);

  running->response().mutable_approved()->set_reference("first");
  EXPECT_TRUE(running->Finish(absl::OkStatus()));
  client.join();
  EXPECT_TRUE(first_status.ok()) << first_status.error_message();
  EXPECT_EQ(first.approved().reference(), "first");
  server_->Drain(SystemClock().Steady() + absl::Seconds(60));
}

// A client that is stopped answers no ping, and so never says that it knows of the GOAWAY.
TEST_F(RpcServerTest, ADrainDoesNotWaitForAClientThatIsSilent) {
  Serve([](ChargeCall::Ptr call) { call->Finish(absl::OkStatus()); });
  RawHttp2 silent(server_->port());
  silent.Send(RawHttp2::Call(1, kCharge, "", {}));
  ASSERT_TRUE(Charge().ok());
  const absl::Time begun = absl::Now();
  server_->Drain(SystemClock().Steady() + absl::Seconds(60));
  EXPECT_LT(absl::Now() - begun, absl::Seconds(10));
}

TEST_F(RpcServerTest, ADeadlineInAnotherMillenniumIsFarOff) {
  Box<SteadyTime> deadlines;
  Serve([&](ChargeCall::Ptr call) {
    deadlines.Put(call->deadline());
    call->Finish(absl::OkStatus());
  });
  RawHttp2 raw(server_->port());
  uint32_t stream = 1;
  for (const char* timeout : {"2100000H", "2562047H", "99999999H", "99999999M", "99999999S"}) {
    raw.Send(RawHttp2::Call(stream, kCharge, "", {{"grpc-timeout", timeout}}));
    EXPECT_GT(deadlines.Take() - SystemClock().Steady(), absl::Hours(24 * 365)) << timeout;
    stream += 2;
  }
}

// Nobody waits for these, so nothing is done for them.
TEST_F(RpcServerTest, ACallThatIsDeadOnArrivalIsNotServed) {
  Box<std::string> served;
  Serve([&](ChargeCall::Ptr call) {
    served.Put(call->request().idempotency_key());
    call->Finish(absl::OkStatus());
  });
  RawHttp2 raw(server_->port());
  raw.Send(RawHttp2::Call(1, kCharge, "\n\x04late", {{"grpc-timeout", "0n"}}));
  EXPECT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return Handled("DeadlineExceeded") == 1; }));
  raw.Send(RawHttp2::Call(3, kCharge, "\n\x04left", {}) + RawHttp2::Reset(3));
  raw.Send(RawHttp2::Call(5, kCharge, "\n\x04well", {}));
  EXPECT_EQ(served.Take(), "well");
  EXPECT_EQ(served.size(), 0u);
}

// While a queue's thread is busy, calls wait behind it; those whose clients give up meanwhile are not served. When the
// server gets to hear that a client has given up cannot be seen from outside, and what is over before it was even
// handed to a queue is gRPC's alone: it is tried until both were in time.
TEST_F(RpcServerTest, ACallWhoseClientGivesUpWhileItIsQueuedIsNotServed) {
  Box<bool> go_on;
  Box<std::string> served;
  Serve([&](ChargeCall::Ptr call) {  // on two queues: the other one's thread goes on reading from the sockets
    served.Put(call->request().idempotency_key());
    if (call->request().idempotency_key() == "slow") go_on.Take();
    call->Finish(absl::OkStatus());
  });
  int tries = 0, ok = 0;
  for (bool in_time = false; !in_time;) {
    ASSERT_LE(++tries, 50);
    RawHttp2 raw(server_->port());  // all calls of one connection come to one queue
    raw.Send(RawHttp2::Call(1, kCharge, "\n\x04slow", {}));
    EXPECT_EQ(served.Take(), "slow");
    raw.Send(RawHttp2::Call(3, kCharge, "\n\x04late", {{"grpc-timeout", "1m"}}));
    raw.Send(RawHttp2::Call(5, kCharge, "\n\x04left", {}));
    raw.Send(RawHttp2::Call(7, kCharge, "\n\x04well", {}));
    raw.AwaitPing();  // all were read
    raw.Send(RawHttp2::Reset(5));
    for (const absl::Time late = absl::Now() + absl::Milliseconds(2); absl::Now() < late;) std::this_thread::yield();
    raw.AwaitPing();  // more of them would be taken for a flood
    EXPECT_EQ(served.size(), 0u);
    go_on.Put(true);
    std::string next = served.Take();
    in_time = next == "well";
    for (ok += 2; next == "late" || next == "left"; ++ok) next = served.Take();
    ASSERT_EQ(next, "well");
    ASSERT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return Handled("OK") == ok; }));
    in_time = in_time && Handled("DeadlineExceeded") > 0 && Handled("Canceled") > 0;
  }
  EXPECT_EQ(served.size(), 0u);
}

TEST_F(RpcServerTest, AStreamWithoutAMessageHasItsHeaders) {
  Box<WatchCall::Ptr> calls;
  Serve([](ChargeCall::Ptr) {},
        [&](WatchCall::Ptr call) {
          call->Open();
          calls.Put(std::move(call));
        });
  grpc::ClientContext context;
  auto reader = OrderService::NewStub(channel_)->WatchOrder(&context, {});
  reader->WaitForInitialMetadata();  // would wait for ever
  WatchCall::Ptr call = calls.Take();
  EXPECT_TRUE(call->Finish(absl::OkStatus()));
  OrderTransition transition;
  EXPECT_FALSE(reader->Read(&transition));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(RpcServerTest, DrainEndsEvenWithCallsThatNobodyFinishes) {
  Box<ChargeCall::Ptr> calls;
  Box<WatchCall::Ptr> watches;
  Box<bool> cancelled;
  Serve(
      [&](ChargeCall::Ptr call) {
        call->OnCancelled([&] { cancelled.Put(true); });
        calls.Put(std::move(call));
      },
      [&](WatchCall::Ptr call) { watches.Put(std::move(call)); });
  std::thread client([&] {
    absl::Status status = FromGrpcStatus(Charge());
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(GetErrorDetail(status).reason, "SHUTTING_DOWN");
  });
  grpc::ClientContext context;
  auto reader = OrderService::NewStub(channel_)->WatchOrder(&context, {});
  ChargeCall::Ptr stuck = calls.Take();
  WatchCall::Ptr stuck_watch = watches.Take();
  // A client that reads nothing: the write waits for its flow control, and the status behind the write.
  OrderTransition large;
  large.set_detail(std::string(8 << 20, 'x'));
  Box<bool> written;
  stuck_watch->Write(large, [&](bool ok) { written.Put(ok); });

  server_->Drain(SystemClock().Steady() + absl::Milliseconds(50));
  client.join();
  EXPECT_TRUE(cancelled.Take());
  written.Take();
  EXPECT_TRUE(stuck->cancelled());
  stuck->AddInitialMetadata("too", "late");
  EXPECT_FALSE(stuck->Finish(absl::OkStatus()));
  server_.reset();
  stuck.reset();  // outlives the server
}

TEST_F(RpcServerTest, DrainsWhileCallsKeepComing) {
  Serve([](ChargeCall::Ptr call) { call->Finish(absl::OkStatus()); });
  ClientThread client_thread;
  Client client(client_thread, {channel_});
  std::atomic<bool> stop{false};
  Box<bool> ended;
  Box<bool> answered;
  std::function<void()> again = [&] {
    client.Call<ChargeResponse>(kCharge, ChargeRequest(), {}, [&](const absl::Status& status, ChargeResponse&) {
      if (status.ok()) answered.Put(true);
      if (stop) {
        ended.Put(true);
      } else {
        again();
      }
    });
  };
  for (int i = 0; i < 64; ++i) again();
  for (int i = 0; i < 1000; ++i) answered.Take();
  server_->Drain(SystemClock().Steady() + absl::Seconds(60));
  stop = true;
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(ended.Take());
}

TEST_F(RpcServerTest, CountsCallsByMethodAndCode) {
  Serve([](ChargeCall::Ptr call) {
    call->Finish(call->request().amount_minor() > 0 ? absl::OkStatus() : absl::NotFoundError(""));
  });
  ChargeRequest request;
  ChargeResponse response;
  request.set_amount_minor(1);
  EXPECT_TRUE(Charge(request, response).ok());
  EXPECT_TRUE(Charge(request, response).ok());
  EXPECT_FALSE(Charge().ok());
  auto value = [&](prometheus::Counter& counter) { return counter.Value(); };
  prometheus::Labels labels = {
      {"grpc_type", "unary"}, {"grpc_service", "waybill.payment.v1.PaymentGateway"}, {"grpc_method", "Charge"}};
  EXPECT_EQ(value(metrics_.AddCounter("grpc_server_started_total", "RPCs started on the server.", labels)), 3);
  std::string text = metrics_.ToText();
  EXPECT_THAT(text,
              HasSubstr("grpc_server_handling_seconds_count{grpc_method=\"Charge\",grpc_service=\"waybill.payment.v1."
                        "PaymentGateway\",grpc_type=\"unary\"} 3"));
  labels["grpc_code"] = "OK";
  EXPECT_EQ(
      value(metrics_.AddCounter("grpc_server_handled_total", "RPCs completed on the server, by status code.", labels)),
      2);
  labels["grpc_code"] = "NotFound";
  EXPECT_EQ(
      value(metrics_.AddCounter("grpc_server_handled_total", "RPCs completed on the server, by status code.", labels)),
      1);
}

TEST_F(RpcServerTest, HealthFollowsWhatIsSet) {
  Serve([](ChargeCall::Ptr) {});
  using grpc::health::v1::HealthCheckResponse;
  EXPECT_EQ(Health(""), HealthCheckResponse::SERVING);
  EXPECT_EQ(Health("waybill.payment.v1.PaymentGateway"), HealthCheckResponse::SERVING);
  EXPECT_EQ(Health("no.such.Service"), HealthCheckResponse::UNKNOWN);
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("later.Service");
  auto watch = grpc::health::v1::Health::NewStub(channel_)->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  server_->health().Set("later.Service", true);
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  server_->health().Set("", false);
  EXPECT_EQ(Health(""), HealthCheckResponse::NOT_SERVING);
  context.TryCancel();
  watch->Finish();
}

TEST_F(RpcServerTest, ReflectionListsTheServices) {
  Serve([](ChargeCall::Ptr) {});
  std::string response;  // ServerReflectionRequest{list_services: "*"}
  grpc::Status status = Raw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*", response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response, HasSubstr("waybill.payment.v1.PaymentGateway"));
  EXPECT_THAT(response, HasSubstr("waybill.order.v1.OrderService"));
  EXPECT_THAT(response, HasSubstr("grpc.health.v1.Health"));
}

TEST_F(RpcServerTest, WithoutReflectionNobodyIsToldOfTheServices) {
  Server with(ServerOptions(), metrics_);  // in the same process, and before
  ASSERT_TRUE(with.Start().ok());
  options_.reflection = false;
  Serve([](ChargeCall::Ptr call) { call->Finish(absl::OkStatus()); });
  std::string response;
  const grpc::Status status =
      Raw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*", response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_TRUE(Charge().ok());
}

TEST_F(RpcServerTest, APortThatIsTakenIsAnError) {
  Serve([](ChargeCall::Ptr) {});
  ServerOptions options;
  options.address = address();
  Metrics metrics;
  Server second(options, metrics);
  absl::Status status = second.Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(address()));
}

TEST_F(RpcServerTest, RegisteringAMethodThatIsNotInTheProtoThrows) {
  Server server(options_, metrics_);
  auto wrong_name = [&] {
    server.Unary<ChargeRequest, ChargeResponse>("waybill.payment.v1.PaymentGateway/Pay", access::kAnybody,
                                                [](ChargeCall::Ptr) {});
  };
  EXPECT_THROW(wrong_name(), std::logic_error);
  auto wrong_type = [&] {
    server.Unary<ChargeRequest, ChargeResponse>("waybill.payment.v1.PaymentGateway/Refund", access::kAnybody,
                                                [](ChargeCall::Ptr) {});
  };
  EXPECT_THROW(wrong_type(), std::logic_error);
}

// The calls' spans, and what handlers are told of them.
class RpcTraceTest : public RpcServerTest {
 protected:
  RpcTraceTest() { options_.tracer = &tracer_; }
  void ServeAnswering(const absl::Status& status) {
    Serve([this, status](ChargeCall::Ptr call) {
      told_.Put(call->trace());
      call->Finish(status);
    });
  }
  void Call(const std::vector<std::pair<std::string, std::string>>& metadata) {
    grpc::ClientContext context;
    for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
    ChargeResponse response;
    PaymentGateway::NewStub(channel_)->Charge(&context, {}, &response);
  }
  static std::string Text(const SpanRecord& span, std::string_view key) {
    for (const auto& [name, value] : span.attributes) {
      if (name != key) continue;
      const auto* text = std::get_if<std::string>(&value);
      return text != nullptr ? *text : fmt::format("{}", std::get<int64_t>(value));
    }
    return "none";
  }

  static constexpr char kParent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  SystemClock clock_;
  SeededRandom random_{1};
  testing::SpanBox box_;
  std::atomic<double> ratio_{0};
  Tracer tracer_{clock_, random_, box_, ratio_};
  Box<TraceContext> told_;
};

TEST_F(RpcTraceTest, ACallIsItsCallersChildAndTheHandlersParent) {
  ServeAnswering(absl::OkStatus());
  Call({{"traceparent", kParent}, {"tracestate", "a=1"}, {"tracestate", "b=2"}});
  ASSERT_THAT(box_.spans(), SizeIs(1));
  const SpanRecord span = box_.spans()[0];
  EXPECT_EQ(span.name, kCharge);
  EXPECT_EQ(span.kind, SpanKind::kServer);
  EXPECT_EQ(span.parent, ParseTraceparent(kParent)->span_id);
  EXPECT_EQ(span.context, told_.Take());
  EXPECT_EQ(span.context.state, "a=1,b=2");
  EXPECT_EQ(Text(span, "rpc.service"), "waybill.payment.v1.PaymentGateway");
  EXPECT_EQ(Text(span, "rpc.method"), "Charge");
  EXPECT_EQ(Text(span, "rpc.grpc.status_code"), "0");
  EXPECT_FALSE(span.failed);
}

TEST_F(RpcTraceTest, TwoTraceparentsOrABrokenOneAreNone) {
  ratio_ = 1;
  ServeAnswering(absl::OkStatus());
  Call({{"traceparent", kParent}, {"traceparent", kParent}, {"tracestate", "a=1"}});
  Call({{"traceparent", "00-x"}, {"tracestate", "a=1"}});
  ASSERT_THAT(box_.spans(), SizeIs(2));
  for (const SpanRecord& span : box_.spans()) {
    EXPECT_FALSE(span.parent.valid());
    EXPECT_EQ(span.context.state, "");
  }
}

TEST_F(RpcTraceTest, WhatIsTheServersFaultIsAnErrorAndSentThoughNotSampled) {
  ServeAnswering(absl::InternalError("broken"));
  Call({});
  ASSERT_THAT(box_.spans(), SizeIs(1));
  EXPECT_TRUE(box_.spans()[0].failed);
  EXPECT_EQ(box_.spans()[0].failure, "broken");
  EXPECT_EQ(Text(box_.spans()[0], "rpc.grpc.status_code"), "13");
}

TEST_F(RpcTraceTest, WhoIsNotLetInMakesNoSpan) {
  const access::Gate nobody(access::Identity::kRequired, nullptr);
  options_.gate = &nobody;
  charge_rule_ = domain::Scope::kOps;
  ServeAnswering(absl::OkStatus());
  Call({{"traceparent", kParent}});
  EXPECT_THAT(box_.spans(), IsEmpty());
}

TEST_F(RpcTraceTest, WhatIsTheClientsFaultIsNone) {
  ServeAnswering(absl::InvalidArgumentError("no"));
  Call({});
  EXPECT_THAT(box_.spans(), IsEmpty());
  Call({{"traceparent", kParent}});
  ASSERT_THAT(box_.spans(), SizeIs(1));
  EXPECT_FALSE(box_.spans()[0].failed);
}

TEST_F(RpcServerTest, WhereNothingIsTracedHandlersSeeTheirCallersTrace) {
  Box<TraceContext> told;
  Serve([&](ChargeCall::Ptr call) {
    told.Put(call->trace());
    call->Finish(absl::OkStatus());
  });
  EXPECT_TRUE(Charge().ok());
  EXPECT_FALSE(told.Take().valid());
  grpc::ClientContext context;
  context.AddMetadata("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  ChargeResponse response;
  EXPECT_TRUE(PaymentGateway::NewStub(channel_)->Charge(&context, {}, &response).ok());
  EXPECT_EQ(told.Take().Traceparent(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
}

TEST_F(RpcServerTest, TheClientPassesMetadataAndDeadlineOn) {
  Serve([](ChargeCall::Ptr call) {
    call->response().mutable_approved()->set_reference(std::string(call->Metadata("traceparent")));
    call->Finish(call->deadline() < SystemClock().Steady() + absl::Seconds(31) ? absl::OkStatus()
                                                                               : absl::InternalError("deadline"));
  });
  ClientThread client_thread;
  Client client(client_thread, {channel_, MakeChannel(address())});
  Box<std::string> answers;
  CallOptions options;
  options.deadline = SystemClock().Steady() + absl::Seconds(30);
  options.metadata = {{"traceparent", "00-1-2-01"}};
  for (int i = 0; i < 4; ++i) {
    client.Call<ChargeResponse>(kCharge, ChargeRequest(), options,
                                [&](const absl::Status& status, ChargeResponse& response) {
                                  answers.Put(status.ok() ? response.approved().reference() : status.ToString());
                                });
  }
  for (int i = 0; i < 4; ++i) EXPECT_EQ(answers.Take(), "00-1-2-01");
}

TEST_F(RpcServerTest, DestroyingTheClientCancelsWhatIsInFlight) {
  Box<ChargeCall::Ptr> calls;
  Serve([&](ChargeCall::Ptr call) { calls.Put(std::move(call)); });
  std::vector<absl::StatusCode> codes;  // on the client's thread only, then here
  std::vector<ChargeCall::Ptr> held;
  {
    ClientThread client_thread;
    Client client(client_thread, {channel_});
    for (int i = 0; i < 10; ++i) {
      client.Call<ChargeResponse>(kCharge, ChargeRequest(), {}, [&](const absl::Status& status, ChargeResponse&) {
        codes.push_back(status.code());
        // A retry from inside the callback is refused at once, and nothing starts that nobody would end.
        client.Call<ChargeResponse>(kCharge, ChargeRequest(), {},
                                    [&](const absl::Status& retry, ChargeResponse&) { codes.push_back(retry.code()); });
      });
    }
    for (int i = 0; i < 10; ++i) held.push_back(calls.Take());
  }
  EXPECT_EQ(codes, std::vector<absl::StatusCode>(20, absl::StatusCode::kCancelled));
}

// A gRPC server with default settings hangs up on who pings without calls, or more than three times at less than 5 min.
TEST(RpcClient, PingsNoMoreThanServersBearByDefault) {
  const grpc::ChannelArguments arguments = MakeChannelArguments(Pings::kRare);
  std::map<std::string, int> numbers;
  const grpc_channel_args channel = arguments.c_channel_args();
  for (size_t i = 0; i < channel.num_args; ++i) {
    if (channel.args[i].type == GRPC_ARG_INTEGER) numbers[channel.args[i].key] = channel.args[i].value.integer;
  }
  EXPECT_GT(numbers.at(GRPC_ARG_KEEPALIVE_TIME_MS), 300'000);
  EXPECT_EQ(numbers.at(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS), 0);
}

// The same with a server: the connection outlives several of what were its pings, and is idle or waits.
TEST(RpcClient, IsNotSentAwayByAServerWithDefaultSettings) {
  struct Gateway final : PaymentGateway::Service {
    grpc::Status Charge(grpc::ServerContext* context, const ChargeRequest*, ChargeResponse*) override {
      std::lock_guard lock(mutex);
      peers.insert(context->peer());
      return grpc::Status::OK;
    }
    std::mutex mutex;
    std::set<std::string> peers;
  } gateway;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&gateway);
  auto server = builder.BuildAndStart();
  auto channel = MakeChannel(fmt::format("127.0.0.1:{}", port));
  auto charge = [&] {
    grpc::ClientContext context;
    ChargeResponse response;
    return PaymentGateway::NewStub(channel)->Charge(&context, {}, &response).ok();
  };
  EXPECT_TRUE(charge());
  // With a ping every 20 s, it was sent away after 60.
  const std::chrono::seconds idle(testing::LongForms() ? 100 : 1);
  EXPECT_FALSE(channel->WaitForStateChange(GRPC_CHANNEL_READY, std::chrono::system_clock::now() + idle));
  EXPECT_TRUE(charge());
  EXPECT_EQ(gateway.peers.size(), 1u);
  server->Shutdown();
}

// Clients are usually told to ping every 10 s; 5 s is what we promise, and jitter must not count.
TEST(RpcServer, BearsPingsEveryFiveSeconds) { EXPECT_LE(ServerOptions().client_ping_min, absl::Seconds(4)); }

TEST_F(RpcServerTest, LongHeadersOfOneCallDoNotEndTheOthersOfItsConnection) {
  Box<WatchCall::Ptr> calls;
  Serve([](ChargeCall::Ptr call) { call->Finish(absl::OkStatus()); },
        [&](WatchCall::Ptr call) {
          call->Open();
          calls.Put(std::move(call));
        });
  grpc::ClientContext watch_context;
  auto reader = OrderService::NewStub(channel_)->WatchOrder(&watch_context, {});
  WatchCall::Ptr call = calls.Take();
  grpc::ClientContext context;
  for (int i = 0; i < 6; ++i) context.AddMetadata(fmt::format("x-baggage-{}", i), std::string(8'000, 'b'));
  ChargeResponse response;
  EXPECT_TRUE(PaymentGateway::NewStub(channel_)->Charge(&context, {}, &response).ok());
  EXPECT_FALSE(call->cancelled());
  EXPECT_TRUE(call->Finish(absl::OkStatus()));
  OrderTransition transition;
  EXPECT_FALSE(reader->Read(&transition));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST(RpcClient, AnUnreachablePeerIsUnavailable) {
  ClientThread client_thread;
  Client client(client_thread, {MakeChannel("127.0.0.1:1")});
  Box<absl::StatusCode> codes;
  client.Call<ChargeResponse>(kCharge, ChargeRequest(), {},
                              [&](const absl::Status& status, ChargeResponse&) { codes.Put(status.code()); });
  EXPECT_EQ(codes.Take(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace waybill::rpc

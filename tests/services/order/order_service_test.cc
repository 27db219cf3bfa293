// The order service as a client sees it: real gRPC, over books in memory.
#include <algorithm>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "edge/rpc/server.h"
#include "edge/rpc/status.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "services/order/grpc_order_service.h"
#include "services/order/grpc_saga_admin.h"
#include "tests/edge/access/key_world.h"
#include "tests/services/order/order_world.h"
#include "waybill/ops/v1/ops.grpc.pb.h"
#include "waybill/order/v1/order.grpc.pb.h"

namespace waybill::order {
namespace {

namespace pb = waybill::order::v1;
namespace ops = waybill::ops::v1;
using ::testing::ElementsAre;

class OrderServiceTest : public ::testing::Test {
 protected:
  OrderServiceTest() {
    AddOrderService(server_, replica_.api, replica_.refunds, replica_.watches);
    AddSagaAdmin(server_, replica_.sagas, {std::string(kChargePayment), std::string(kAssignDriver)});
    EXPECT_TRUE(server_.Start().ok());
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(server_.port()), grpc::InsecureChannelCredentials());
    orders_ = pb::OrderService::NewStub(channel_);
    sagas_ = ops::SagaAdmin::NewStub(channel_);
  }
  ~OrderServiceTest() override {
    replica_.watches.Stop();
    replica_.workers.Stop();
    server_.Drain(SteadyTime::InfinitePast());
  }

  // A context with a deadline, so that a test that hangs fails.
  struct Context : grpc::ClientContext {
    Context() { set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20)); }
  };

  static pb::CreateOrderRequest Request(const std::string& key) {
    pb::CreateOrderRequest request;
    request.set_idempotency_key(key);
    request.set_user_id("user-1");
    request.mutable_amount()->set_minor_units(1250);
    request.mutable_amount()->set_currency("EUR");
    return request;
  }
  pb::Order Create(const std::string& key) {
    Context context;
    pb::Order order;
    grpc::Status status = orders_->CreateOrder(&context, Request(key), &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order;
  }
  static ops::SignalSagaRequest ChargeSignal(const std::string& saga_id, const std::string& token = "pi_1") {
    ops::SignalSagaRequest signal;
    signal.set_saga_id(saga_id);
    signal.set_step(std::string(kChargePayment));
    signal.set_token(token);
    signal.set_outcome(ops::SignalSagaRequest::SUCCEEDED);
    signal.set_operator_("ada");
    return signal;
  }
  ops::SignalSagaResponse Signal(const ops::SignalSagaRequest& request) {
    Context context;
    ops::SignalSagaResponse response;
    grpc::Status status = sagas_->SignalSaga(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  static std::string ReasonOf(const grpc::Status& status) { return GetErrorDetail(rpc::FromGrpcStatus(status)).reason; }
  static std::vector<std::string> FieldsOf(const grpc::Status& status) {
    std::vector<std::string> fields;
    for (const auto& [field, what] : GetErrorDetail(rpc::FromGrpcStatus(status)).violations) fields.push_back(field);
    return fields;
  }

  SharedWorld world_;
  Metrics metrics_;
  rpc::Server server_{rpc::ServerOptions{}, metrics_};
  Replica replica_{world_};
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::OrderService::Stub> orders_;
  std::unique_ptr<ops::SagaAdmin::Stub> sagas_;
};

// Where identity is required.
class OrderOwnershipTest : public ::testing::Test {
 protected:
  OrderOwnershipTest() {
    AddOrderService(server_, replica_.api, replica_.refunds, replica_.watches);
    EXPECT_TRUE(server_.Start().ok());
    orders_ = pb::OrderService::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(server_.port()), grpc::InsecureChannelCredentials()));
    world_.PutDrivers({"ann", "bob"});
  }
  ~OrderOwnershipTest() override {
    replica_.watches.Stop();
    replica_.workers.Stop();
    server_.Drain(SteadyTime::InfinitePast());
  }
  rpc::ServerOptions Options() const {
    rpc::ServerOptions options;
    options.gate = &keys_.required;
    return options;
  }

  struct As : grpc::ClientContext {
    explicit As(const std::string& secret) {
      set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
      AddMetadata("authorization", access::KeyWorld::Bearer(secret));
    }
  };
  std::string Create(const std::string& secret, const std::string& key) {
    As as(secret);
    pb::CreateOrderRequest request;
    request.set_idempotency_key(key);
    request.set_user_id("user-1");
    request.mutable_amount()->set_minor_units(1250);
    request.mutable_amount()->set_currency("EUR");
    pb::Order order;
    const grpc::Status status = orders_->CreateOrder(&as, request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order.order_id();
  }
  // What each of the four methods that name an order answers, its id taken out.
  std::vector<std::string> Touch(const std::string& secret, const std::string& id) {
    std::vector<grpc::Status> answers;
    pb::Order order;
    {
      As as(secret);
      pb::GetOrderRequest request;
      request.set_order_id(id);
      answers.push_back(orders_->GetOrder(&as, request, &order));
    }
    {
      As as(secret);
      pb::WatchOrderRequest request;
      request.set_order_id(id);
      auto stream = orders_->WatchOrder(&as, request);
      pb::OrderTransition first;
      if (stream->Read(&first)) as.TryCancel();
      const grpc::Status end = stream->Finish();
      answers.push_back(end.error_code() == grpc::StatusCode::CANCELLED ? grpc::Status::OK : end);
    }
    {
      As as(secret);
      pb::CompleteOrderRequest request;
      request.set_order_id(id);
      answers.push_back(orders_->CompleteOrder(&as, request, &order));
    }
    {
      As as(secret);
      pb::CancelOrderRequest request;
      request.set_order_id(id);
      answers.push_back(orders_->CancelOrder(&as, request, &order));
    }
    std::vector<std::string> texts;
    for (const grpc::Status& answer : answers) {
      const absl::Status status = rpc::FromGrpcStatus(answer);
      std::string text = GetErrorDetail(status).reason + " " + std::string(status.message());
      if (const size_t at = text.find(id); at != std::string::npos) text.erase(at, id.size());
      for (const auto& [key, value] : GetErrorDetail(status).metadata) text += value == id ? " " + key : "";
      texts.push_back(answer.ok() ? "OK" : text);
    }
    return texts;
  }
  std::vector<std::string> List(const std::string& secret) {
    As as(secret);
    pb::ListOrdersResponse response;
    EXPECT_TRUE(orders_->ListOrders(&as, {}, &response).ok());
    std::vector<std::string> ids;
    for (const pb::Order& order : response.orders()) ids.push_back(order.order_id());
    return ids;
  }

  access::KeyWorld keys_;
  const std::string shop_ = keys_.Make("shop", {"orders:write", "orders:read"}).secret;
  const std::string other_ = keys_.Make("other", {"orders:write", "orders:read"}).secret;
  const std::string ops_ = keys_.Make("desk", {"orders:write", "ops"}).secret;
  SharedWorld world_;
  Metrics metrics_;
  rpc::Server server_{Options(), metrics_};
  Replica replica_{world_};
  std::unique_ptr<pb::OrderService::Stub> orders_;
};

TEST_F(OrderOwnershipTest, AnotherClientsOrderIsAsOneThatIsNotThere) {
  const std::string id = Create(shop_, "k-1");
  const std::string nobodys = "0190163d-8694-739b-aea5-966c26f8ad91";
  EXPECT_EQ(Touch(other_, id), Touch(other_, nobodys));
  EXPECT_EQ(Touch(other_, id).at(0), "ORDER_NOT_FOUND there is no order  id");
  EXPECT_TRUE(List(other_).empty());
  EXPECT_THAT(List(shop_), ElementsAre(id));
  EXPECT_THAT(Touch(shop_, id), ElementsAre("OK", "OK", "OK", ::testing::HasSubstr("ORDER_NOT_CANCELLABLE")))
      << "nobody else has completed or cancelled it";
}

TEST_F(OrderOwnershipTest, WhoHasOpsSeesEverybodys) {
  const std::string id = Create(shop_, "k-1");
  EXPECT_THAT(List(ops_), ElementsAre(id));
  EXPECT_THAT(Touch(ops_, id), ElementsAre("OK", "OK", "OK", ::testing::HasSubstr("ORDER_NOT_CANCELLABLE")));
}

TEST_F(OrderOwnershipTest, IdempotencyKeysAreOfTheKeysClient) {
  const std::string first = Create(shop_, "k-1");
  EXPECT_NE(Create(other_, "k-1"), first);
  EXPECT_EQ(Create(keys_.Make("shop", {"orders:write"}).secret, "k-1"), first) << "another key of the same client";
  EXPECT_EQ(world_.book.rows.size(), 2u);
  for (const auto& [id, row] : world_.book.rows) {
    const std::string& client = saga::As<domain::Order>(*row.record).payload.client;
    EXPECT_EQ(client, id.ToString() == first ? "shop" : "other");
  }
}

TEST_F(OrderServiceTest, CreatesAnOrderAndRepeatsItsAnswer) {
  world_.PutDrivers({"ann"});
  pb::CreateOrderRequest request = Request("k");
  request.mutable_pickup()->set_latitude(52.5);
  request.mutable_pickup()->set_longitude(13.4);
  (*request.mutable_metadata())["note"] = "ring twice";
  for (int i = 0; i < 2; ++i) {
    Context context;
    context.AddMetadata("waybill-client", "shop");
    context.AddMetadata("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    pb::Order order;
    grpc::Status status = orders_->CreateOrder(&context, request, &order);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(order.status(), pb::CONFIRMED);
    EXPECT_EQ(order.driver_id(), "ann");
    EXPECT_EQ(order.amount().minor_units(), 1250);
    EXPECT_EQ(order.amount().currency(), "EUR");
    EXPECT_EQ(order.pickup().latitude(), 52.5);
    EXPECT_EQ(order.metadata().at("note"), "ring twice");
    EXPECT_EQ(order.payment().charged_minor_units(), 1250);
    EXPECT_TRUE(Uuid::Parse(order.order_id()).has_value());
    EXPECT_EQ(context.GetServerInitialMetadata().count("idempotency-replayed"), static_cast<size_t>(i));
  }
  const auto& record = saga::As<domain::Order>(*world_.book.rows.begin()->second.record);
  EXPECT_EQ(record.payload.client, "shop");
  EXPECT_EQ(record.traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
}

TEST_F(OrderServiceTest, ScopesKeysByClient) {
  std::set<std::string> ids;
  for (const char* client : {"", "shop", "kiosk"}) {
    Context context;
    if (*client != '\0') context.AddMetadata("waybill-client", client);
    pb::Order order;
    ASSERT_TRUE(orders_->CreateOrder(&context, Request("k"), &order).ok());
    EXPECT_TRUE(ids.insert(order.order_id()).second);
  }
}

TEST_F(OrderServiceTest, SaysWhatIsWrongWithARequestAndWritesNothing) {
  Context context;
  pb::CreateOrderRequest request = Request("");
  request.mutable_amount()->set_minor_units(-5);
  request.set_wait(static_cast<pb::CreateOrderRequest::Wait>(0));
  pb::Order order;
  grpc::Status status = orders_->CreateOrder(&context, request, &order);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad;
  for (const auto& any : details.details()) any.UnpackTo(&info) || any.UnpackTo(&bad);
  EXPECT_EQ(info.domain(), "waybill");
  EXPECT_EQ(info.reason(), "BAD_REQUEST");
  ASSERT_EQ(bad.field_violations_size(), 2);
  EXPECT_EQ(bad.field_violations(0).field(), "idempotency_key");
  EXPECT_EQ(bad.field_violations(1).field(), "amount.minor_units");
  EXPECT_TRUE(world_.book.rows.empty());
}

TEST_F(OrderServiceTest, RefusesAWaitItDoesNotKnow) {
  Context context;
  pb::CreateOrderRequest request = Request("k");
  request.set_wait(static_cast<pb::CreateOrderRequest::Wait>(7));
  pb::Order order;
  EXPECT_THAT(FieldsOf(orders_->CreateOrder(&context, request, &order)), ElementsAre("wait"));
}

TEST_F(OrderServiceTest, NamesTheFieldThatIsNotUtf8) {
  // A client's protobuf would refuse to send this; other clients' may not.
  pb::CreateOrderRequest request = Request("k");
  std::string bytes = request.SerializeAsString();
  const size_t at = bytes.find("user-1");
  bytes[at] = '\xff';
  grpc::Slice slice(bytes);
  grpc::ByteBuffer buffer(&slice, 1), answer;
  grpc::GenericStub stub(channel_);
  Context context;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareUnaryCall(&context, "/waybill.order.v1.OrderService/CreateOrder", buffer, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag;
  bool ok;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(status), ElementsAre("user_id"));
  EXPECT_TRUE(world_.book.rows.empty());
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
}

TEST_F(OrderServiceTest, RefusesAnAbsurdlyLargeRequest) {
  Context context;
  pb::CreateOrderRequest request = Request("k");
  request.set_user_id(std::string(2 << 20, 'u'));
  pb::Order order;
  EXPECT_EQ(orders_->CreateOrder(&context, request, &order).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(OrderServiceTest, GetsAnOrderWithItsStory) {
  const std::string id = Create("k").order_id();
  Context context;
  pb::GetOrderRequest request;
  request.set_order_id(id);
  pb::Order order;
  ASSERT_TRUE(orders_->GetOrder(&context, request, &order).ok());
  EXPECT_EQ(order.status(), pb::FAILED);
  EXPECT_EQ(order.failure().reason(), "NO_DRIVER_AVAILABLE");
  EXPECT_EQ(order.payment().refunded_minor_units(), 1250);
  ASSERT_EQ(order.transitions_size(), 4);
  EXPECT_EQ(order.transitions(0).outcome(), "accepted");
  EXPECT_EQ(order.transitions(2).outcome(), "rejected");
  EXPECT_EQ(order.transitions(3).status(), pb::FAILED);
}

TEST_F(OrderServiceTest, RefusesBadIdsEverywhere) {
  auto expect_bad = [](const grpc::Status& status, const std::string& field) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(FieldsOf(status), ElementsAre(field));
  };
  for (const char* bad : {"", "1", "' OR 1=1; --", "0190f0a0-0000-7000-8000-00000000000z"}) {
    pb::Order order;
    ops::Saga saga;
    pb::GetOrderRequest get;
    get.set_order_id(bad);
    pb::CancelOrderRequest cancel;
    cancel.set_order_id(bad);
    pb::CompleteOrderRequest complete;
    complete.set_order_id(bad);
    pb::WatchOrderRequest watch;
    watch.set_order_id(bad);
    ops::GetSagaRequest get_saga;
    get_saga.set_saga_id(bad);
    ops::RetrySagaRequest retry;
    retry.set_saga_id(bad);
    ops::ResolveSagaRequest resolve;
    resolve.set_saga_id(bad);
    resolve.set_reason("r");
    resolve.set_operator_("o");
    ops::SignalSagaRequest signal = ChargeSignal(bad);
    ops::SignalSagaResponse signalled;
    Context c1, c2, c3, c4, c5, c6, c7, c8;
    expect_bad(orders_->GetOrder(&c1, get, &order), "order_id");
    expect_bad(orders_->CancelOrder(&c2, cancel, &order), "order_id");
    expect_bad(orders_->CompleteOrder(&c3, complete, &order), "order_id");
    expect_bad(orders_->WatchOrder(&c4, watch)->Finish(), "order_id");
    expect_bad(sagas_->GetSaga(&c5, get_saga, &saga), "saga_id");
    expect_bad(sagas_->RetrySaga(&c6, retry, &saga), "saga_id");
    expect_bad(sagas_->ResolveSaga(&c7, resolve, &saga), "saga_id");
    expect_bad(sagas_->SignalSaga(&c8, signal, &signalled), "saga_id");
  }
}

TEST_F(OrderServiceTest, RefusesBadTextAndNumbersOfOtherCalls) {
  const std::string id = Create("k").order_id();
  pb::Order order;
  pb::CancelOrderRequest cancel;
  cancel.set_order_id(id);
  cancel.set_reason(std::string(513, 'x'));
  Context c1;
  EXPECT_THAT(FieldsOf(orders_->CancelOrder(&c1, cancel, &order)), ElementsAre("reason"));
  pb::WatchOrderRequest watch;
  watch.set_order_id(id);
  watch.set_from_sequence(-1);
  Context c2;
  EXPECT_THAT(FieldsOf(orders_->WatchOrder(&c2, watch)->Finish()), ElementsAre("from_sequence"));
  ops::ResolveSagaRequest resolve;
  resolve.set_saga_id(id);
  Context c3;
  ops::Saga saga;
  EXPECT_THAT(FieldsOf(sagas_->ResolveSaga(&c3, resolve, &saga)), ElementsAre("reason", "operator"));
}

TEST_F(OrderServiceTest, ListsOrdersPageByPage) {
  std::set<std::string> created;
  for (int i = 0; i < 5; ++i) {
    created.insert(Create("k" + std::to_string(i)).order_id());
    world_.time.Advance(absl::Seconds(1));
  }
  pb::ListOrdersRequest request;
  request.set_page_size(2);
  request.set_user_id("user-1");
  std::vector<std::string> listed;
  std::vector<int> sizes;
  do {
    Context context;
    pb::ListOrdersResponse page;
    ASSERT_TRUE(orders_->ListOrders(&context, request, &page).ok());
    for (const pb::Order& order : page.orders()) listed.push_back(order.order_id());
    sizes.push_back(page.orders_size());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(sizes, ElementsAre(2, 2, 1));
  EXPECT_TRUE(std::is_sorted(listed.rbegin(), listed.rend())) << "newest first";
  EXPECT_EQ(std::set<std::string>(listed.begin(), listed.end()), created);
}

TEST_F(OrderServiceTest, FiltersOrders) {
  world_.PutDrivers({"ann"});
  const std::string confirmed = Create("a").order_id();
  const std::string failed = Create("b").order_id();
  auto list = [&](const pb::ListOrdersRequest& request) {
    Context context;
    pb::ListOrdersResponse page;
    EXPECT_TRUE(orders_->ListOrders(&context, request, &page).ok());
    std::vector<std::string> ids;
    for (const pb::Order& order : page.orders()) ids.push_back(order.order_id());
    return ids;
  };
  pb::ListOrdersRequest request;
  request.add_statuses(pb::CONFIRMED);
  EXPECT_THAT(list(request), ElementsAre(confirmed));
  request.set_statuses(0, pb::FAILED);
  EXPECT_THAT(list(request), ElementsAre(failed));
  request.set_statuses(0, pb::CANCELLED);
  EXPECT_THAT(list(request), ElementsAre());
  pb::ListOrdersRequest nobody;
  nobody.set_user_id("somebody else");
  EXPECT_THAT(list(nobody), ElementsAre());
  pb::ListOrdersRequest later;
  later.mutable_created_from()->set_seconds(absl::ToUnixSeconds(world_.time.Now()) + 1);
  EXPECT_THAT(list(later), ElementsAre());
}

TEST_F(OrderServiceTest, RefusesBadListRequests) {
  auto fields = [&](const pb::ListOrdersRequest& request) {
    Context context;
    pb::ListOrdersResponse page;
    return FieldsOf(orders_->ListOrders(&context, request, &page));
  };
  pb::ListOrdersRequest size;
  size.set_page_size(-1);
  EXPECT_THAT(fields(size), ElementsAre("page_size"));
  size.set_page_size(501);
  EXPECT_THAT(fields(size), ElementsAre("page_size"));
  pb::ListOrdersRequest token;
  token.set_page_token("'; DROP TABLE order_sagas; --");
  EXPECT_THAT(fields(token), ElementsAre("page_token"));
  token.set_page_token(MakePageToken(Uuid(), "another filter"));
  EXPECT_THAT(fields(token), ElementsAre("page_token"));
  pb::ListOrdersRequest status;
  status.add_statuses(pb::CONFIRMED);
  status.add_statuses(static_cast<pb::OrderStatus>(99));
  status.add_statuses(pb::ORDER_STATUS_UNSPECIFIED);
  EXPECT_THAT(fields(status), ElementsAre("statuses[1]", "statuses[2]"));
  pb::ListOrdersRequest time;
  time.mutable_created_from()->set_seconds(INT64_MAX);
  time.mutable_created_to()->set_nanos(-1);
  EXPECT_THAT(fields(time), ElementsAre("created_from", "created_to"));
  pb::ListOrdersRequest user;
  user.set_user_id(std::string(129, 'u'));
  EXPECT_THAT(fields(user), ElementsAre("user_id"));

  Context context;
  ops::ListSagasRequest sagas;
  sagas.add_states(static_cast<ops::SagaState>(42));
  sagas.mutable_min_age()->set_seconds(-1);
  sagas.set_page_token("x");
  ops::ListSagasResponse page;
  EXPECT_THAT(FieldsOf(sagas_->ListSagas(&context, sagas, &page)), ElementsAre("states[0]", "min_age", "page_token"));

  Context another;
  ops::ListSagasRequest ancient;
  ancient.mutable_min_age()->set_seconds(int64_t{6'800} * 365 * 86'400);  // before the database's first day
  EXPECT_THAT(FieldsOf(sagas_->ListSagas(&another, ancient, &page)), ElementsAre("min_age"));
}

TEST_F(OrderServiceTest, StreamsAnOrderToItsEnd) {
  world_.PutDrivers({"ann"});
  const std::string id = Create("k").order_id();
  Context context;
  pb::WatchOrderRequest request;
  request.set_order_id(id);
  auto stream = orders_->WatchOrder(&context, request);
  pb::OrderTransition line;
  std::vector<std::string> outcomes;
  for (int i = 0; i < 3 && stream->Read(&line); ++i) outcomes.push_back(line.outcome());
  EXPECT_THAT(outcomes, ElementsAre("accepted", "succeeded", "succeeded"));
  Context complete_context;
  pb::CompleteOrderRequest complete;
  complete.set_order_id(id);
  pb::Order order;
  ASSERT_TRUE(orders_->CompleteOrder(&complete_context, complete, &order).ok());
  EXPECT_EQ(order.status(), pb::COMPLETED);
  ASSERT_TRUE(stream->Read(&line));
  EXPECT_EQ(line.outcome(), "closed");
  EXPECT_EQ(line.sequence(), 3);
  EXPECT_FALSE(stream->Read(&line));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(OrderServiceTest, ForgetsAWatchThatItsClientLeft) {
  world_.PutDrivers({"ann"});
  const std::string id = Create("k").order_id();
  {
    Context context;
    pb::WatchOrderRequest request;
    request.set_order_id(id);
    auto stream = orders_->WatchOrder(&context, request);
    pb::OrderTransition line;
    ASSERT_TRUE(stream->Read(&line));
    EXPECT_EQ(replica_.watches.size(), 1u);
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  // The server hears of it a moment later; a further call on the same connection comes after that, or soon.
  for (int i = 0; i < 10'000 && replica_.watches.size() > 0; ++i) Create("k");
  EXPECT_EQ(replica_.watches.size(), 0u);
}

TEST_F(OrderServiceTest, CancelsAnOrder) {
  world_.PutDrivers({"ann"});
  Context context;
  pb::CancelOrderRequest request;
  request.set_order_id(Create("k").order_id());
  request.set_reason("changed my mind");
  pb::Order order;
  ASSERT_TRUE(orders_->CancelOrder(&context, request, &order).ok());
  EXPECT_EQ(order.status(), pb::CANCELLED);
  EXPECT_EQ(order.failure().reason(), "CANCELLED");
  EXPECT_EQ(order.failure().detail(), "changed my mind");
  EXPECT_EQ(order.driver_id(), "");
}

TEST_F(OrderServiceTest, AnswersBeforeTheCallersDeadline) {
  std::promise<void> charging;  // and never answered
  world_.gateway.set_defer([&](testing::FakePaymentGateway::Task) { charging.set_value(); });
  std::thread caller([&] {
    Context context;
    pb::Order order;
    grpc::Status status = orders_->CreateOrder(&context, Request("k"), &order);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    EXPECT_EQ(ReasonOf(status), "ORDER_STILL_RUNNING");
  });
  charging.get_future().wait();
  world_.time.Advance(OrderApiOptions{}.wait_max);
  caller.join();
}

TEST_F(OrderServiceTest, ShowsSagasToOperators) {
  const std::string id = Create("k").order_id();
  Context c1, c2, c3;
  ops::GetSagaRequest get;
  get.set_saga_id(id);
  ops::Saga saga;
  ASSERT_TRUE(sagas_->GetSaga(&c1, get, &saga).ok());
  EXPECT_EQ(saga.state(), ops::COMPENSATED);
  EXPECT_EQ(saga.failure_reason(), "NO_DRIVER_AVAILABLE");
  EXPECT_EQ(saga.log_size(), 3);
  ops::ListSagasRequest list;
  list.add_states(ops::COMPENSATED);
  ops::ListSagasResponse page;
  ASSERT_TRUE(sagas_->ListSagas(&c2, list, &page).ok());
  ASSERT_EQ(page.sagas_size(), 1);
  EXPECT_EQ(page.sagas(0).saga_id(), id);
  ops::RetrySagaRequest retry;
  retry.set_saga_id(id);
  EXPECT_EQ(ReasonOf(sagas_->RetrySaga(&c3, retry, &saga)), "SAGA_FINISHED");
}

TEST_F(OrderServiceTest, ShowsForWhatASagaWaitsAndListsThose) {
  Create("k");
  const std::string id = replica_.AddWaiting("waits", "pi/1", absl::Hours(2)).ToString();
  Context c1, c2, c3;
  ops::GetSagaRequest get;
  get.set_saga_id(id);
  ops::Saga saga;
  ASSERT_TRUE(sagas_->GetSaga(&c1, get, &saga).ok());
  EXPECT_EQ(saga.state(), ops::RUNNING);
  ASSERT_EQ(saga.waits_size(), 1);
  EXPECT_EQ(saga.waits(0).step(), "charge_payment");
  EXPECT_EQ(saga.waits(0).action(), ops::DO);
  EXPECT_EQ(saga.waits(0).token(), "pi/1");
  EXPECT_EQ(saga.waits(0).until().seconds(), absl::ToUnixSeconds(world_.time.Now() + absl::Hours(2)));
  EXPECT_EQ(saga.owner(), "") << "nobody drives it";
  EXPECT_FALSE(saga.has_lease_until());
  EXPECT_EQ(saga.log(0).outcome(), "waiting");
  ops::ListSagasRequest list;
  list.set_waiting(true);
  ops::ListSagasResponse page;
  ASSERT_TRUE(sagas_->ListSagas(&c2, list, &page).ok());
  ASSERT_EQ(page.sagas_size(), 1);
  EXPECT_EQ(page.sagas(0).saga_id(), id);
  EXPECT_EQ(page.sagas(0).waits_size(), 1);

  EXPECT_EQ(Signal(ChargeSignal(id, "pi/1")).result(), ops::SignalSagaResponse::WOKEN);
  ASSERT_TRUE(sagas_->GetSaga(&c3, get, &saga).ok());
  EXPECT_EQ(saga.waits_size(), 0);
}

TEST_F(OrderServiceTest, TakesSignalsWithWhoSaysThem) {
  const std::string id = replica_.AddWaiting("waits", "pi_1", absl::Hours(2)).ToString();
  ops::SignalSagaRequest request = ChargeSignal(id, "pi_2");
  request.set_outcome(ops::SignalSagaRequest::REJECTED);
  request.set_reason("PAYMENT_DECLINED");
  request.set_detail("seen in the console");
  ops::SignalSagaResponse kept = Signal(request);
  EXPECT_EQ(kept.result(), ops::SignalSagaResponse::KEPT);
  EXPECT_EQ(kept.saga().saga_id(), id);
  EXPECT_EQ(kept.saga().log_size(), 1);
  EXPECT_EQ(Signal(request).result(), ops::SignalSagaResponse::REPEATED);
  request = ChargeSignal(id, "pi_3");
  request.set_outcome(ops::SignalSagaRequest::UNKNOWN);
  request.set_reason("NOBODY_KNOWS");
  Signal(request);
  Signal(ChargeSignal(id, "pi_4"));
  const auto& said = world_.book.rows.at(*Uuid::Parse(id)).signals;
  const saga::Outcome& rejected = said.at("charge_payment/do/pi_2").outcome;
  EXPECT_EQ(rejected.kind, saga::Outcome::Kind::kRejected);
  EXPECT_EQ(rejected.reason, "PAYMENT_DECLINED");
  EXPECT_EQ(rejected.detail, "ada: seen in the console");
  EXPECT_EQ(said.at("charge_payment/do/pi_3").outcome.kind, saga::Outcome::Kind::kUnknown);
  EXPECT_EQ(said.at("charge_payment/do/pi_3").outcome.detail, "ada");
  EXPECT_EQ(said.at("charge_payment/do/pi_4").outcome.kind, saga::Outcome::Kind::kSucceeded);

  const std::string ended = Create("k").order_id();
  EXPECT_EQ(Signal(ChargeSignal(ended)).result(), ops::SignalSagaResponse::LATE);
  Context context;
  ops::SignalSagaResponse response;
  grpc::Status unknown = sagas_->SignalSaga(&context, ChargeSignal("01939f6e-0000-7000-8000-000000000001"), &response);
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(unknown), "SAGA_NOT_FOUND");
}

TEST_F(OrderServiceTest, ShowsSagasOfVersionsThatItDoesNotDriveAndChangesNone) {
  const Uuid id = replica_.AddWaiting("waits", "pi_1", absl::Hours(2));
  world_.book.rows.at(id).record->version = 2;
  ops::GetSagaRequest get;
  get.set_saga_id(id.ToString());
  ops::Saga saga;
  Context c1, c2, c3, c4;
  ASSERT_TRUE(sagas_->GetSaga(&c1, get, &saga).ok());
  EXPECT_EQ(saga.kind(), "place_order");
  EXPECT_EQ(saga.version(), 2);
  EXPECT_EQ(saga.step(), "") << "nobody has said what its steps are";
  ops::RetrySagaRequest retry;
  retry.set_saga_id(id.ToString());
  EXPECT_EQ(ReasonOf(sagas_->RetrySaga(&c2, retry, &saga)), "SAGA_NOT_DRIVEN_HERE");
  ops::ResolveSagaRequest resolve;
  resolve.set_saga_id(id.ToString());
  resolve.set_reason("because");
  resolve.set_operator_("ada");
  EXPECT_EQ(ReasonOf(sagas_->ResolveSaga(&c3, resolve, &saga)), "SAGA_NOT_DRIVEN_HERE");
  Context c7, c8;
  ops::SignalSagaResponse signalled;
  EXPECT_EQ(ReasonOf(sagas_->SignalSaga(&c7, ChargeSignal(id.ToString()), &signalled)), "SAGA_NOT_DRIVEN_HERE");
  pb::CancelOrderRequest cancel;
  cancel.set_order_id(id.ToString());
  pb::Order order;
  EXPECT_EQ(ReasonOf(orders_->CancelOrder(&c8, cancel, &order)), "SAGA_NOT_DRIVEN_HERE");
  EXPECT_EQ(world_.book.rows.at(id).record->epoch, 1) << "nobody has touched it";

  ops::ListSagasRequest list;
  list.set_kind("book_trip");
  ops::ListSagasResponse page;
  ASSERT_TRUE(sagas_->ListSagas(&c4, list, &page).ok());
  EXPECT_EQ(page.sagas_size(), 0);
  Context c5, c6;
  list.set_kind("place_order");
  ASSERT_TRUE(sagas_->ListSagas(&c5, list, &page).ok());
  EXPECT_EQ(page.sagas_size(), 1);
  list.set_kind("book trip");
  EXPECT_THAT(FieldsOf(sagas_->ListSagas(&c6, list, &page)), ElementsAre("kind"));
}

TEST_F(OrderServiceTest, RefusesWhatIsNoSignal) {
  auto fields = [this](const ops::SignalSagaRequest& request) {
    Context context;
    ops::SignalSagaResponse response;
    return FieldsOf(sagas_->SignalSaga(&context, request, &response));
  };
  const std::string id = replica_.AddWaiting("waits", "pi_1", absl::Hours(2)).ToString();
  ops::SignalSagaRequest empty;
  empty.set_saga_id(id);
  EXPECT_THAT(fields(empty), ElementsAre("step", "token", "outcome", "reason", "operator"));
  ops::SignalSagaRequest wrong = ChargeSignal(id, "a b");
  wrong.set_step("charge_paiment");
  wrong.set_action(static_cast<ops::SagaAction>(4));
  wrong.set_outcome(static_cast<ops::SignalSagaRequest::Outcome>(4));
  wrong.set_reason(std::string(129, 'R'));
  wrong.set_detail(std::string(513, 'd'));
  wrong.set_operator_(std::string(129, 'o'));
  EXPECT_THAT(fields(wrong), ElementsAre("step", "action", "token", "outcome", "reason", "detail", "operator"));
  ops::SignalSagaRequest reasoned = ChargeSignal(id);
  reasoned.set_reason("PAYMENT_DECLINED");
  EXPECT_THAT(fields(reasoned), ElementsAre("reason"));
  EXPECT_TRUE(world_.book.rows.begin()->second.signals.empty());
}

}  // namespace
}  // namespace waybill::order

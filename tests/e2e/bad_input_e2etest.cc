// Bad input at every field of every request, through the real binary: INVALID_ARGUMENT that names the field, nothing
// written, and the service goes on. And what good clients are promised besides: data is data, a key is one request,
// health says when to go elsewhere.
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

namespace pb = order::v1;
using ::testing::Contains;
using ::testing::Pair;

// Stands for bytes that are not UTF-8, which the generated classes do not like to be given: replaced in what is sent.
constexpr char kNotUtf8[] = "[these-bytes]";

std::string OnTheWire(const google::protobuf::Message& message) {
  std::string bytes = message.SerializeAsString();
  const std::string bad(sizeof kNotUtf8 - 1, '\xff');
  for (size_t at; (at = bytes.find(kNotUtf8)) != std::string::npos;) bytes.replace(at, bad.size(), bad);
  return bytes;
}

void PickUpAt(pb::CreateOrderRequest& request, double latitude, double longitude) {
  request.mutable_pickup()->set_latitude(latitude);
  request.mutable_pickup()->set_longitude(longitude);
}

class BadInputTest : public ::testing::Test {
 protected:
  BadInputTest()
      : stack_([] {
          StackOptions options;
          options.builtin_gateway = true;
          return options;
        }()) {
    stack_.AddReplica("a").Start();
    stack_.PutDrivers(50);
    channel_ =
        grpc::CreateChannel(fmt::format("127.0.0.1:{}", stack_.replica().port()), grpc::InsecureChannelCredentials());
    orders_ = stack_.replica().Orders();
  }

  // `method` is "waybill.order.v1.OrderService/GetOrder". The answer of a call with these very bytes.
  absl::Status Send(const std::string& method, const std::string& bytes, const std::string& client = "e2e") {
    grpc::Slice slice(bytes);
    grpc::ByteBuffer request(&slice, 1), response;
    auto context = Deadline(absl::Seconds(20), client);
    grpc::CompletionQueue queue;
    grpc::GenericStub stub(channel_);
    auto call = stub.PrepareUnaryCall(context.get(), "/" + method, request, &queue);
    call->StartCall();
    grpc::Status status;
    call->Finish(&response, &status, &call);
    void* tag;
    bool ok;
    queue.Next(&tag, &ok);
    return rpc::FromGrpcStatus(status);
  }

  std::string Rows() {
    return stack_.sql().Value("SELECT (SELECT count(*) FROM order_sagas) + (SELECT count(*) FROM saga_signals)");
  }

  static ops::v1::SignalSagaRequest GoodSignal() {
    ops::v1::SignalSagaRequest signal;
    signal.set_step("charge_payment");
    signal.set_token("pi_1");
    signal.set_outcome(ops::v1::SignalSagaRequest::REJECTED);
    signal.set_reason("PAYMENT_DECLINED");
    signal.set_operator_("e2e");
    return signal;
  }

  // The call is refused for this field, and for no other.
  void ExpectRefused(const std::string& method, const std::string& bytes, const std::string& field,
                     const std::string& what, const std::string& client = "e2e") {
    SCOPED_TRACE(method + ": " + what);
    const std::string before = Rows();
    absl::Status status = Send(method, bytes, client);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    const ErrorDetail detail = GetErrorDetail(status);
    EXPECT_THAT(detail.reason, ::testing::AnyOf("BAD_REQUEST", "MALFORMED_REQUEST"));
    EXPECT_THAT(detail.violations, ::testing::ElementsAre(Pair(field, ::testing::Not(""))));
    EXPECT_EQ(Rows(), before) << "something was written";
  }

  template <typename Request>
  struct Case {
    std::string what;
    std::string field;
    std::function<void(Request&)> spoil;
  };
  template <typename Request>
  void ExpectAllRefused(const std::string& method, const Request& good, const std::vector<Case<Request>>& cases) {
    for (const Case<Request>& bad : cases) {
      Request request = good;
      bad.spoil(request);
      ExpectRefused(method, OnTheWire(request), bad.field, bad.what);
    }
    ExpectServing();
  }

  void ExpectServing() {
    static int count = 0;
    pb::Order order;
    auto context = Deadline(absl::Seconds(20));
    grpc::Status status =
        orders_->CreateOrder(context.get(), OrderRequestFor(fmt::format("still-serving-{}", ++count)), &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(order.status(), pb::CONFIRMED);
  }

  pb::Order Create(const pb::CreateOrderRequest& request) {
    pb::Order order;
    auto context = Deadline(absl::Seconds(20));
    grpc::Status status = orders_->CreateOrder(context.get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order;
  }

  Stack stack_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::OrderService::Stub> orders_;
};

template <typename Request>
using Spoil = std::function<void(Request&)>;

TEST_F(BadInputTest, CreateOrder) {
  using R = pb::CreateOrderRequest;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::string huge(100'000, 'x');
  std::vector<Case<R>> cases;
  auto add = [&](std::string what, std::string field, Spoil<R> spoil) {
    cases.push_back({std::move(what), std::move(field), std::move(spoil)});
  };
  for (const std::string& key :
       {std::string(), std::string(256, 'k'), huge, std::string("a b"), std::string("a\tb"), std::string("a\0b", 3),
        std::string("a\x7f"), std::string("schl\u00fcssel"), std::string(kNotUtf8)}) {
    add("key " + key.substr(0, 20), "idempotency_key", [key](R& r) { r.set_idempotency_key(key); });
  }
  for (const std::string& user :
       {std::string(), std::string(129, 'u'), huge, std::string("a b"), std::string("a\nb"), std::string("a\0b", 3),
        std::string("a\u00a0b"), std::string("\u0085"), std::string(kNotUtf8)}) {
    add("user " + user.substr(0, 20), "user_id", [user](R& r) { r.set_user_id(user); });
  }
  add("no amount", "amount", [](R& r) { r.clear_amount(); });
  for (int64_t amount : {int64_t{0}, int64_t{-1}, int64_t{1'000'000'000'001}, std::numeric_limits<int64_t>::max(),
                         std::numeric_limits<int64_t>::min()}) {
    add(fmt::format("amount {}", amount), "amount.minor_units",
        [amount](R& r) { r.mutable_amount()->set_minor_units(amount); });
  }
  for (const std::string& currency : {std::string(), std::string("eur"), std::string("EU"), std::string("EURO"),
                                      std::string("ZZZ"), std::string("E\0R", 3), huge, std::string(kNotUtf8)}) {
    add("currency " + currency.substr(0, 20), "amount.currency",
        [currency](R& r) { r.mutable_amount()->set_currency(currency); });
  }
  for (double latitude : {kNan, kInfinity, -kInfinity, 90.000001, -90.000001, 1e308}) {
    add(fmt::format("latitude {}", latitude), "pickup.latitude", [latitude](R& r) { PickUpAt(r, latitude, 13.40); });
  }
  for (double longitude : {kNan, kInfinity, -kInfinity, 180.000001, -180.000001, -1e308}) {
    add(fmt::format("longitude {}", longitude), "pickup.longitude",
        [longitude](R& r) { PickUpAt(r, 52.52, longitude); });
  }
  add("a longitude alone", "pickup.latitude", [](R& r) { r.mutable_pickup()->set_longitude(13.40); });
  add("a latitude alone", "pickup.longitude", [](R& r) { r.mutable_pickup()->set_latitude(52.52); });
  add("33 entries", "metadata", [](R& r) {
    for (int i = 0; i < 33; ++i) (*r.mutable_metadata())[fmt::format("key-{}", i)] = "value";
  });
  for (const std::string& key : {std::string(), std::string(65, 'k'), std::string("a\nb"), std::string("a\0b", 3)}) {
    add("metadata key " + key.substr(0, 20), "metadata", [key](R& r) { (*r.mutable_metadata())[key] = "value"; });
  }
  for (const std::string& value : {std::string(513, 'v'), huge, std::string("a\0b", 3)}) {
    add("metadata value " + value.substr(0, 20), "metadata[note]",
        [value](R& r) { (*r.mutable_metadata())["note"] = value; });
  }
  add("metadata key not UTF-8", "metadata[0].key", [](R& r) { (*r.mutable_metadata())[kNotUtf8] = "value"; });
  add("metadata value not UTF-8", "metadata[0].value", [](R& r) { (*r.mutable_metadata())["note"] = kNotUtf8; });
  for (int wait : {2, -1, 1'000'000}) {
    add(fmt::format("wait {}", wait), "wait", [wait](R& r) { r.set_wait(static_cast<R::Wait>(wait)); });
  }
  const std::string method = "waybill.order.v1.OrderService/CreateOrder";
  R good = OrderRequestFor("bad-input");
  ExpectAllRefused(method, good, cases);
  for (const std::string& client : {std::string(129, 'c'), std::string("a b")}) {
    ExpectRefused(method, good.SerializeAsString(), "waybill-client", "client " + client.substr(0, 20), client);
  }

  // Everything that is wrong is told at once.
  R all = good;
  all.set_user_id("");
  all.mutable_amount()->set_minor_units(0);
  PickUpAt(all, 91, 13.40);
  EXPECT_EQ(GetErrorDetail(Send(method, all.SerializeAsString())).violations.size(), 3u);

  // Bytes that are no message at all.
  for (const std::string& bytes : {std::string("\xff\xff\xff\xff"), std::string("\x0a\x7f"), std::string(1000, '\x0b'),
                                   good.SerializeAsString().substr(0, 5)}) {
    absl::Status status = Send(method, bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(GetErrorDetail(status).reason, "MALFORMED_REQUEST") << status;
  }
  EXPECT_EQ(Rows(), "1");  // the one of ExpectServing
  ExpectServing();

  // The edges of what is allowed.
  R edge = OrderRequestFor(std::string(255, 'k'), 1'000'000'000'000);
  std::string longest_user;
  for (int i = 0; i < 128; ++i) longest_user += "\u00fc";
  edge.set_user_id(longest_user);
  for (int i = 0; i < 32; ++i) (*edge.mutable_metadata())[fmt::format("{:064}", i)] = std::string(512, 'v');
  edge.mutable_pickup()->set_latitude(-90);
  edge.mutable_pickup()->set_longitude(180);
  EXPECT_EQ(Create(edge).metadata_size(), 32);
}

std::vector<std::string> BadIds() {
  return {"",
          "x",
          "00000000-0000-0000-0000-00000000000",
          "00000000-0000-0000-0000-0000000000000",
          "g0000000-0000-0000-0000-000000000000",
          "00000000000000000000000000000000",
          "{0000000-0000-0000-0000-00000000000}",
          "' OR '1'='1",
          std::string("00000000-0000-0000-0000-00000000000\0", 36),
          std::string(100'000, '0'),
          kNotUtf8};
}

TEST_F(BadInputTest, Ids) {
  auto expect = [this](const std::string& method, auto request, auto set, const std::string& field) {
    for (const std::string& id : BadIds()) {
      set(request, id);
      ExpectRefused(method, OnTheWire(request), field, id.substr(0, 40));
    }
    set(request, "01900000-0000-7000-8000-000000000000");
    EXPECT_EQ(Send(method, request.SerializeAsString()).code(), absl::StatusCode::kNotFound) << method;
  };
  auto order = [](auto& request, const std::string& id) { request.set_order_id(id); };
  auto saga = [](auto& request, const std::string& id) { request.set_saga_id(id); };
  expect("waybill.order.v1.OrderService/GetOrder", pb::GetOrderRequest(), order, "order_id");
  expect("waybill.order.v1.OrderService/WatchOrder", pb::WatchOrderRequest(), order, "order_id");
  expect("waybill.order.v1.OrderService/CancelOrder", pb::CancelOrderRequest(), order, "order_id");
  expect("waybill.order.v1.OrderService/CompleteOrder", pb::CompleteOrderRequest(), order, "order_id");
  expect("waybill.ops.v1.SagaAdmin/GetSaga", ops::v1::GetSagaRequest(), saga, "saga_id");
  expect("waybill.ops.v1.SagaAdmin/RetrySaga", ops::v1::RetrySagaRequest(), saga, "saga_id");
  ops::v1::ResolveSagaRequest resolve;
  resolve.set_reason("paid back by hand");
  resolve.set_operator_("e2e");
  expect("waybill.ops.v1.SagaAdmin/ResolveSaga", resolve, saga, "saga_id");
  expect("waybill.ops.v1.SagaAdmin/SignalSaga", GoodSignal(), saga, "saga_id");
  ExpectServing();
}

TEST_F(BadInputTest, Signal) {
  ops::v1::SignalSagaRequest good = GoodSignal();
  good.set_saga_id(Create(OrderRequestFor("bad-input")).order_id());
  using S = ops::v1::SignalSagaRequest;
  const std::string huge(100'000, 'x');
  std::vector<Case<S>> cases = {
      {"no step", "step", [](S& r) { r.clear_step(); }},
      {"no such step", "step", [](S& r) { r.set_step("refund_payment"); }},
      {"huge", "step", [huge](S& r) { r.set_step(huge); }},
      {"not UTF-8", "step", [](S& r) { r.set_step(kNotUtf8); }},
      {"no outcome", "outcome", [](S& r) { r.clear_outcome(); }},
      {"4", "outcome", [](S& r) { r.set_outcome(static_cast<S::Outcome>(4)); }},
      {"-1", "outcome", [](S& r) { r.set_outcome(static_cast<S::Outcome>(-1)); }},
      {"of what succeeded", "reason", [](S& r) { r.set_outcome(S::SUCCEEDED); }},
      {"none of what is unknown", "reason",
       [](S& r) {
         r.set_outcome(S::UNKNOWN);
         r.clear_reason();
       }},
      {"513 characters", "detail", [](S& r) { r.set_detail(std::string(513, 'd')); }},
      {"NUL", "detail", [](S& r) { r.set_detail(std::string("a\0b", 3)); }},
      {"not UTF-8", "detail", [](S& r) { r.set_detail(kNotUtf8); }},
      {"empty", "operator", [](S& r) { r.clear_operator_(); }},
      {"129 characters", "operator", [](S& r) { r.set_operator_(std::string(129, 'o')); }},
      {"NUL", "operator", [](S& r) { r.set_operator_(std::string("a\0b", 3)); }},
  };
  for (const std::string& bad :
       {std::string(), std::string(129, 'k'), huge, std::string("a b"), std::string("a\tb"), std::string("a\0b", 3),
        std::string("a\x7f"), std::string("schl\u00fcssel"), std::string(kNotUtf8)}) {
    cases.push_back({bad.substr(0, 20), "token", [bad](S& r) { r.set_token(bad); }});
    cases.push_back({bad.substr(0, 20), "reason", [bad](S& r) { r.set_reason(bad); }});
  }
  ExpectAllRefused<S>("waybill.ops.v1.SagaAdmin/SignalSaga", good, cases);
}

TEST_F(BadInputTest, Fleet) {
  using P = fleet::v1::PutDriversRequest;
  P put;
  put.add_drivers()->set_driver_id("ann");
  put.mutable_drivers(0)->set_latitude(41.15);
  put.mutable_drivers(0)->set_longitude(-8.61);
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::string> bad_ids = {"",
                                            std::string(129, 'x'),
                                            std::string(100'000, 'x'),
                                            "two words",
                                            std::string("a\0b", 3),
                                            "a\x7f",
                                            "schl\u00fcssel",
                                            kNotUtf8};
  std::vector<Case<P>> puts = {
      {"nobody", "drivers", [](P& r) { r.clear_drivers(); }},
      {"1,001", "drivers",
       [](P& r) {
         for (int i = 0; i < 1'000; ++i) *r.add_drivers() = r.drivers(0);
       }},
      {"not said", "drivers[0].latitude", [](P& r) { r.mutable_drivers(0)->clear_latitude(); }},
      {"not said", "drivers[0].longitude", [](P& r) { r.mutable_drivers(0)->clear_longitude(); }},
      {"NaN", "drivers[0].latitude", [nan](P& r) { r.mutable_drivers(0)->set_latitude(nan); }},
      {"90.1", "drivers[0].latitude", [](P& r) { r.mutable_drivers(0)->set_latitude(90.1); }},
      {"-180.1", "drivers[0].longitude", [](P& r) { r.mutable_drivers(0)->set_longitude(-180.1); }},
      {"infinity", "drivers[0].accuracy_m", [infinity](P& r) { r.mutable_drivers(0)->set_accuracy_m(infinity); }},
      {"-1", "drivers[0].speed_mps", [](P& r) { r.mutable_drivers(0)->set_speed_mps(-1); }},
      {"361", "drivers[0].heading_deg", [](P& r) { r.mutable_drivers(0)->set_heading_deg(361); }},
      {"0", "drivers[0].capacity", [](P& r) { r.mutable_drivers(0)->set_capacity(0); }},
      {"the least", "drivers[0].capacity",
       [](P& r) { r.mutable_drivers(0)->set_capacity(std::numeric_limits<int32_t>::min()); }},
      {"negative", "ttl", [](P& r) { r.mutable_ttl()->set_seconds(-1); }},
      {"overflow", "ttl", [](P& r) { r.mutable_ttl()->set_seconds(std::numeric_limits<int64_t>::max()); }},
      {"too many nanos", "ttl", [](P& r) { r.mutable_ttl()->set_nanos(1'000'000'000); }},
  };
  using D = fleet::v1::SetDutyRequest;
  D duty;
  duty.set_driver_id("ann");
  duty.set_duty(fleet::v1::OFF_DUTY);
  std::vector<Case<D>> duties = {{"none", "duty", [](D& r) { r.clear_duty(); }},
                                 {"unknown", "duty", [](D& r) { r.set_duty(static_cast<fleet::v1::Duty>(99)); }}};
  using C = fleet::v1::SetCapacityRequest;
  C capacity;
  capacity.set_driver_id("ann");
  capacity.set_capacity(2);
  std::vector<Case<C>> capacities = {{"0", "capacity", [](C& r) { r.set_capacity(0); }},
                                     {"1,001", "capacity", [](C& r) { r.set_capacity(1'001); }}};
  using G = fleet::v1::GetDriverRequest;
  std::vector<Case<G>> gets;
  for (const std::string& bad : bad_ids) {
    const std::string what = bad.substr(0, 20);
    // Text that is not UTF-8 is found while the message is read, which names the field without its place in a list.
    const bool not_utf8 = bad == kNotUtf8;
    if (!not_utf8)
      puts.push_back({what, "drivers[0].driver_id", [bad](P& r) { r.mutable_drivers(0)->set_driver_id(bad); }});
    duties.push_back({what, "driver_id", [bad](D& r) { r.set_driver_id(bad); }});
    capacities.push_back({what, "driver_id", [bad](C& r) { r.set_driver_id(bad); }});
    gets.push_back({what, "driver_id", [bad](G& r) { r.set_driver_id(bad); }});
  }
  using L = fleet::v1::ListDriversRequest;
  ExpectAllRefused<P>("waybill.fleet.v1.FleetService/PutDrivers", put, puts);
  ExpectAllRefused<D>("waybill.fleet.v1.FleetService/SetDuty", duty, duties);
  ExpectAllRefused<C>("waybill.fleet.v1.FleetService/SetCapacity", capacity, capacities);
  ExpectAllRefused<G>("waybill.fleet.v1.FleetService/GetDriver", G(), gets);
  ExpectAllRefused<L>("waybill.fleet.v1.FleetService/ListDrivers", L(),
                      {{"-1", "page_size", [](L& r) { r.set_page_size(-1); }},
                       {"501", "page_size", [](L& r) { r.set_page_size(501); }},
                       {"nonsense", "page_token", [](L& r) { r.set_page_token("nonsense"); }},
                       {"not UTF-8", "page_token", [](L& r) { r.set_page_token(kNotUtf8); }}});
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM drivers"), "0");
}

TEST_F(BadInputTest, WatchCancelAndResolve) {
  const pb::Order order = Create(OrderRequestFor("bad-input"));
  pb::WatchOrderRequest watch;
  watch.set_order_id(order.order_id());
  using W = pb::WatchOrderRequest;
  ExpectAllRefused<W>(
      "waybill.order.v1.OrderService/WatchOrder", watch,
      {{"-1", "from_sequence", [](W& r) { r.set_from_sequence(-1); }},
       {"the least", "from_sequence", [](W& r) { r.set_from_sequence(std::numeric_limits<int64_t>::min()); }}});
  pb::CancelOrderRequest cancel;
  cancel.set_order_id(order.order_id());
  using C = pb::CancelOrderRequest;
  ExpectAllRefused<C>("waybill.order.v1.OrderService/CancelOrder", cancel,
                      {{"513 characters", "reason", [](C& r) { r.set_reason(std::string(513, 'r')); }},
                       {"NUL", "reason", [](C& r) { r.set_reason(std::string("a\0b", 3)); }},
                       {"not UTF-8", "reason", [](C& r) { r.set_reason(kNotUtf8); }}});
  ops::v1::ResolveSagaRequest resolve;
  resolve.set_saga_id(order.order_id());
  resolve.set_reason("paid back by hand");
  resolve.set_operator_("e2e");
  using S = ops::v1::ResolveSagaRequest;
  ExpectAllRefused<S>("waybill.ops.v1.SagaAdmin/ResolveSaga", resolve,
                      {{"empty", "reason", [](S& r) { r.clear_reason(); }},
                       {"513 characters", "reason", [](S& r) { r.set_reason(std::string(513, 'r')); }},
                       {"NUL", "reason", [](S& r) { r.set_reason(std::string("a\0b", 3)); }},
                       {"not UTF-8", "reason", [](S& r) { r.set_reason(kNotUtf8); }},
                       {"empty", "operator", [](S& r) { r.clear_operator_(); }},
                       {"129 characters", "operator", [](S& r) { r.set_operator_(std::string(129, 'o')); }},
                       {"NUL", "operator", [](S& r) { r.set_operator_(std::string("a\0b", 3)); }},
                       {"not UTF-8", "operator", [](S& r) { r.set_operator_(kNotUtf8); }}});
  pb::Order after;
  pb::GetOrderRequest get;
  get.set_order_id(order.order_id());
  ASSERT_TRUE(orders_->GetOrder(Deadline(absl::Seconds(20)).get(), get, &after).ok());
  EXPECT_EQ(after.status(), pb::CONFIRMED);
  EXPECT_EQ(after.transitions_size(), 3);
}

TEST_F(BadInputTest, Lists) {
  Create(OrderRequestFor("one"));
  Create(OrderRequestFor("two"));
  pb::ListOrdersRequest first;
  first.set_page_size(1);
  first.set_user_id("user-1");
  pb::ListOrdersResponse page;
  ASSERT_TRUE(orders_->ListOrders(Deadline(absl::Seconds(20)).get(), first, &page).ok());
  const std::string token = page.next_page_token();
  ASSERT_FALSE(token.empty());

  using L = pb::ListOrdersRequest;
  auto status = [](int value) { return [value](L& r) { r.add_statuses(static_cast<pb::OrderStatus>(value)); }; };
  auto from = [](int64_t seconds, int nanos) {
    return [=](L& r) {
      r.mutable_created_from()->set_seconds(seconds);
      r.mutable_created_from()->set_nanos(nanos);
    };
  };
  auto to = [](int64_t seconds, int nanos) {
    return [=](L& r) {
      r.mutable_created_to()->set_seconds(seconds);
      r.mutable_created_to()->set_nanos(nanos);
    };
  };
  std::vector<Case<L>> orders = {
      {"-1", "page_size", [](L& r) { r.set_page_size(-1); }},
      {"501", "page_size", [](L& r) { r.set_page_size(501); }},
      {"the least", "page_size", [](L& r) { r.set_page_size(std::numeric_limits<int32_t>::min()); }},
      {"129 characters", "user_id", [](L& r) { r.set_user_id(std::string(129, 'u')); }},
      {"NUL", "user_id", [](L& r) { r.set_user_id(std::string("a\0b", 3)); }},
      {"not UTF-8", "user_id", [](L& r) { r.set_user_id(kNotUtf8); }},
      {"unspecified", "statuses[0]", status(0)},
      {"unknown", "statuses[0]", status(99)},
      {"negative", "statuses[0]", status(-1)},
      {"negative nanos", "created_from", from(1, -1)},
      {"too many nanos", "created_from", from(1, 1'000'000'000)},
      {"after the year 9999", "created_from", from(253'402'300'800, 0)},
      {"overflow", "created_from", from(std::numeric_limits<int64_t>::max(), 0)},
      {"before the year 1", "created_to", to(-62'135'596'801, 0)},
      {"underflow", "created_to", to(std::numeric_limits<int64_t>::min(), 0)},
      {"negative nanos", "created_to", to(1, -1)},
  };
  const std::vector<std::string> bad_tokens = {"x",
                                               "not base64!",
                                               token + "A",
                                               token.substr(1),
                                               "A" + token.substr(1) + "AAAA",
                                               "' OR '1'='1",
                                               std::string("\0", 1),
                                               std::string(100'000, 'A'),
                                               kNotUtf8};
  for (const std::string& bad : bad_tokens) {
    orders.push_back({"token " + bad.substr(0, 40), "page_token", [bad](L& r) { r.set_page_token(bad); }});
  }
  orders.push_back({"token of another filter", "page_token", [token](L& r) {
                      r.set_user_id("somebody-else");
                      r.set_page_token(token);
                    }});
  ExpectAllRefused<L>("waybill.order.v1.OrderService/ListOrders", first, orders);

  using S = ops::v1::ListSagasRequest;
  auto age = [](int64_t seconds, int nanos) {
    return [=](S& r) {
      r.mutable_min_age()->set_seconds(seconds);
      r.mutable_min_age()->set_nanos(nanos);
    };
  };
  std::vector<Case<S>> sagas = {
      {"-1", "page_size", [](S& r) { r.set_page_size(-1); }},
      {"501", "page_size", [](S& r) { r.set_page_size(501); }},
      {"unspecified", "states[0]", [](S& r) { r.add_states(ops::v1::SAGA_STATE_UNSPECIFIED); }},
      {"unknown", "states[1]",
       [](S& r) {
         r.add_states(ops::v1::RUNNING);
         r.add_states(static_cast<ops::v1::SagaState>(99));
       }},
      {"negative", "min_age", age(-1, 0)},
      {"negative nanos", "min_age", age(0, -1)},
      {"too many nanos", "min_age", age(0, 1'000'000'000)},
      {"overflow", "min_age", age(std::numeric_limits<int64_t>::max(), 0)},
      {"token of the other list", "page_token", [token](S& r) { r.set_page_token(token); }},
  };
  for (const std::string& bad : bad_tokens) {
    sagas.push_back({"token " + bad.substr(0, 40), "page_token", [bad](S& r) { r.set_page_token(bad); }});
  }
  ExpectAllRefused<S>("waybill.ops.v1.SagaAdmin/ListSagas", S(), sagas);

  using E = ops::v1::ListEntriesRequest;
  std::vector<Case<E>> entries = {
      {"-1", "page_size", [](E& r) { r.set_page_size(-1); }},
      {"too long", "subject", [](E& r) { r.set_subject(std::string(257, 'x')); }},
      {"a NUL", "client", [](E& r) { r.set_client(std::string("a\0b", 3)); }},
      {"no time", "from", [](E& r) { r.mutable_from()->set_nanos(-1); }},
      {"no time", "to", [](E& r) { r.mutable_to()->set_seconds(std::numeric_limits<int64_t>::max()); }},
      {"token of another list", "page_token", [token](E& r) { r.set_page_token(token); }},
  };
  for (const std::string& bad : bad_tokens) {
    entries.push_back({"token " + bad.substr(0, 40), "page_token", [bad](E& r) { r.set_page_token(bad); }});
  }
  ExpectAllRefused<E>("waybill.ops.v1.AuditAdmin/ListEntries", E(), entries);
}

TEST_F(BadInputTest, SqlIsData) {
  const std::vector<std::string> texts = {
      "';DROP/**/TABLE/**/order_sagas;--",
      "$1::text||(SELECT/**/pg_sleep(9))",
      "{NULL,\"a\",b}",
      "NULL",
      "\\",
      "\"",
      "\\u0000",
      "%s%n{}",
      "a,b",
      "\\x00\\N",
  };
  for (const std::string& text : texts) {
    SCOPED_TRACE(text);
    pb::CreateOrderRequest request = OrderRequestFor(text);
    request.set_user_id(text);
    (*request.mutable_metadata())[text] = text + "\n'; DELETE FROM order_sagas; --";
    pb::Order order;
    auto context = Deadline(absl::Seconds(20), text);  // the client's name too
    grpc::Status status = orders_->CreateOrder(context.get(), request, &order);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(order.status(), pb::CONFIRMED);

    auto cancelling = Deadline(absl::Seconds(20));
    pb::CancelOrderRequest cancel;
    cancel.set_order_id(order.order_id());
    cancel.set_reason(text);
    status = orders_->CancelOrder(cancelling.get(), cancel, &order);
    ASSERT_TRUE(status.ok()) << status.error_message();

    pb::GetOrderRequest get;
    get.set_order_id(order.order_id());
    ASSERT_TRUE(orders_->GetOrder(Deadline(absl::Seconds(20)).get(), get, &order).ok());
    EXPECT_EQ(order.idempotency_key(), text);
    EXPECT_EQ(order.user_id(), text);
    ASSERT_EQ(order.metadata_size(), 1);
    EXPECT_EQ(order.metadata().at(text), text + "\n'; DELETE FROM order_sagas; --");
    bool reason_kept = false;
    for (const auto& transition : order.transitions()) reason_kept |= transition.detail() == text;
    EXPECT_TRUE(reason_kept) << order.DebugString();

    pb::ListOrdersRequest list;
    list.set_user_id(text);
    pb::ListOrdersResponse page;
    ASSERT_TRUE(orders_->ListOrders(Deadline(absl::Seconds(20)).get(), list, &page).ok());
    ASSERT_EQ(page.orders_size(), 1);
    EXPECT_EQ(page.orders(0).order_id(), order.order_id());
    EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM order_sagas WHERE client = $1 AND idempotency_key = $1 "
                                 "AND user_id = $1 AND metadata ? $1",
                                 {text}),
              "1");
  }
  EXPECT_EQ(Rows(), std::to_string(texts.size()));
}

TEST_F(BadInputTest, AKeyIsOneRequest) {
  pb::CreateOrderRequest request = OrderRequestFor("reused");
  request.mutable_pickup()->set_latitude(52.52);
  request.mutable_pickup()->set_longitude(13.40);
  (*request.mutable_metadata())["shop"] = "one";
  const pb::Order first = Create(request);

  using R = pb::CreateOrderRequest;
  const std::vector<std::pair<std::string, Spoil<R>>> changes = {
      {"user_id", [](R& r) { r.set_user_id("user-2"); }},
      {"amount.minor_units", [](R& r) { r.mutable_amount()->set_minor_units(1251); }},
      {"amount.currency", [](R& r) { r.mutable_amount()->set_currency("USD"); }},
      {"pickup", [](R& r) { r.clear_pickup(); }},
      {"metadata", [](R& r) { (*r.mutable_metadata())["shop"] = "two"; }},
      {"user_id,metadata",
       [](R& r) {
         r.set_user_id("user-2");
         r.clear_metadata();
       }},
  };
  for (const auto& [fields, change] : changes) {
    SCOPED_TRACE(fields);
    R changed = request;
    change(changed);
    absl::Status status = Send("waybill.order.v1.OrderService/CreateOrder", changed.SerializeAsString());
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    const ErrorDetail detail = GetErrorDetail(status);
    EXPECT_EQ(detail.reason, "IDEMPOTENCY_KEY_REUSED");
    EXPECT_THAT(detail.metadata, Contains(Pair("fields", fields)));
  }

  // How long to wait is not part of what was asked for.
  for (auto wait : {R::UNTIL_SETTLED, R::UNTIL_ACCEPTED}) {
    request.set_wait(wait);
    pb::Order again;
    auto context = Deadline(absl::Seconds(20));
    ASSERT_TRUE(orders_->CreateOrder(context.get(), request, &again).ok());
    EXPECT_EQ(again.order_id(), first.order_id());
    const auto& metadata = context->GetServerInitialMetadata();
    auto replayed = metadata.find("idempotency-replayed");
    ASSERT_NE(replayed, metadata.end());
    EXPECT_EQ(replayed->second, "true");
  }
  EXPECT_EQ(Rows(), "1");

  // The same key of another client is another order, and new.
  pb::Order other;
  auto context = Deadline(absl::Seconds(20), "somebody-else");
  ASSERT_TRUE(orders_->CreateOrder(context.get(), request, &other).ok());
  EXPECT_NE(other.order_id(), first.order_id());
  EXPECT_EQ(context->GetServerInitialMetadata().count("idempotency-replayed"), 0u);
}

TEST_F(BadInputTest, HealthSaysWhenItEnds) {
  namespace health = grpc::health::v1;
  auto stub = health::Health::NewStub(channel_);
  auto context = Deadline(absl::Seconds(60));
  health::HealthCheckRequest request;
  request.set_service("waybill.order.v1.OrderService");
  auto watch = stub->Watch(context.get(), request);
  health::HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), health::HealthCheckResponse::SERVING);
  ASSERT_TRUE(stack_.replica().process().Signal(SIGTERM));
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), health::HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(stack_.replica().process().Wait(absl::Seconds(20)), 0);
  EXPECT_EQ(stack_.Unfinished(), 0);
}

}  // namespace
}  // namespace waybill::testing

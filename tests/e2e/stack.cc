#include "tests/e2e/stack.h"

#include <cstdlib>
#include <filesystem>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "storage/redis/redis_fleet.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

constexpr absl::Duration kStackStartMax = absl::Seconds(30);

}  // namespace

order::v1::CreateOrderRequest OrderRequestFor(const std::string& key, int64_t amount_minor) {
  order::v1::CreateOrderRequest request;
  request.set_idempotency_key(key);
  request.set_user_id("user-1");
  request.mutable_amount()->set_minor_units(amount_minor);
  request.mutable_amount()->set_currency("EUR");
  return request;
}

std::unique_ptr<order::v1::OrderService::Stub> OrderReplica::Orders() const {
  return order::v1::OrderService::NewStub(Channel());
}

std::unique_ptr<ops::v1::SagaAdmin::Stub> OrderReplica::Admin() const { return ops::v1::SagaAdmin::NewStub(Channel()); }

std::unique_ptr<fleet::v1::FleetService::Stub> OrderReplica::Fleet() const {
  return fleet::v1::FleetService::NewStub(Channel());
}

// --- Stack

Stack::Stack(StackOptions options) : options_(std::move(options)) {
  if (!options_.database_url.empty()) {
    database_url_ = options_.database_url;
  } else {
    database_ =
        options_.postgres ? std::make_unique<TestDatabase>(options_.postgres->Url()) : std::make_unique<TestDatabase>();
    database_url_ = database_->url();
  }
  if (!options_.redis_url.empty()) {
    redis_url_ = options_.redis_url;
  } else if (options_.redis) {
    redis_url_ = options_.redis->Url();
  } else {
    test_redis_ = std::make_unique<TestRedis>();
    redis_url_ = test_redis_->url();
  }
  sql_ = std::make_unique<Sql>(database_url_);
  LaunchSandbox();
}

void Stack::LaunchSandbox() {
  ProcessOptions process;
  process.args = options_.sandbox_args;
  const std::string ports = directory_.path().string() + "/sandbox.ports";
  std::remove(ports.c_str());
  process.args.insert(process.args.end(),
                      {"--listen", fmt::format("127.0.0.1:{}", sandbox_port()), "--side-listen", "127.0.0.1:0", "--log",
                       directory_.path().string() + "/sandbox.log", "--port-file", ports});
  auto started = Process::Start(WAYBILL_SANDBOX_BINARY, process);
  ASSERT_TRUE(started.ok()) << started.status();
  sandbox_ = *std::move(started);
  ASSERT_TRUE(Eventually(kStackStartMax, [&] { return ReadPortFile(ports).contains("grpc"); })) << sandbox_->Output();
}

OrderReplica& Stack::AddReplica(const std::string& instance) {
  const std::string directory = directory_.path().string() + "/" + instance;
  std::filesystem::create_directory(directory);
  const std::string sandbox = fmt::format("grpc://127.0.0.1:{}", sandbox_port());
  std::vector<std::string> args = {"--instance",
                                   instance,
                                   "--database-url",
                                   database_url_,
                                   "--redis-url",
                                   redis_url_,
                                   "--migrate",
                                   "--payment-gateway",
                                   options_.builtin_gateway ? "builtin" : sandbox,
                                   "--dispatch",
                                   options_.remote_dispatch ? sandbox : "builtin"};
  if (options_.payouts) args.insert(args.end(), {"--payout-gateway", sandbox});
  args.insert(args.end(), options_.order_args.begin(), options_.order_args.end());
  replicas_.push_back(std::make_unique<OrderReplica>(WAYBILL_ORDER_BINARY, args, directory));
  return *replicas_.back();
}

void Stack::PutDrivers(int count) {
  auto url = storage::RedisUrl::Parse(redis_url_);
  ASSERT_TRUE(url.ok()) << url.status();
  storage::RedisFleet fleet(*url, {}, ThreadLoops());
  std::vector<domain::DriverPosition> positions;
  for (int i = 1; i <= count; ++i) {
    domain::DriverPosition position;
    position.driver_id = fmt::format("driver-{}", i);
    position.point = {52.52 + 0.0001 * i, 13.40};
    position.recorded_at = absl::Now();
    positions.push_back(position);
  }
  absl::Status put = fleet.Put(positions, absl::Hours(1));
  ASSERT_TRUE(put.ok()) << put;
}

void Stack::SetBehaviour(const sandbox::v1::Behaviour& behaviour, sandbox::v1::Target target) {
  sandbox::v1::SetBehaviourRequest request;
  request.set_target(target);
  *request.mutable_behaviour() = behaviour;
  sandbox::v1::Behaviours response;
  auto context = Deadline(absl::Seconds(10));
  grpc::Status status =
      sandbox::v1::SandboxAdmin::NewStub(ConnectTo(sandbox_port()))->SetBehaviour(context.get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
}

grpc::Status Stack::DecidePayment(const std::string& order_id, bool approve, std::string* token) {
  using sandbox::v1::DecidePaymentRequest;
  DecidePaymentRequest request;
  request.set_idempotency_key(order_id + "/charge_payment");
  request.set_decision(approve ? DecidePaymentRequest::APPROVED : DecidePaymentRequest::DECLINED);
  sandbox::v1::DecidePaymentResponse response;
  auto context = Deadline(absl::Seconds(10));
  grpc::Status status =
      sandbox::v1::SandboxAdmin::NewStub(ConnectTo(sandbox_port()))->DecidePayment(context.get(), request, &response);
  if (token != nullptr) *token = response.token();
  return status;
}

void Stack::KillSandbox() {
  sandbox_->Signal(SIGKILL);
  sandbox_->Wait(absl::Seconds(10));
}

void Stack::RestartSandbox() {
  if (sandbox_->Running()) KillSandbox();
  LaunchSandbox();
}

int64_t Stack::Unfinished() {
  return std::atoll(sql()
                        .Value("SELECT count(*) FROM all_sagas "
                               "WHERE state IN ('running', 'closing', 'compensating')")
                        .c_str());
}

bool Stack::WaitUntilAllSettled(absl::Duration timeout) {
  return Eventually(timeout, [this] { return Unfinished() == 0; });
}

std::vector<std::string> Stack::WrongInTheBooks() {
  std::vector<std::string> wrong;
  sandbox::v1::Books books;
  auto context = Deadline(absl::Seconds(30));
  grpc::Status status =
      sandbox::v1::SandboxAdmin::NewStub(ConnectTo(sandbox_port()))->GetBooks(context.get(), {}, &books);
  if (!status.ok()) return {"the sandbox does not show its books: " + status.error_message()};
  std::map<std::string, sandbox::v1::Books::Entry> gateway, dispatcher;
  for (const auto& entry : books.entries()) {
    (entry.idempotency_key().ends_with("/charge_payment") ? gateway : dispatcher)[entry.idempotency_key()] = entry;
  }
  std::map<std::string, int> known;
  for (const auto& row :
       sql().Rows("SELECT s.order_id, s.state, s.amount_minor, p.amount_minor, p.refund_minor, a.driver_id "
                  ", COALESCE((SELECT sum(r.amount_minor) FROM partial_refunds r WHERE r.order_id = s.order_id AND "
                  "r.state = 'done'), 0) "
                  "FROM order_sagas s LEFT JOIN payments p USING (order_id) "
                  "LEFT JOIN order_assignments a ON a.order_id = s.order_id AND a.released_at IS NULL")) {
    const std::string &id = row[0], &state = row[1], &amount = row[2], &paid = row[3], &refunded = row[4],
                      &driver = row[5];
    const int64_t parts = std::atoll(row[6].c_str());
    const bool holds = state == "succeeded" || state == "closed";
    auto complain = [&](std::string_view what) { wrong.push_back(fmt::format("order {} ({}): {}", id, state, what)); };
    if (state == "resolved") {  // an operator has settled the money outside
      ++known[id + "/charge_payment"];
      continue;
    }
    if (!options_.builtin_gateway) {
      const auto& entry = gateway[id + "/charge_payment"];
      ++known[id + "/charge_payment"];
      if (entry.charges() > 1) complain("the gateway charged it more than once");
      const int64_t net = entry.charged_minor() - entry.refunded_minor();
      if (holds && std::to_string(net + parts) != amount)
        complain(fmt::format("the gateway holds {} of {}", net, amount));
      if (!holds && net != 0) complain(fmt::format("the gateway still holds {}", net));
      if (paid != "NULL" && std::to_string(entry.charged_minor()) != paid)
        complain("payments and gateway differ on the charge");
      if (paid == "NULL" && entry.charged_minor() != 0) complain("the gateway charged it, and payments does not know");
      if (!entry.pending_token().empty()) complain("the gateway may still charge it");
      if (refunded != "NULL" && std::to_string(entry.refunded_minor()) != refunded)
        complain("they differ on the refund");
    }
    if (holds && parts > std::atoll(amount.c_str())) complain("more went back than was charged");
    if (holds && (paid != amount || refunded != "NULL")) complain("payments says it is not paid");
    if (!holds && paid != refunded) complain("payments says it is not refunded");
    if ((driver != "NULL") != (state == "succeeded")) complain("holds driver " + driver);
    if (options_.remote_dispatch) {
      const std::string& theirs = dispatcher[id + "/assign_driver"].driver_id();
      if (state == "succeeded" && theirs != driver)
        complain(fmt::format("holds driver {}, the dispatcher says '{}'", driver, theirs));
      if (state != "succeeded" && !theirs.empty()) complain("the dispatcher still gives it driver " + theirs);
    }
    if (state == "running" || state == "closing" || state == "compensating") complain("is unfinished");
  }
  if (!options_.builtin_gateway) {
    for (const auto& [key, entry] : gateway) {
      if (!known.contains(key)) wrong.push_back("the gateway knows " + key + ", and we do not");
    }
  }
  for (const auto& row :
       sql().Rows("SELECT order_id, seq FROM (SELECT order_id, seq, state, "
                  "lag(state) OVER w AS before, row_number() OVER w AS n FROM order_saga_steps "
                  "WINDOW w AS (PARTITION BY order_id ORDER BY seq)) l WHERE state < before OR seq <> n")) {
    wrong.push_back(fmt::format("the log of order {} goes back or has a gap at {}", row[0], row[1]));
  }
  for (const auto& row : sql().Rows("SELECT order_id FROM order_sagas s WHERE seq <> "
                                    "(SELECT count(*) FROM order_saga_steps l WHERE l.order_id = s.order_id)")) {
    wrong.push_back(fmt::format("order {} and its log disagree on how long it is", row[0]));
  }
  return wrong;
}

}  // namespace waybill::testing

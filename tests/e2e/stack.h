// The built binaries, running together for one test: a sandbox, any number of order services, a database and a Redis of
// the test's own. And the books' oracle: what must hold whatever happened.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "tests/e2e/service_process.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/redis.h"
#include "tests/support/reserved_port.h"
#include "tests/support/temp_directory.h"
#include "waybill/fleet/v1/fleet.grpc.pb.h"
#include "waybill/ops/v1/ops.grpc.pb.h"
#include "waybill/order/v1/order.grpc.pb.h"
#include "waybill/sandbox/v1/sandbox.grpc.pb.h"

namespace waybill::testing {

// One waybill-order.
class OrderReplica : public ServiceProcess {
 public:
  using ServiceProcess::ServiceProcess;
  std::unique_ptr<order::v1::OrderService::Stub> Orders() const;
  std::unique_ptr<ops::v1::SagaAdmin::Stub> Admin() const;
  std::unique_ptr<fleet::v1::FleetService::Stub> Fleet() const;
};

struct StackOptions {
  bool builtin_gateway = false;
  bool remote_dispatch = false;
  bool payouts = false;  // by the sandbox
  std::vector<std::string> order_args;
  std::vector<std::string> sandbox_args;
  // Servers of the test's own, for tests that break them; null: a database on the shared ones.
  PostgresServer* postgres = nullptr;
  RedisServer* redis = nullptr;
  // An empty database and a Redis of the test's own, where there is more between them and us than a server; "": as
  // above.
  std::string database_url;
  std::string redis_url;
};

class Stack {
 public:
  explicit Stack(StackOptions options);

  OrderReplica& AddReplica(const std::string& instance);
  OrderReplica& replica(size_t index = 0) { return *replicas_[index]; }

  // `count` drivers "driver-1", … around Alexanderplatz (52.52, 13.40), fresh for an hour; capacity one each.
  void PutDrivers(int count);
  int sandbox_port() const { return sandbox_port_.port(); }  // gateway and dispatcher
  void SetBehaviour(const sandbox::v1::Behaviour& behaviour, sandbox::v1::Target target = sandbox::v1::GATEWAY);
  // As the payer does, of an order whose payment is pending; what the gateway says to that, and under which token.
  grpc::Status DecidePayment(const std::string& order_id, bool approve, std::string* token = nullptr);
  void KillSandbox();
  void RestartSandbox();  // on the same port, over the same log

  Sql& sql() { return *sql_; }
  void ConnectAgain() { sql_ = std::make_unique<Sql>(database_url_); }  // after the database was away
  // Another database, such as one that was restored; replicas that are added from now on are on it.
  void UseDatabase(const std::string& url) {
    database_url_ = url;
    ConnectAgain();
  }
  const std::string& database_url() const { return database_url_; }
  const std::string& redis_url() const { return redis_url_; }

  int64_t Unfinished();  // also those that wait
  bool WaitUntilAllSettled(absl::Duration timeout = absl::Seconds(60));

  // What is wrong with the books; empty: nothing. Call it when nothing is unfinished. Compares the database with the
  // sandbox's own log, which Waybill never writes.
  std::vector<std::string> WrongInTheBooks();

 private:
  void LaunchSandbox();

  const StackOptions options_;
  TempDirectory directory_;
  std::unique_ptr<TestDatabase> database_;
  std::unique_ptr<TestRedis> test_redis_;
  std::string database_url_, redis_url_;
  std::unique_ptr<Sql> sql_;
  std::unique_ptr<Process> sandbox_;
  ReservedPort sandbox_port_;
  std::vector<std::unique_ptr<OrderReplica>> replicas_;
};

order::v1::CreateOrderRequest OrderRequestFor(const std::string& key, int64_t amount_minor = 1250);

}  // namespace waybill::testing

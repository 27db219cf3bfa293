// The ledger's queues in RabbitMQ: transfers, questions for balances, and refunds that others put there. A message is
// acked once what it asked for is durable; the same one again changes nothing, since its idempotency key is the
// transfer's id. docs/broker.md has the contract.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "edge/amqp/connection.h"
#include "edge/amqp/consumer.h"
#include "edge/amqp/metrics.h"
#include "edge/amqp/publisher.h"
#include "edge/amqp/topology.h"
#include "prometheus/counter.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "storage/ledger_store.h"

namespace waybill::ledger {

struct BrokerOptions {
  amqp::ConnectionOptions connection;
  std::string client = "broker";  // whose accounts and transfers they are, in the ledger
  uint16_t prefetch = 256;        // of each queue
  std::vector<absl::Duration> delays = amqp::WorkQueue().delays;
};

struct BrokerMetrics {
  explicit BrokerMetrics(Metrics& metrics);

  amqp::PublisherMetrics publisher;
  amqp::ConsumerMetrics transactions;
  amqp::ConsumerMetrics balances;
  amqp::ConsumerMetrics refunds;
  prometheus::Counter& answers_lost;  // the queue for them is not there, or took them at no attempt
};

class BrokerQueues {
 public:
  // All outlive it, but the store's and the workers' calls back may come later.
  BrokerQueues(BrokerOptions options, storage::LedgerStore& store, Executor& workers, const Clock& clock,
               Random& random, BrokerMetrics& metrics, const Logger& log);
  ~BrokerQueues();
  BrokerQueues(const BrokerQueues&) = delete;
  BrokerQueues& operator=(const BrokerQueues&) = delete;

  // Connects, and declares the queues, as soon as RabbitMQ is there; whether it is, stops nothing else.
  void Start(const Loops& loops);
  // Takes no more, and waits until `deadline` for what it has, its answers included; a second longer at most, however
  // silent RabbitMQ is, but for a connection that is just being made (its connect_timeout). Before the workers and the
  // store.
  void Stop(SteadyTime deadline);
  // BROKER_UNAVAILABLE while one of its connections is not there. Thread-safe, and asks nobody.
  absl::Status Check() const;

  // For tests: what each queue does.
  amqp::Handler TransactionHandler();
  amqp::Handler BalanceHandler();
  amqp::Handler RefundHandler();

 private:
  class Core;

  const std::shared_ptr<Core> core_;
  std::vector<std::unique_ptr<amqp::Consumer>> consumers_;
};

}  // namespace waybill::ledger

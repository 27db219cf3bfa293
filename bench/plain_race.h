// The race contract as a queue and workers, the design that most answers to it have; what ours is measured by. A
// payment waits in a list in Redis. A worker takes it out, and has it paid by the default processor, or by the other
// when that fails, or puts it back when both do. What was paid stands in a sorted set for each processor, by
// requestedAt. One instance at a time asks both processors how they fare, and all begin with the fallback while the
// default says that it is failing.
//
// Fair to the design: it waits longer for an answer than any processor takes, so that it pays nothing twice; one that
// was booked before is not tried again for ever; thousands may be under way, without a thread each. What it cannot help
// is that what workers have taken out dies with them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "edge/http/channel.h"
#include "edge/http/server.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/worker_pool.h"
#include "storage/redis/pool.h"

namespace waybill::bench {

struct PlainRaceOptions {
  std::string listen = "127.0.0.1:0";
  std::string redis_url;
  int default_port = 0;  // on loopback
  int fallback_port = 0;
  int workers = 512;  // payments that are under way at a time
};

class PlainRace {
 public:
  // INVALID_ARGUMENT, UNAVAILABLE: there is no such Redis, or it cannot listen.
  static absl::StatusOr<std::unique_ptr<PlainRace>> Start(const PlainRaceOptions& options);
  ~PlainRace();
  PlainRace(const PlainRace&) = delete;
  PlainRace& operator=(const PlainRace&) = delete;

  int port() const { return server_->port(); }

 private:
  struct Processor {
    std::string paid;  // its sorted set
    int port;
    http::Channel channel;
    std::atomic<bool> failing = false;

    Processor(std::string name, int at_port, int workers);
  };
  struct Payment;
  using PaymentPtr = std::shared_ptr<Payment>;

  PlainRace(const PlainRaceOptions& options, const storage::RedisUrl& url);

  void Take(http::ExchangePtr exchange);
  void Summarize(http::ExchangePtr exchange);
  void Purge(http::ExchangePtr exchange);
  void OnWorker(WorkerPool& pool, const http::ExchangePtr& exchange, std::function<http::Response()> answer);

  std::optional<SteadyTime> TakeOut();  // a turn of the loop that does
  void Work(std::string body);
  void Pay(const PaymentPtr& payment);
  void Record(const PaymentPtr& payment);
  void PutBack(const PaymentPtr& payment);
  void Finish();
  std::optional<SteadyTime> AskHealth();
  bool AskHealthOf(Processor& processor);  // whether it is failing

  const SystemClock clock_;
  Metrics metrics_;
  const Logger log_;
  storage::RedisPool redis_;
  storage::RedisConnection taking_;  // waits in Redis
  storage::RedisConnection asking_;  // for health
  Processor default_, fallback_;
  std::mutex mutex_;
  std::condition_variable less_to_do_;
  int idle_;  // workers
  std::atomic<bool> stopping_ = false;
  WorkerPool intake_, books_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<Loop> taking_out_, health_;
};

}  // namespace waybill::bench

// A simple processor that the sandbox plays beside its gateway (payments/processor/contract.h), on an HTTP port of its
// own: with books of its own, a fee, and the contract's admin calls, by which it misbehaves while it runs:
//
//   PUT /admin/configurations/token         {"token":"…"}
//   PUT /admin/configurations/delay         {"delay":MS}        of each payment; one whose caller has gone is booked
//   too PUT /admin/configurations/failure       {"failure":true}    500 after the delay, nothing booked PUT
//   /admin/configurations/misbehaviour  {"lostAnswerRate":0.1,"tooManyRate":0.1,"failingRate":0.1} POST
//   /admin/purge-payments GET /admin/payments-summary?from&to GET /admin/health-calls                 how often its
//   health was asked for, and how soon after the call before
//
// An admin call shows the header X-Rinha-Token.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "edge/http/server.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "services/sandbox/sandbox.h"

namespace waybill::sandbox {

struct ProcessorOptions {
  std::string name;
  std::string listen;
  std::string log;  // the books' file
  std::string currency = "EUR";
  int64_t fee_ppm = 0;  // of each amount
  std::string token = "123";
  // Payments that are under way at a time, and those that wait for one of them to end; more are answered 429.
  size_t under_way_max = 800;
  size_t waiting_max = 500;
  absl::Duration health_every = absl::Seconds(5);  // sooner its health is not shown
};

class Processor {
 public:
  // All outlive it. UNAVAILABLE, DATA_LOSS, …: its books or its port cannot be opened.
  static absl::StatusOr<std::unique_ptr<Processor>> Open(ProcessorOptions options, const Clock& clock,
                                                         Scheduler& scheduler, Random& random, Metrics& metrics,
                                                         const Loops& loops, const Logger& log);
  ~Processor();  // after the payments that are delayed
  Processor(const Processor&) = delete;
  Processor& operator=(const Processor&) = delete;

  int port() const { return server_->port(); }

 private:
  Processor(ProcessorOptions options, const Clock& clock, Scheduler& scheduler, Random& random);

  // What is left to do once the delay is over: whether it fails shows then.
  using Delayed = absl::AnyInvocable<void(bool fails)>;

  void Pay(http::ExchangePtr exchange);
  void EndIn(int64_t delay_ms, Delayed payment);
  void End(Delayed& payment);
  void Execute(const http::ExchangePtr& exchange, std::string id, int64_t amount_minor, absl::Time requested_at);
  void Show(http::ExchangePtr exchange);
  void ShowHealth(http::ExchangePtr exchange);
  void Administrate(http::ExchangePtr exchange);
  http::Response Configure(const std::string& what, const std::string& body);
  void Summarize(http::ExchangePtr exchange);

  ProcessorOptions options_;  // the token under mutex_
  const int decimals_;
  const Clock& clock_;
  Scheduler& scheduler_;
  Random& random_;
  std::unique_ptr<BookLog> log_;
  std::unique_ptr<Sandbox> sandbox_;

  std::mutex mutex_;  // over what follows
  std::condition_variable less_under_way_;
  size_t under_way_ = 0;
  std::deque<Delayed> waiting_;  // their delay begins when their turn comes
  int64_t delay_ms_ = 0;
  bool failure_ = false;
  double too_many_rate_ = 0, failing_rate_ = 0;
  std::optional<SteadyTime> health_at_;  // when it was shown last
  int64_t health_calls_ = 0, health_refused_ = 0;
  std::optional<absl::Duration> health_gap_;  // the shortest between two calls
  std::optional<SteadyTime> health_called_at_;

  std::unique_ptr<http::Server> server_;  // last: it calls all of these
};

}  // namespace waybill::sandbox

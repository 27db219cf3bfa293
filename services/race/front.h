// The race contract (docs/race.md) over HTTP, without gRPC:
//
//   POST /payments {"correlationId": UUID, "amount": 19.90}   202 once it is durable that it will be charged
//   GET /payments-summary?from&to                             what each of two gateways has charged; both bounds
//   included POST /purge-payments                                      403, or, where it is allowed, 200; deletes
//   nothing
//
// While waybill-order is away, calls wait and are repeated, under the same id, until their time is over: 503 then, and
// nobody knows whether the payment was taken. Whose client has gone away is repeated no more. An error is JSON with a
// reason of docs/errors.md.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "edge/http/server.h"
#include "runtime/clock.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "services/race/payments.h"

namespace waybill::race {

struct FrontOptions {
  std::string currency = "BRL";
  std::string default_gateway = "default";
  std::string fallback_gateway = "fallback";
  bool purge_allowed = false;
  absl::Duration timeout = absl::Seconds(10);  // of a call, repetitions included
  absl::Duration pause = absl::Milliseconds(10), pause_max = absl::Milliseconds(200);  // between repetitions
};

class Front {
 public:
  // All outlive it.
  Front(Payments& payments, Scheduler& scheduler, const Clock& clock, Random& random, Metrics& metrics,
        FrontOptions options);

  void ServeOn(http::Server& server);

  // From now on calls are not made again, and those that wait to be are answered with why; waits for those under way,
  // until `deadline`. Leaves nothing in the scheduler that a call hangs on.
  void Drain(SteadyTime deadline);

 private:
  // A call that is made again while that can help.
  struct Asked;
  using AskedPtr = std::shared_ptr<Asked>;

  void Take(http::ExchangePtr exchange);
  void Summarize(http::ExchangePtr exchange);
  void Purge(http::ExchangePtr exchange);
  void Ask(const AskedPtr& asked);
  // Whether it is asked for again after `status`; otherwise it is answered with it.
  void Failed(const AskedPtr& asked, const absl::Status& status);
  void MakeAgain(Asked* waiting);

  Payments& payments_;
  Scheduler& scheduler_;
  const Clock& clock_;
  Random& random_;
  prometheus::Counter& repeated_;
  const FrontOptions options_;
  const int decimals_;
  std::mutex mutex_;
  std::condition_variable fewer_;
  // Under mutex_:
  size_t under_way_ = 0;
  std::map<Asked*, std::pair<AskedPtr, absl::Status>> waiting_;  // to be made again, and what the last answer was
  bool draining_ = false;
};

}  // namespace waybill::race

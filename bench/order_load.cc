#include "bench/order_load.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "bench/grpc_names.h"
#include "bench/numbered_order.h"
#include "fmt/format.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "waybill/order/v1/order.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace v1 = ::waybill::order::v1;

constexpr absl::Duration kControlInterval = absl::Milliseconds(50);

// "RESOURCE_EXHAUSTED QUEUE_FULL", or the message where the server gave no reason.
std::string ErrorName(const grpc::Status& status) {
  google::rpc::Status detail;
  google::rpc::ErrorInfo info;
  if (detail.ParseFromString(status.error_details())) {
    for (const auto& any : detail.details()) {
      if (any.UnpackTo(&info)) return fmt::format("{} {}", CodeName(status.error_code()), info.reason());
    }
  }
  return fmt::format("{} {}", CodeName(status.error_code()), status.error_message());
}

struct Window {
  absl::Duration start;
  absl::Duration end;
  bool Holds(absl::Duration instant) const { return instant >= start && instant < end; }
};

struct Call {
  v1::CreateOrderRequest request;
  v1::Order order;
  grpc::Status status;
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::Order>> reader;
  absl::Duration due;
};

}  // namespace

// One connection, one completion queue, one thread that completes its calls.
class OrderLoad::Worker {
 public:
  // `window` is set before the first call is started.
  Worker(OrderLoad& load, const std::string& target, const Window& window, int in_flight_max)
      : load_(load), options_(load.options_), timer_(load.timer_), window_(window), in_flight_max_(in_flight_max) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // or all workers would share one connection
    channel_ = grpc::CreateCustomChannel(target, options_.pass.credentials, arguments);
    stub_ = v1::OrderService::NewStub(channel_);
    // A server that cannot be reached shows in the outcomes of the calls.
    channel_->WaitForConnected(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(options_.connect_timeout));
    thread_ = std::thread([this] { CompleteCalls(); });
  }

  // Starts a call, unless none may start any more; waits while too many are in flight.
  void Start(absl::Duration due) {
    Call* call = nullptr;
    {
      std::unique_lock lock(mutex_);
      call_ended_.wait(lock, [this] { return in_flight_ < in_flight_max_; });
      ++in_flight_;
      if (free_.empty()) {
        calls_.push_back(std::make_unique<Call>());
        free_.push_back(calls_.back().get());
      }
      call = free_.back();
      free_.pop_back();
    }
    if (!Send(*call, due)) Return(*call);
  }

  // Every call has a deadline, so this ends.
  void WaitUntilIdle() {
    std::unique_lock lock(mutex_);
    call_ended_.wait(lock, [this] { return in_flight_ == 0; });
  }

  // After WaitUntilIdle.
  void FinishInto(LoadResult& result) {
    queue_.Shutdown();
    thread_.join();
    for (const auto& [name, count] : outcomes_) result.outcomes[name] += count;
    result.latency.Merge(latency_);
  }

 private:
  bool Send(Call& call, absl::Duration due) {
    if (!load_.MayStart()) return false;
    const int64_t number = load_.started_.fetch_add(1, std::memory_order_relaxed);
    if (number >= options_.orders_max) return false;
    NumberedOrder order = OrderNumber(options_.run, number);
    call.request.set_idempotency_key(std::move(order.idempotency_key));
    call.request.set_user_id(std::move(order.user_id));
    call.request.mutable_amount()->set_minor_units(order.amount_minor);
    call.request.mutable_amount()->set_currency(std::string(kCurrency));
    call.request.set_wait(options_.until_accepted ? v1::CreateOrderRequest::UNTIL_ACCEPTED
                                                  : v1::CreateOrderRequest::UNTIL_SETTLED);
    call.context.emplace();
    options_.pass.Show(*call.context);
    call.context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(options_.call_deadline));
    call.due = due;
    call.reader = stub_->AsyncCreateOrder(&*call.context, call.request, &queue_);
    call.reader->Finish(&call.order, &call.status, &call);
    return true;
  }

  void CompleteCalls() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      Call& call = *static_cast<Call*>(tag);
      const absl::Duration now = timer_.Now();
      Count(call, now);
      const bool closed_loop = options_.rate == 0;
      if (!closed_loop || !Send(call, now)) Return(call);
    }
  }

  void Count(const Call& call, absl::Duration now) {
    if (!call.status.ok()) {
      ++outcomes_[ErrorName(call.status)];
      load_.failed_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    ++outcomes_[v1::OrderStatus_Name(call.order.status())];
    load_.answered_.fetch_add(1, std::memory_order_relaxed);
    if (window_.Holds(options_.rate == 0 ? now : call.due)) latency_.Record(now - call.due);
  }

  void Return(Call& call) {
    std::lock_guard lock(mutex_);
    free_.push_back(&call);
    --in_flight_;
    call_ended_.notify_one();  // under the lock: the waiter may destroy the worker next
  }

  OrderLoad& load_;
  const LoadOptions& options_;
  const Timer& timer_;
  const Window& window_;
  const int in_flight_max_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::OrderService::Stub> stub_;
  grpc::CompletionQueue queue_;

  std::mutex mutex_;
  std::condition_variable call_ended_;
  int in_flight_ = 0;                         // guarded by mutex_
  std::vector<Call*> free_;                   // guarded by mutex_
  std::vector<std::unique_ptr<Call>> calls_;  // guarded by mutex_

  std::map<std::string, int64_t> outcomes_;  // thread_'s until it is joined
  Histogram latency_;                        // thread_'s until it is joined
  std::thread thread_;
};

void LoadResult::Merge(const LoadResult& round) {
  for (const auto& [outcome, count] : round.outcomes) outcomes[outcome] += count;
  answered += round.answered;
  failed += round.failed;
  latency.Merge(round.latency);
  window += round.window;
}

LoadResult OrderLoad::Run(const Hooks& hooks) {
  Window window;
  const int threads = std::clamp(options_.threads, 1, options_.callers);
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < threads; ++i) {
    const bool other = i % 2 == 1 && !options_.other_target.empty();
    workers.push_back(std::make_unique<Worker>(*this, other ? options_.other_target : options_.target, window,
                                               (options_.callers + i) / threads));
  }

  // The clock starts once the connections stand.
  const absl::Duration start = timer_.Now();
  window.start = start + options_.warm_up;
  window.end = window.start + options_.duration;
  std::thread pacing;
  if (options_.rate > 0) {
    pacing = std::thread([&] {
      Pacer pacer(timer_, start, options_.rate);
      for (size_t i = 0; MayStart(); ++i) {
        const absl::Duration due = pacer.Next();
        if (due >= window.end) break;
        workers[i % workers.size()]->Start(due);
      }
    });
  } else {
    for (int i = 0; i < options_.callers; ++i) workers[static_cast<size_t>(i) % workers.size()]->Start(timer_.Now());
  }

  absl::Duration next_progress = start + absl::Seconds(1);
  bool in_window = false;
  for (absl::Duration now = start; now < window.end && MayStart(); now = timer_.Now()) {
    if (!in_window && now >= window.start) {
      in_window = true;
      hooks.window_starts();
    }
    if (now >= next_progress) {
      hooks.progress(now - start, answered_, failed_);
      next_progress += absl::Seconds(1);
    }
    timer_.SleepUntil(std::min({now + kControlInterval, window.end, in_window ? window.end : window.start}));
  }
  if (in_window) hooks.window_ends();
  LoadResult result;
  result.window = std::max(absl::ZeroDuration(), std::min(timer_.Now(), window.end) - window.start);

  if (pacing.joinable()) pacing.join();
  stopped_ = true;
  for (auto& worker : workers) {
    worker->WaitUntilIdle();
    worker->FinishInto(result);
  }
  result.answered = answered_;
  result.failed = failed_;
  return result;
}

}  // namespace waybill::bench

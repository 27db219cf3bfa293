// Unary calls at a fixed rate, whatever becomes of them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "bench/grpc_names.h"
#include "bench/histogram.h"
#include "bench/pacer.h"
#include "fmt/format.h"

namespace waybill::bench {

struct QueryResult {
  // What became of all calls: "OK", the error's code and message, or what is wrong with the answer.
  std::map<std::string, int64_t> outcomes;
  Histogram latency;  // of calls that were answered as they should be, in the window
  absl::Duration window = absl::ZeroDuration();
  double PerSecond() const { return static_cast<double>(latency.count()) / absl::ToDoubleSeconds(window); }
};

inline std::string ErrorName(const grpc::Status& status) {
  return fmt::format("{} {}", CodeName(status.error_code()), status.error_message());
}

struct OpenLoopOptions {
  double rate = 1'000;  // calls a second
  absl::Duration warm_up = absl::ZeroDuration();
  absl::Duration duration = absl::Seconds(10);
  absl::Duration call_deadline = absl::Seconds(10);
};

template <typename Request, typename Response>
struct OpenCall {
  Request request;
  Response response;
  grpc::ClientContext context;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
  absl::Duration due;
};

// `begin(call, number, queue)` fills the request and answers the reader of the call it has begun; `outcome(call)` says
// what became of it, "OK" or what is wrong. Latency is from the instant a call was due.
template <typename Request, typename Response, typename Begin, typename Outcome>
QueryResult AskAtRate(const OpenLoopOptions& options, Timer& timer, const Begin& begin, const Outcome& outcome) {
  using Call = OpenCall<Request, Response>;
  grpc::CompletionQueue queue;
  QueryResult result;
  const absl::Duration start = timer.Now();
  const absl::Duration window_start = start + options.warm_up, window_end = window_start + options.duration;
  std::thread completing([&] {
    void* tag = nullptr;
    bool ok = false;
    while (queue.Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      const std::string what = call->status.ok() ? outcome(*call) : ErrorName(call->status);
      ++result.outcomes[what];
      if (what == "OK" && call->due >= window_start) result.latency.Record(timer.Now() - call->due);
    }
  });
  Pacer pacer(timer, start, options.rate);
  for (size_t number = 0;; ++number) {
    const absl::Duration due = pacer.Next();
    if (due >= window_end) break;
    Call& call = *std::make_unique<Call>().release();  // the queue's from here on
    call.context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(options.call_deadline));
    call.due = due;
    call.reader = begin(call, number, queue);
    call.reader->Finish(&call.response, &call.status, &call);
  }
  queue.Shutdown();  // ends once every call has: each has a deadline
  completing.join();
  result.window = options.duration;
  return result;
}

}  // namespace waybill::bench

// Sends spans to a collector, behind everybody's back: what cannot be sent is dropped and counted, and holds up nobody.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "edge/otlp/transport.h"
#include "prometheus/counter.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/trace.h"

namespace waybill::otlp {

struct ExporterOptions {
  size_t queue_max = 8'192;                        // spans that wait, besides those that are being sent
  size_t batch_max = 512;                          // spans of a request
  absl::Duration interval = absl::Seconds(1);      // after which fewer are sent, too
  absl::Duration timeout = absl::Seconds(3);       // of a request, and what a stop waits for one that is under way
  absl::Duration backoff = absl::Seconds(1);       // after a request that failed; twice as long each time
  absl::Duration backoff_max = absl::Seconds(16);  // whatever the collector says, too
  int attempts_max = 6;                            // then the batch is dropped
  // Of the process, as OpenTelemetry names them: service.name and the like.
  std::vector<std::pair<std::string, std::string>> resource;
  std::string version;
};

// The message that these are sent in. Texts are made fit for protobuf, and bounded.
pb::ExportTraceServiceRequest Encode(const std::vector<SpanRecord>& spans, const ExporterOptions& options);

// What became of spans. They are there, and 0, also where nothing is traced, so that rules over them find something.
struct SpanCounters {
  explicit SpanCounters(Metrics& metrics);

  prometheus::Counter& exported;
  prometheus::Counter& failures;
  prometheus::Counter& queue_full;
  prometheus::Counter& unreachable;
  prometheus::Counter& rejected;
  prometheus::Counter& stopped;
  prometheus::Counter& many_alike;
};

class Exporter final : public SpanSink {
 public:
  // All outlive it.
  Exporter(std::unique_ptr<Transport> transport, ExporterOptions options, const Clock& clock, Metrics& metrics,
           const Logger& log);
  ~Exporter() override { Stop(SteadyTime::InfinitePast()); }

  void Take(SpanRecord record) override;
  void LeftOut() override { counters_.many_alike.Increment(); }

  void Start(const Loops& loops);
  // Sends what is left, as far as it gets by `deadline`; the rest is dropped. Joins the loop, if there is one.
  // Repeating it does nothing.
  void Stop(SteadyTime deadline);

  // Does what is due, and answers when the next turn is; nullopt: none. For tests, instead of Start.
  std::optional<SteadyTime> TakeTurn();

 private:
  // The next batch into `batch_`, if it is time; else when it will be; nullopt: never.
  std::optional<SteadyTime> TakeBatch();
  void Send(absl::Duration timeout);
  // Of those that are being sent.
  void DropBatch(prometheus::Counter& why);
  void DropAll();

  const std::unique_ptr<Transport> transport_;
  const ExporterOptions options_;
  const Clock& clock_;
  const Logger log_;
  const SpanCounters counters_;

  mutable std::mutex mutex_;
  std::deque<SpanRecord> queue_;  // these under mutex_
  SteadyTime since_;              // when the first of them came, about
  std::optional<SteadyTime> stop_by_;
  std::unique_ptr<Loop> loop_;

  // The loop's own: what is being sent; empty: nothing.
  std::vector<SpanRecord> batch_;
  pb::ExportTraceServiceRequest request_;
  int attempts_ = 0;
  SteadyTime again_at_;
  bool failing_ = false;
};

}  // namespace waybill::otlp

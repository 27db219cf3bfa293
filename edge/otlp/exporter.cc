#include "edge/otlp/exporter.h"

#include <algorithm>
#include <variant>

#include "runtime/text.h"

namespace waybill::otlp {
namespace {

namespace common_pb = opentelemetry::proto::common::v1;
namespace trace_pb = opentelemetry::proto::trace::v1;

constexpr size_t kTextBytesMax = 1'024;
constexpr int kLinksMax = 128;  // as OpenTelemetry's own libraries have it

prometheus::Counter& Dropped(Metrics& metrics, const char* reason) {
  return metrics.AddCounter("waybill_trace_spans_dropped_total", "Spans that no collector has taken, by reason.",
                            {{"reason", reason}});
}

template <size_t kSize>
std::string BytesOf(const std::array<uint8_t, kSize>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

uint32_t FlagsOf(const TraceContext& context) { return context.sampled ? 1 : 0; }

void Add(std::string_view key, const AttributeValue& value,
         google::protobuf::RepeatedPtrField<common_pb::KeyValue>& to) {
  common_pb::KeyValue& added = *to.Add();
  added.set_key(std::string(key));
  common_pb::AnyValue& any = *added.mutable_value();
  if (const auto* text = std::get_if<std::string>(&value)) {
    any.set_string_value(CleanText(*text, kTextBytesMax));
  } else if (const auto* number = std::get_if<int64_t>(&value)) {
    any.set_int_value(*number);
  } else {
    any.set_bool_value(std::get<bool>(value));
  }
}

void Fill(const SpanRecord& span, trace_pb::Span& out) {
  out.set_trace_id(BytesOf(span.context.trace_id.bytes));
  out.set_span_id(BytesOf(span.context.span_id.bytes));
  out.set_trace_state(span.context.state);
  if (span.parent.valid()) out.set_parent_span_id(BytesOf(span.parent.bytes));
  out.set_flags(FlagsOf(span.context));
  out.set_name(CleanText(span.name, kTextBytesMax));
  out.set_kind(static_cast<trace_pb::Span::SpanKind>(span.kind));
  const int64_t start = absl::ToUnixNanos(span.start);
  out.set_start_time_unix_nano(static_cast<uint64_t>(start));
  out.set_end_time_unix_nano(static_cast<uint64_t>(std::max(start, absl::ToUnixNanos(span.end))));
  for (const auto& [key, value] : span.attributes) Add(key, value, *out.mutable_attributes());
  for (const TraceContext& to : span.links) {
    if (out.links_size() == kLinksMax) break;
    trace_pb::Span::Link& link = *out.add_links();
    link.set_trace_id(BytesOf(to.trace_id.bytes));
    link.set_span_id(BytesOf(to.span_id.bytes));
    link.set_trace_state(to.state);
    link.set_flags(FlagsOf(to));
  }
  out.set_dropped_links_count(static_cast<uint32_t>(span.links.size()) - static_cast<uint32_t>(out.links_size()));
  if (!span.failed) return;
  out.mutable_status()->set_code(trace_pb::Status::STATUS_CODE_ERROR);
  out.mutable_status()->set_message(CleanText(span.failure, kTextBytesMax));
}

}  // namespace

pb::ExportTraceServiceRequest Encode(const std::vector<SpanRecord>& spans, const ExporterOptions& options) {
  pb::ExportTraceServiceRequest request;
  trace_pb::ResourceSpans& resource = *request.add_resource_spans();
  for (const auto& [key, value] : options.resource) Add(key, value, *resource.mutable_resource()->mutable_attributes());
  trace_pb::ScopeSpans& scope = *resource.add_scope_spans();
  scope.mutable_scope()->set_name("waybill");
  scope.mutable_scope()->set_version(options.version);
  for (const SpanRecord& span : spans) Fill(span, *scope.add_spans());
  return request;
}

SpanCounters::SpanCounters(Metrics& metrics)
    : exported(metrics.AddCounter("waybill_trace_spans_exported_total", "Spans that a collector has taken.")),
      failures(metrics.AddCounter("waybill_trace_export_failures_total",
                                  "Requests to the collector that failed; most are repeated.")),
      queue_full(Dropped(metrics, "queue_full")),
      unreachable(Dropped(metrics, "unreachable")),
      rejected(Dropped(metrics, "rejected")),
      stopped(Dropped(metrics, "stopped")),
      many_alike(Dropped(metrics, "many_alike")) {}

Exporter::Exporter(std::unique_ptr<Transport> transport, ExporterOptions options, const Clock& clock, Metrics& metrics,
                   const Logger& log)
    : transport_(std::move(transport)),
      options_(std::move(options)),
      clock_(clock),
      log_(log.For("edge.otlp")),
      counters_(metrics) {
  metrics.AddCallbackGauge("waybill_trace_queue_depth", "Spans that wait to be sent.", [this] {
    std::lock_guard lock(mutex_);
    return static_cast<double>(queue_.size());
  });
}

void Exporter::Take(SpanRecord record) {
  Loop* wake = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (stop_by_) {
      counters_.stopped.Increment();
      return;
    }
    if (queue_.size() >= options_.queue_max) {
      counters_.queue_full.Increment();
      return;
    }
    queue_.push_back(std::move(record));
    if (queue_.size() == 1) since_ = clock_.Steady();
    if (queue_.size() == 1 || queue_.size() == options_.batch_max) wake = loop_.get();
  }
  if (wake != nullptr) wake->Wake();
}

void Exporter::Start(const Loops& loops) {
  std::lock_guard lock(mutex_);
  loop_ = loops.Start([this](const Clock&) { return TakeTurn(); });
}

void Exporter::Stop(SteadyTime deadline) {
  {
    std::lock_guard lock(mutex_);
    if (!stop_by_) stop_by_ = deadline;
  }
  if (loop_) {
    loop_->Join();
  } else {
    while (TakeTurn()) {
    }
  }
}

std::optional<SteadyTime> Exporter::TakeTurn() {
  if (batch_.empty()) {
    const std::optional<SteadyTime> due = TakeBatch();
    if (batch_.empty()) return due;
  }
  std::optional<SteadyTime> stop_by;
  {
    std::lock_guard lock(mutex_);
    stop_by = stop_by_;
  }
  const SteadyTime now = clock_.Steady();
  if (!stop_by && now < again_at_) return again_at_;
  const absl::Duration left = stop_by ? *stop_by - now : absl::InfiniteDuration();
  if (left > absl::ZeroDuration()) Send(std::min(options_.timeout, left));
  if (!stop_by || batch_.empty()) return batch_.empty() ? Loop::kAtOnce : again_at_;
  DropBatch(counters_.stopped);  // there is no time for another try, nor to ask one that fails for the rest
  DropAll();
  return std::nullopt;
}

std::optional<SteadyTime> Exporter::TakeBatch() {
  const SteadyTime now = clock_.Steady();
  std::lock_guard lock(mutex_);
  if (queue_.empty()) return stop_by_ ? std::nullopt : std::optional(Loop::kWhenWoken);
  const SteadyTime due = since_ + options_.interval;
  if (!stop_by_ && queue_.size() < options_.batch_max && now < due) return due;
  const size_t size = std::min(queue_.size(), options_.batch_max);
  for (size_t i = 0; i < size; ++i) {
    batch_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  since_ = now;
  attempts_ = 0;
  again_at_ = now;
  return now;
}

void Exporter::Send(absl::Duration timeout) {
  if (attempts_++ == 0) request_ = Encode(batch_, options_);
  const Sent sent = transport_->Send(request_, timeout);
  if (sent.status.ok()) {
    const auto rejected = std::clamp<int64_t>(sent.rejected, 0, static_cast<int64_t>(batch_.size()));
    counters_.rejected.Increment(static_cast<double>(rejected));
    counters_.exported.Increment(static_cast<double>(batch_.size()) - static_cast<double>(rejected));
    batch_.clear();
    if (std::exchange(failing_, false)) log_.Info("the collector takes spans again");
    return;
  }
  counters_.failures.Increment();
  if (!std::exchange(failing_, true)) {
    log_.Warn("the collector takes no spans", {{"error", std::string(sent.status.message())}});
  }
  if (!sent.again) return DropBatch(counters_.rejected);
  if (attempts_ >= options_.attempts_max) return DropBatch(counters_.unreachable);
  const absl::Duration pause = std::max(sent.after, options_.backoff * (1 << (attempts_ - 1)));
  again_at_ = clock_.Steady() + std::min(pause, options_.backoff_max);
}

void Exporter::DropBatch(prometheus::Counter& why) {
  why.Increment(static_cast<double>(batch_.size()));
  batch_.clear();
}

void Exporter::DropAll() {
  std::lock_guard lock(mutex_);
  counters_.stopped.Increment(static_cast<double>(queue_.size()));
  queue_.clear();
}

}  // namespace waybill::otlp

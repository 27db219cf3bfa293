// Traces as W3C Trace Context and OpenTelemetry have them: who is whose child across processes, and spans that say how
// long what took. A Tracer is passed in; where there is none, nothing is traced.
//
// Whether a trace is sampled is decided where it begins and goes with it. What is not sampled has no spans, and costs
// next to nothing, but one: a call or a saga that ends in an error is sent alone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/random.h"

namespace waybill {

// Of all zeros: none.
struct TraceId {
  std::array<uint8_t, 16> bytes{};

  bool valid() const { return *this != TraceId(); }
  std::string ToString() const;  // 32 hexadecimal digits, lower case
  friend bool operator==(const TraceId&, const TraceId&) = default;
};
struct SpanId {
  std::array<uint8_t, 8> bytes{};

  bool valid() const { return *this != SpanId(); }
  std::string ToString() const;  // 16 hexadecimal digits, lower case
  friend bool operator==(const SpanId&, const SpanId&) = default;
};

// Which span of which trace.
struct TraceContext {
  TraceId trace_id;
  SpanId span_id;
  bool sampled = false;
  std::string state;  // W3C tracestate; may be empty

  bool valid() const { return trace_id.valid() && span_id.valid(); }
  std::string Traceparent() const;  // 00-TRACE-SPAN-01
  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// The context that a traceparent names, by W3C Trace Context level 2; nullopt when it is none. Later versions are read
// as far as this one goes, as the specification wants it.
std::optional<TraceContext> ParseTraceparent(std::string_view traceparent);
// The trace id of a traceparent in hexadecimal digits, as logs have it; "" when it is none.
std::string_view TraceIdOf(std::string_view traceparent);

// The fields as one tracestate, to be passed on as it is; "" when one of them breaks the rules, or all of it is longer
// than a process has to carry (512 bytes, 32 members). Without it the trace is the same.
inline constexpr size_t kTracestateBytesMax = 512;
std::string JoinTracestate(std::span<const std::string_view> fields);

enum class SpanKind : uint8_t { kInternal = 1, kServer, kClient, kProducer, kConsumer };  // as in OTLP

using AttributeValue = std::variant<std::string, int64_t, bool>;

// What is sent of a span.
struct SpanRecord {
  TraceContext context;
  SpanId parent;  // none: the root of its trace
  std::string name;
  SpanKind kind = SpanKind::kInternal;
  absl::Time start;
  absl::Time end;
  std::vector<std::pair<std::string, AttributeValue>> attributes;
  std::vector<TraceContext> links;
  bool failed = false;
  std::string failure;  // why; for people
};

// Where spans go. Thread-safe; must not block.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  virtual void Take(SpanRecord record) = 0;
  // Of one that was not made, since too many like it were.
  virtual void LeftOut() {}
};

class Tracer;

// Something that goes on, from where the tracer made it until End or its destruction. Belongs to one thread at a time.
class Span {
 public:
  Span() = default;  // none
  Span(Span&& other) noexcept { *this = std::move(other); }
  Span& operator=(Span&& other) noexcept;
  ~Span() { End(); }

  // To be passed on, whether it is sampled or not; invalid in none.
  const TraceContext& context() const { return context_; }
  // Whether it is sent. What is said to one that is not is dropped.
  bool recording() const { return record_ != nullptr; }

  void Set(std::string_view key, AttributeValue value);
  void Link(const TraceContext& to);
  // It has failed. One that may be sent alone is recorded from here on.
  void Fail(std::string why);
  void End();
  // As End, and nothing is sent, whatever was said: for callers who may not make us.
  void Drop();

 private:
  friend class Tracer;

  Tracer* tracer_ = nullptr;
  TraceContext context_;
  SteadyTime start_;
  std::unique_ptr<SpanRecord> record_;
  // Of one that is sent only if it fails.
  SpanId parent_;
  std::string_view name_;
  SpanKind kind_ = SpanKind::kInternal;
};

class Tracer {
 public:
  // `ratio`: of traces that begin here, 0 to 1; may change at any time. All outlive this, and it outlives its spans.
  Tracer(const Clock& clock, Random& random, SpanSink& sink, const std::atomic<double>& ratio)
      : clock_(clock), random_(random), sink_(sink), ratio_(ratio) {}

  // Where a trace enters this process, or begins: a child of `caller`, sampled as that is, or a new trace if that is
  // invalid. Sent alone if it fails, as long as not many of its name do. `name` outlives it.
  Span Enter(std::string_view name, SpanKind kind, const TraceContext& caller);
  // A sampled trace of its own, for what is done for several others at once: it links to them.
  Span Begin(std::string_view name, SpanKind kind);
  // Part of what `parent` is, if that is sampled; else it is not recorded, and its context is the parent's.
  Span Child(std::string_view name, SpanKind kind, const TraceContext& parent);
  // As Child, with an id that others can know.
  Span Child(std::string_view name, SpanKind kind, const TraceContext& parent, const SpanId& id);

  // By the trace's id, so that every process decides alike.
  bool Sampled(const TraceId& trace) const;
  // What somebody has put together himself.
  void Send(SpanRecord record) { sink_.Take(std::move(record)); }

  const Clock& clock() const { return clock_; }

 private:
  friend class Span;

  // When all fails, a few say it as well. Of each name by itself, about: what fails by the dozen hides nothing else.
  static constexpr int64_t kFailuresASecond = 20;
  struct Budget {
    std::atomic<int64_t> second{0};  // of `used`
    std::atomic<int64_t> used{0};
  };

  SpanId NewSpanId();
  bool TakesFailure(std::string_view name);

  std::array<Budget, 64> budgets_;  // by the names' hashes
  const Clock& clock_;
  Random& random_;
  SpanSink& sink_;
  const std::atomic<double>& ratio_;
};

}  // namespace waybill

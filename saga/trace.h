// The spans of one saga. Which they are follows from what is durable, so that every process that drives it puts the
// same trace together, whoever died in between:
//
//   the call that began it (the row's traceparent)
//   └ the saga: its span id is the last 8 bytes of its own id; sent by whoever brings it to rest
//     ├ its steps, and in them the attempts at them; what it writes to the journal
//     └ a resumption by each claim, its span id made of the saga's and the epoch; linked to the one before
//       └ the steps and writes of that process
//
// Without a traceparent the trace's id is the saga's own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "runtime/trace.h"
#include "saga/definition.h"
#include "saga/progress.h"
#include "saga/record.h"

namespace waybill::saga {

// The saga's own span; sampled as the call was that began it, or, without one, as the tracer's ratio says.
TraceContext SagaContext(const Header& header, const Tracer& tracer);
// The span of the process that drives it under this epoch: the saga's own under the first.
TraceContext DriverContext(const TraceContext& saga, int64_t epoch);

// What belongs to whoever drives the saga. Without a tracer, and for a saga that is not sampled, nothing happens but
// that one which ends badly is sent alone.
class Trace {
 public:
  // `header` as it was when this process began or claimed the saga. `tracer` may be null.
  Trace(Tracer* tracer, const Header& header);

  // Where its parts belong; invalid without a tracer.
  const TraceContext& context() const { return context_; }
  // A part of the call that began it: until it is durable there is no saga. None without a traceparent.
  Span Begin(std::string_view name);
  // A part of what this process does for it, such as a write.
  Span Part(std::string_view name);

  // One attempt at a step, whose span begins with the first in this direction.
  Span Attempt(int at, const saga::Attempt& attempt, Direction direction, bool journaled, const Definition& of);
  // All attempts of a round have come back, and what follows from them has not been decided yet.
  void Answered(absl::Span<const Progress::Answer> answers);
  // It has come to rest, or waits.
  void Rested(const Header& header);
  // Another process has it.
  void Lost(const std::string& why);

 private:
  struct OpenStep {
    int at;
    Span span;
  };

  // Steps that nobody has answered are over.
  void CloseSteps(const std::string& why);

  Tracer* tracer_;
  TraceContext began_, saga_, context_;
  bool owed_ = false;  // the saga's own span has not been sent
  bool turned_back_ = false;
  Span resumption_;
  absl::InlinedVector<OpenStep, 1> steps_;
  Direction direction_ = Direction::kDo;  // of these
};

}  // namespace waybill::saga

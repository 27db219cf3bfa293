#include "saga/trace.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace waybill::saga {
namespace {

constexpr uint64_t kGoldenRatio = 0x9e3779b97f4a7c15;  // spreads epochs over all ids

uint64_t NumberOf(const SpanId& id) {
  uint64_t number = 0;
  for (const uint8_t byte : id.bytes) number = number << 8 | byte;
  return number;
}

SpanId IdOf(uint64_t number) {
  SpanId id;
  for (size_t i = id.bytes.size(); i-- > 0; number >>= 8) id.bytes[i] = static_cast<uint8_t>(number);
  return id;
}

std::string_view PrefixOf(Direction direction) {
  return direction == Direction::kUndo ? "undo " : direction == Direction::kClose ? "close " : "";
}

// What a person would want to see whatever the ratio is. A client's own wish is none of that.
bool EndedBadly(const Header& header) {
  return header.needs_attention || (!header.failure.reason.empty() && header.failure.reason != kCancelledReason);
}

void Describe(const Header& header, SpanRecord& span) {
  span.attributes.emplace_back("waybill.saga.id", header.id.ToString());
  span.attributes.emplace_back("waybill.saga.kind", header.kind);
  span.attributes.emplace_back("waybill.saga.state", std::string(Name(header.state)));
  span.attributes.emplace_back("waybill.saga.epoch", header.epoch);
  if (!header.failure.reason.empty()) span.attributes.emplace_back("waybill.saga.failure", header.failure.reason);
}

// `began`: what its traceparent names.
TraceContext ContextOf(const Header& header, const TraceContext& began, const Tracer& tracer) {
  TraceContext context;
  if (began.valid()) {
    context = began;
    context.state = header.tracestate;
  } else {
    context.trace_id.bytes = header.id.bytes;
    context.sampled = tracer.Sampled(context.trace_id);
  }
  std::copy(header.id.bytes.begin() + 8, header.id.bytes.end(), context.span_id.bytes.begin());
  return context;
}

}  // namespace

TraceContext SagaContext(const Header& header, const Tracer& tracer) {
  return ContextOf(header, ParseTraceparent(header.traceparent).value_or(TraceContext()), tracer);
}

TraceContext DriverContext(const TraceContext& saga, int64_t epoch) {
  TraceContext context = saga;
  if (epoch > 1) context.span_id = IdOf(NumberOf(saga.span_id) + static_cast<uint64_t>(epoch - 1) * kGoldenRatio);
  return context;
}

Trace::Trace(Tracer* tracer, const Header& header) : tracer_(tracer) {
  if (tracer == nullptr) return;
  began_ = ParseTraceparent(header.traceparent).value_or(TraceContext());
  saga_ = ContextOf(header, began_, *tracer);
  context_ = DriverContext(saga_, header.epoch);
  owed_ = header.state != State::kSucceeded && !IsTerminal(header.state);
  if (header.epoch == 1) return;
  resumption_ = tracer_->Child("resume saga", SpanKind::kInternal, saga_, context_.span_id);
  resumption_.Link(DriverContext(saga_, header.epoch - 1));
  if (!resumption_.recording()) return;
  resumption_.Set("waybill.saga.id", header.id.ToString());
  resumption_.Set("waybill.saga.state", std::string(Name(header.state)));
  resumption_.Set("waybill.saga.epoch", header.epoch);
}

Span Trace::Begin(std::string_view name) {
  if (tracer_ == nullptr) return {};
  return tracer_->Child(name, SpanKind::kInternal, began_);
}

Span Trace::Part(std::string_view name) {
  if (tracer_ == nullptr) return {};
  return tracer_->Child(name, SpanKind::kInternal, context_);
}

Span Trace::Attempt(int at, const saga::Attempt& attempt, Direction direction, bool journaled, const Definition& of) {
  turned_back_ = turned_back_ || direction == Direction::kUndo;
  if (!context_.sampled) return {};
  if (direction != direction_) CloseSteps("turned back");
  direction_ = direction;
  auto open = std::find_if(steps_.begin(), steps_.end(), [at](const OpenStep& step) { return step.at == at; });
  if (open == steps_.end()) {
    std::string name(PrefixOf(direction));
    name += attempt.step;
    steps_.push_back({at, tracer_->Child(name, SpanKind::kInternal, context_)});
    open = steps_.end() - 1;
    open->span.Set("waybill.saga.kind", of.kind);
    open->span.Set("waybill.saga.step", std::string(attempt.step));
  }
  const SpanKind kind = journaled ? SpanKind::kInternal : SpanKind::kClient;
  Span span = tracer_->Child("attempt", kind, open->span.context());
  span.Set("waybill.saga.step", std::string(attempt.step));
  span.Set("waybill.saga.attempt", int64_t{attempt.number});
  return span;
}

void Trace::Answered(absl::Span<const Progress::Answer> answers) {
  for (const Progress::Answer& answer : answers) {
    if (answer.outcome.kind == Outcome::Kind::kUnknown) continue;  // it may be tried again
    const auto open =
        std::find_if(steps_.begin(), steps_.end(), [&](const OpenStep& step) { return step.at == answer.step; });
    if (open == steps_.end()) continue;
    open->span.Set("waybill.saga.outcome", std::string(Name(answer.outcome.kind)));
    if (answer.outcome.kind == Outcome::Kind::kRejected) open->span.Fail(answer.outcome.reason);
    steps_.erase(open);
  }
}

void Trace::CloseSteps(const std::string& why) {
  for (OpenStep& open : steps_) open.span.Fail(why);
  steps_.clear();
}

void Trace::Rested(const Header& header) {
  if (tracer_ == nullptr) return;
  CloseSteps("given up");
  resumption_.End();
  const bool bad = EndedBadly(header);
  // What was sent of its success does not say that it was turned back later, and went wrong.
  const bool worse = bad && std::exchange(turned_back_, false);
  if (!std::exchange(owed_, false) && !worse) return;
  if (!IsDecided(header.state)) {  // it waits, and whoever goes on sends it
    owed_ = true;
    return;
  }
  if (!saga_.sampled && !bad) return;
  SpanRecord span;
  span.context = saga_;
  span.parent = began_.span_id;
  span.name = "saga ";
  span.name += header.kind;
  span.start = header.created_at;
  span.end = tracer_->clock().Now();
  span.failed = bad;
  if (bad) span.failure = header.failure.reason;
  Describe(header, span);
  tracer_->Send(std::move(span));
}

void Trace::Lost(const std::string& why) {
  if (tracer_ == nullptr) return;
  CloseSteps(why);
  resumption_.Fail(why);
  resumption_.End();
}

}  // namespace waybill::saga

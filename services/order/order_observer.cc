#include "services/order/order_observer.h"

#include <string>
#include <string_view>

#include "runtime/trace.h"
#include "services/order/order_status.h"

namespace waybill::order {
namespace {

// As saga::SagaContext has it.
std::string TraceIdOf(const saga::Header& header) {
  const std::string_view began = waybill::TraceIdOf(header.traceparent);
  return began.empty() ? TraceId{header.id.bytes}.ToString() : std::string(began);
}

// An order's saga has its id.
const char* IdName(const saga::Header& header) { return header.kind == domain::Order::kKind ? "order_id" : "saga_id"; }

}  // namespace

void OrderObserver::OnSettled(const saga::Header& header, absl::Duration age) {
  if (header.kind != domain::Order::kKind) {
    log_.Debug("saga settled", {{"saga_id", header.id.ToString()},
                                {"kind", header.kind},
                                {"state", saga::Name(header.state)},
                                {"reason", header.failure.reason},
                                {"trace_id", TraceIdOf(header)}});
    return;
  }
  metrics_.Settled(header, age);
  if (!log_.Enabled(LogLevel::kDebug)) return;
  log_.Debug("order settled", {{"order_id", header.id.ToString()},
                               {"status", Name(StatusOf(header))},
                               {"reason", header.failure.reason},
                               {"age_seconds", absl::ToDoubleSeconds(age)},
                               {"trace_id", TraceIdOf(header)}});
}

void OrderObserver::OnWaiting(const saga::Header& header) {
  if (!log_.Enabled(LogLevel::kDebug)) return;
  log_.Debug("order waits", {{"order_id", header.id.ToString()},
                             {"waits_for", header.waits_for},
                             {"until", absl::FormatTime(header.wakes_at, absl::UTCTimeZone())},
                             {"trace_id", TraceIdOf(header)}});
}

void OrderObserver::OnNeedsAttention(const saga::Header& header) {
  log_.Error("undoing or closing keeps failing; look with `waybill saga show`", {{IdName(header), header.id.ToString()},
                                                                                 {"step", header.step},
                                                                                 {"attempt", header.attempt},
                                                                                 {"reason", header.failure.reason},
                                                                                 {"trace_id", TraceIdOf(header)}});
}

void OrderObserver::OnRefused(const saga::Header& header, const absl::Status& why) {
  log_.Error("the store refuses to write a saga for good; look with `waybill saga show`",
             {{IdName(header), header.id.ToString()},
              {"state", saga::Name(header.state)},
              {"step", header.step},
              {"attempt", header.attempt},
              {"error", std::string(why.message())},
              {"trace_id", TraceIdOf(header)}});
}

void OrderObserver::OnFenced(const saga::Header& header) {
  metrics_.Fenced();
  dispatch_.OnFenced(header.id);
  log_.Warn("another process has taken the saga over",
            {{IdName(header), header.id.ToString()}, {"epoch", header.epoch}, {"trace_id", TraceIdOf(header)}});
}

}  // namespace waybill::order

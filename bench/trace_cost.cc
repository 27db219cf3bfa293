// What tracing costs a call, in CPU time: ninja -C build/release trace_cost && build/release/bin/trace_cost.
#include <atomic>
#include <ctime>
#include <string>

#include "fmt/format.h"
#include "runtime/random.h"
#include "runtime/trace.h"

namespace waybill {
namespace {

class Nowhere final : public SpanSink {
 public:
  void Take(SpanRecord record) override { taken_ += record.name.size(); }

 private:
  size_t taken_ = 0;
};

double CpuNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <typename Work>
void Measure(const char* what, Work work) {
  constexpr int kTimes = 1'000'000;
  for (int i = 0; i < kTimes / 10; ++i) work();
  const double began = CpuNanoseconds();
  for (int i = 0; i < kTimes; ++i) work();
  fmt::print("{}: {:.0f} ns\n", what, (CpuNanoseconds() - began) / kTimes);
}

void Run() {
  const SystemClock clock;
  SeededRandom random(1);
  Nowhere nowhere;
  std::atomic<double> ratio{0};
  Tracer tracer(clock, random, nowhere, ratio);
  const std::string caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
  const auto call = [&](const TraceContext& from) {
    Span span = tracer.Enter("waybill.order.v1.OrderService/CreateOrder", SpanKind::kServer, from);
    if (span.recording()) {
      span.Set("rpc.system", "grpc");
      span.Set("rpc.service", "waybill.order.v1.OrderService");
      span.Set("rpc.method", "CreateOrder");
      span.Set("rpc.grpc.status_code", int64_t{0});
      span.Set("waybill.client", "somebody");
    }
    span.End();
  };
  Measure("a call that is not sampled", [&] { call({}); });
  Measure("the same, of a caller with a traceparent, passed on to a saga", [&] {
    const std::optional<TraceContext> from = ParseTraceparent(caller);
    Span span = tracer.Enter("call", SpanKind::kServer, *from);
    const std::string passed_on = span.context().Traceparent();
    span.End();
  });
  Measure("a part of what is not sampled", [&] { tracer.Child("part", SpanKind::kInternal, {}).End(); });
  ratio = 1;
  Measure("a call that is sampled", [&] { call({}); });
}

}  // namespace
}  // namespace waybill

int main() { waybill::Run(); }

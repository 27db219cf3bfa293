// Any bytes as traceparent and tracestate: they are none, or mean one context, which can be passed on; nothing crashes.
// Run by libFuzzer (preset fuzz), and over seeds by trace_fuzz_test.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/trace.h"

namespace waybill {
namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void FuzzParent(std::string_view text) {
  const std::optional<TraceContext> context = ParseTraceparent(text);
  Check(TraceIdOf(text).empty() == !context, "one that is none has no trace");
  if (!context) return;
  Check(context->valid(), "it names a span");
  Check(TraceIdOf(text) == context->trace_id.ToString(), "the log has the trace that spans have");
  const std::string passed_on = context->Traceparent();
  Check(ParseTraceparent(passed_on) == context, "what is passed on means the same");
  Check(text.substr(3, 49) == std::string_view(passed_on).substr(3, 49), "ids are as they were written");
}

void FuzzState(std::string_view text) {
  const size_t half = text.size() / 2;
  for (const auto& fields : {std::array<std::string_view, 2>{text, ""},
                             std::array<std::string_view, 2>{text.substr(0, half), text.substr(half)}}) {
    const std::string state = JoinTracestate(fields);
    Check(state.size() <= kTracestateBytesMax, "it is bounded");
    for (const char c : state) Check(c >= ' ' && c <= '~', "it can be sent");
    const std::array<std::string_view, 1> again = {state};
    Check(JoinTracestate(again) == state, "it is one");
  }
}

}  // namespace
}  // namespace waybill

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  waybill::FuzzParent(text);
  waybill::FuzzState(text);
  return 0;
}

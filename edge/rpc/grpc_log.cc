#include "edge/rpc/grpc_log.h"

#include <cstdint>
#include <mutex>
#include <optional>

#include "grpc/support/log.h"

namespace waybill::rpc {
namespace {

constexpr absl::Duration kPause = absl::Seconds(1);

}  // namespace

// gRPC hands nothing back to its log function, so that this can be nowhere else; and its threads may still write when
// a GrpcLog goes.
struct GrpcLog::Throttled {
  std::mutex mutex;
  const Clock* clock = nullptr;  // these four under mutex
  std::optional<Logger> log;
  SteadyTime next = SteadyTime::InfinitePast();
  uint64_t left_out = 0;

  static Throttled& Get() {
    static auto* const throttled = new Throttled;
    return *throttled;
  }
};

GrpcLog::GrpcLog(const Clock& clock, const Logger& log) {
  Throttled& throttled = Throttled::Get();
  {
    std::lock_guard lock(throttled.mutex);
    throttled.clock = &clock;
    throttled.log.emplace(log.For("edge.rpc"));
    throttled.next = SteadyTime::InfinitePast();
    throttled.left_out = 0;
  }
  gpr_set_log_function(&GrpcLog::Write);
}

GrpcLog::GrpcLog() {
  gpr_set_log_function([](gpr_log_func_args*) {});
}

GrpcLog::~GrpcLog() {
  gpr_set_log_function(nullptr);
  Throttled& throttled = Throttled::Get();
  std::lock_guard lock(throttled.mutex);
  throttled.log.reset();
}

void GrpcLog::Write(gpr_log_func_args* args) {
  if (args->severity != GPR_LOG_SEVERITY_ERROR) return;
  Throttled& throttled = Throttled::Get();
  std::lock_guard lock(throttled.mutex);
  if (!throttled.log) return;
  const SteadyTime now = throttled.clock->Steady();
  if (now < throttled.next) {
    ++throttled.left_out;
    return;
  }
  throttled.log->Warn("gRPC complains", {{"error", args->message}, {"left_out", throttled.left_out}});
  throttled.next = now + kPause;
  throttled.left_out = 0;
}

}  // namespace waybill::rpc

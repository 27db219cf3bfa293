// gRPC has one log for the whole process, of lines that are nobody's format; this is where it goes while one of these
// lives. There is one at a time.
#pragma once

#include "runtime/clock.h"
#include "runtime/log.h"

struct gpr_log_func_args;

namespace waybill::rpc {

class GrpcLog {
 public:
  // Says what gRPC takes for an error as warnings of `log`, which outlives this: one a second at most, with how many
  // were left out before it. Whoever reaches the port can make gRPC complain, of a handshake that failed, and must not
  // fill the log.
  GrpcLog(const Clock& clock, const Logger& log);
  // Drops everything: what went wrong is in the status of the call as well.
  GrpcLog();
  ~GrpcLog();
  GrpcLog(const GrpcLog&) = delete;
  GrpcLog& operator=(const GrpcLog&) = delete;

 private:
  struct Throttled;
  static void Write(gpr_log_func_args* args);
};

}  // namespace waybill::rpc

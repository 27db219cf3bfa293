// Unary methods that wait for a store. The queues' threads must not, so each call is served on a worker.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "domain/reasons.h"
#include "edge/rpc/server.h"
#include "runtime/executor.h"

namespace waybill::rpc {

// "package.Service/Method", before the server starts. `work` fills the call's response and answers its status; what it
// refers to, and `workers`, outlive the server. QUEUE_FULL while they have too much to do.
template <typename Request, typename Response, typename Work>
void UnaryOnWorker(Server& server, const std::string& method, const access::Rule& rule, Executor& workers, Work work) {
  using Call = UnaryCall<Request, Response>;
  server.Unary<Request, Response>(method, rule, [&workers, work = std::move(work)](typename Call::Ptr owned) {
    auto call = std::make_shared<typename Call::Ptr>(std::move(owned));
    Executor::Task task = [call, work] { (*call)->Finish(work(**call)); };
    if (!workers.Submit(task)) (*call)->Finish(domain::TooBusy());
  });
}

}  // namespace waybill::rpc

// What operators do with sagas, without gRPC.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/scheduler.h"
#include "services/order/order_api.h"
#include "services/order/order_metrics.h"
#include "storage/audit_log.h"
#include "storage/order_store.h"

namespace waybill::order {

class SagaApi {
 public:
  struct Answer {
    storage::SagaView saga;
    std::vector<saga::LogEntry> log;
  };
  using Done = absl::AnyInvocable<void(absl::StatusOr<Answer>)>;
  struct SignalAnswer {
    saga::SignalResult result;
    std::optional<Answer> saga;  // as it stands then; nullopt: it could not be read any more
  };

  // All outlive this; no callback is in flight when it is destroyed. A retry is waited for no longer than `retry_wait`.
  // `kinds` is what the runner drives.
  SagaApi(const saga::Kinds& kinds, saga::Runner& runner, Dispatch& dispatch, storage::OrderStore& store,
          storage::AuditLog& audit, Executor& workers, Executor& list_workers, Scheduler& scheduler, const Clock& clock,
          OrderMetrics& metrics, absl::Duration retry_wait = absl::Seconds(3))
      : kinds_(kinds),
        runner_(runner),
        dispatch_(dispatch),
        store_(store),
        audit_(audit),
        workers_(workers),
        list_workers_(list_workers),
        scheduler_(scheduler),
        clock_(clock),
        metrics_(metrics),
        retry_wait_(retry_wait) {}

  void List(storage::SagaQuery query, absl::AnyInvocable<void(absl::StatusOr<std::vector<storage::SagaView>>)> done);
  void Get(const Uuid& saga_id, Done done);  // SAGA_NOT_FOUND

  // These answer SAGA_NOT_DRIVEN_HERE for a saga of a kind or version that this process does not drive. What `by` does
  // is in the audit: before it is done (Retry, which writes nothing by itself), or in the commit that does it.

  // Tries the step the saga stands at, at once, and answers what has become of it. SAGA_NOT_FOUND, SAGA_FINISHED.
  void Retry(const Uuid& saga_id, domain::Actor by, SteadyTime deadline, Done done);
  // Ends a saga that needs attention. `reason`, behind the operator's name, goes to its log. SAGA_NOT_FOUND,
  // SAGA_NOT_STUCK.
  void Resolve(const Uuid& saga_id, domain::Actor by, std::string reason, SteadyTime deadline, Done done);
  // Says what became of a step that waits. Answers when that is durable, and does not wait for the saga, so that it
  // needs no deadline. BAD_REQUEST, SAGA_NOT_FOUND.
  void Signal(const Uuid& saga_id, domain::Actor by, saga::Signal signal,
              absl::AnyInvocable<void(absl::StatusOr<SignalAnswer>)> done);

 private:
  using Pending = std::shared_ptr<PendingAnswer<Answer>>;
  absl::StatusOr<Answer> Read(const Uuid& saga_id);
  void Direct(const Uuid& saga_id, saga::Directive directive, saga::Runner::Prepare prepare, SteadyTime deadline,
              std::function<absl::Status(const storage::SagaView&)> check, Done done);
  void AnswerRead(const Uuid& saga_id, const Pending& answer);

  const saga::Kinds& kinds_;
  saga::Runner& runner_;
  Dispatch& dispatch_;
  storage::OrderStore& store_;
  storage::AuditLog& audit_;
  Executor& workers_;
  Executor& list_workers_;
  Scheduler& scheduler_;
  const Clock& clock_;
  OrderMetrics& metrics_;
  const absl::Duration retry_wait_;
};

}  // namespace waybill::order

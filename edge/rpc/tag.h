// What gRPC's completion queues carry: every tag of this project is one of these.
#pragma once

#include "absl/synchronization/mutex.h"
#include "grpcpp/completion_queue.h"

namespace waybill::rpc {

class Tag {
 public:
  // `ok` means what gRPC says it means for the operation. On the queue's thread.
  virtual void Proceed(bool ok) = 0;

 protected:
  ~Tag() = default;
};

template <typename Owner>
class MemberTag final : public Tag {
 public:
  using Member = void (Owner::*)(bool ok);
  MemberTag(Owner* owner, Member member) : owner_(owner), member_(member) {}
  void Proceed(bool ok) override { (owner_->*member_)(ok); }

 private:
  Owner* const owner_;
  const Member member_;
};

// Serves a queue until it is shut down and empty.
inline void ServeQueue(grpc::CompletionQueue& queue) {
  void* tag;
  bool ok;
  while (queue.Next(&tag, &ok)) static_cast<Tag*>(tag)->Proceed(ok);
}

// Debian builds absl with its debug checks, so every lock that gRPC takes would be looked up in a graph of lock orders:
// 6 % of a call's CPU, on either side. Of the whole process.
inline void IgnoreLockOrder() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

}  // namespace waybill::rpc

// The dead letters of one queue, for a person: read, sent back, or given up. What was looked at and left goes back to
// its place when this ends, so that nobody else sees it meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/amqp/connection.h"
#include "edge/amqp/message.h"
#include "runtime/clock.h"

namespace waybill::amqp {

struct DeadLetter {
  uint64_t tag = 0;
  std::string queue;  // where it failed
  std::string id;     // the message's; may be empty
  std::string reason, detail;
  absl::Time first_seen, failed_at;  // InfinitePast: nobody has said so
  int64_t attempts = 0;
  int64_t redrives = 0;
  Message message;
};

class DeadLetterQueue {
 public:
  // Of that queue of work. As Connection::Open; BROKER_QUEUE_NOT_FOUND. The clock outlives it.
  static absl::StatusOr<std::unique_ptr<DeadLetterQueue>> Open(const ConnectionOptions& options,
                                                               const std::string& queue, const Clock& clock);

  int64_t count() const { return count_; }  // when it was opened

  // The next one, the oldest first; nothing once as many came as there were at first.
  absl::StatusOr<std::optional<DeadLetter>> Next();
  // Back into its queue, as if no attempt had been made. It is gone from here once it is confirmed there; after an
  // error it may be in both, and this is not used any more. What its headers say of where it came from is not believed.
  absl::Status Redrive(const DeadLetter& letter);
  absl::Status Discard(const DeadLetter& letter);
  // What was changed is so when this returns.
  void Close() { connection_->Close(); }

 private:
  DeadLetterQueue(std::unique_ptr<Connection> connection, absl::Duration confirm_timeout, std::string queue,
                  const Clock& clock)
      : connection_(std::move(connection)),
        confirm_timeout_(confirm_timeout),
        queue_(std::move(queue)),
        clock_(clock) {}

  const std::unique_ptr<Connection> connection_;
  const absl::Duration confirm_timeout_;
  const std::string queue_;
  const Clock& clock_;
  int64_t count_ = 0;
  int64_t seen_ = 0;
};

}  // namespace waybill::amqp

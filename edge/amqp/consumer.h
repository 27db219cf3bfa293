// Consumes a queue: each message goes to a handler, and is acked once that says that what it did is durable. A message
// comes again when the process, the connection or the broker dies in between, so that handling one twice must be
// harmless.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "edge/amqp/bounded_stop.h"
#include "edge/amqp/connection.h"
#include "edge/amqp/message.h"
#include "edge/amqp/metrics.h"
#include "edge/amqp/publisher.h"
#include "edge/amqp/topology.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/random.h"

namespace waybill::amqp {

struct Delivery {
  std::string queue;
  Message message;
  // It has more than the body_bytes_max of ConsumerOptions: the message has no body, and its copies that beginning.
  bool too_large = false;
  uint64_t body_bytes = 0;
  std::string beginning;
  bool redelivered = false;  // it may have been handled before; so may one that is not
  int attempts = 0;          // that failed before this one
  absl::Time first_seen;
};

enum class Outcome {
  kDone,   // durable, or there is nothing to do: ack it
  kRetry,  // this attempt failed: again after the next delay, dead after the last
  kDead,   // no attempt can help
  kPause,  // nothing is wrong with the message: hand it over again after a pause, and count no attempt
};

struct Verdict {
  Outcome outcome = Outcome::kDone;
  std::string reason;  // of any but kDone: machine-readable
  std::string detail;  // for people
  std::string id;      // for the message's copy, where it has no message-id itself
};

// Called once, on any thread, at any time: also when the consumer is gone.
using Answer = absl::AnyInvocable<void(Verdict)>;
// On the consumer's thread; must not block. Up to `prefetch` deliveries are with it at the same time.
using Handler = std::function<void(std::shared_ptr<const Delivery> delivery, Answer answer)>;

struct ConsumerOptions {
  ConnectionOptions connection;
  WorkQueue queue;
  uint16_t prefetch = 256;  // messages that came and are not acked
  // More of a body is dropped as it arrives. So the messages of a consumer take at most prefetch * (body_bytes_max +
  // 128 KiB of headers, a frame) before they are handled, and as much again while all of them are copied elsewhere.
  size_t body_bytes_max = 1 << 20;
  absl::Duration reconnect_initial = absl::Milliseconds(100);
  absl::Duration reconnect_max = absl::Seconds(10);
  absl::Duration pause_initial = absl::Milliseconds(200);  // doubles up to the next, for each message
  absl::Duration pause_max = absl::Seconds(15);
};

class Consumer {
 public:
  // All outlive it. It declares its queues whenever it connects.
  Consumer(ConsumerOptions options, Handler handler, Publisher& publisher, const Clock& clock, Random& random,
           ConsumerMetrics& metrics, const Logger& log);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  void Start(const Loops& loops);
  // Consumes no more, acks what the handler answers until `deadline`, and gives the rest back. A call after the first
  // changes nothing.
  void BeginStop(SteadyTime deadline);
  // And waits for the end of it, however silent the broker is: until kGoodbye after the deadline (and a
  // connect_timeout, of one whose TCP does not answer). Before the publisher's.
  void Stop(SteadyTime deadline);
  bool connected() const { return connected_; }  // thread-safe

 private:
  struct Inbox;  // what handlers and the publisher say; outlives this, since they may say it late

  enum class Doing { kHandling, kPublishing, kPausing, kDone };
  struct Held {
    std::shared_ptr<const Delivery> delivery;
    Doing doing = Doing::kHandling;
    std::optional<Verdict> verdict;  // it has to be published elsewhere
    int pauses = 0;
    SteadyTime due;  // after a pause
  };

  std::optional<SteadyTime> TakeTurn();
  absl::Status Connect();
  void Lose(const absl::Status& why);
  absl::Status Read();
  void OnArrived(Arrived arrived);
  void HandOver(uint64_t tag, Held& held);
  void TakeAnswers();
  void OnVerdict(Held& held, uint64_t tag, Verdict verdict);
  void MoveElsewhere(uint64_t tag, Held& held);
  void Pause(Held& held);
  void Resume();
  absl::Status AckDone();
  absl::Duration NextWait() const;

  const ConsumerOptions options_;
  const Handler handler_;
  Publisher& publisher_;
  const Clock& clock_;
  Random& random_;
  ConsumerMetrics& metrics_;
  const Logger log_;
  const std::shared_ptr<Inbox> inbox_;
  BoundedStop stop_;
  Interrupt interrupt_;
  std::unique_ptr<Loop> loop_;
  std::atomic<bool> connected_ = false;

  // The loop's.
  std::unique_ptr<Connection> connection_;
  bool consuming_ = false;
  bool stopping_ = false;
  uint64_t epoch_ = 0;  // of the connection: tags of an earlier one mean nothing
  int failures_ = 0;
  SteadyTime connect_at_ = SteadyTime::InfinitePast();
  // By tag: all that came over this connection and is not acked, but for what comes after the last that is wanted. One
  // ack may be for all before it, so nothing leaves in another way than by an ack, or with the connection.
  std::map<uint64_t, Held> held_;
};

}  // namespace waybill::amqp

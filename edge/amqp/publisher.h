// Publishes to queues, and says of each message what became of it. A connection of its own: under an alarm RabbitMQ
// reads nothing of one that publishes, acks neither.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "edge/amqp/bounded_stop.h"
#include "edge/amqp/connection.h"
#include "edge/amqp/message.h"
#include "edge/amqp/metrics.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/random.h"

namespace waybill::amqp {

struct PublisherOptions {
  ConnectionOptions connection;
  size_t waiting_max = 10'000;                         // messages that are not confirmed; more are QUEUE_FULL,
  size_t waiting_bytes_max = 64 << 20;                 // as are those whose bodies make more than that
  size_t in_flight_max = 1'000;                        // of them sent
  absl::Duration confirm_timeout = absl::Seconds(30);  // from Publish on
  absl::Duration reconnect_initial = absl::Milliseconds(100);
  absl::Duration reconnect_max = absl::Seconds(10);
};

class Publisher {
 public:
  // OK: on disk in a queue. MESSAGE_REFUSED and MESSAGE_UNROUTABLE: in none. BROKER_UNAVAILABLE and QUEUE_FULL: it was
  // never sent, as is what CheckMessage refuses. MESSAGE_UNCONFIRMED: it may be there, perhaps twice.
  using Done = absl::AnyInvocable<void(absl::Status)>;

  // All outlive it.
  Publisher(PublisherOptions options, const Clock& clock, Random& random, PublisherMetrics& metrics, const Logger& log);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  void Start(const Loops& loops);
  // Thread-safe. `done` is called once, on the publisher's thread or on this one; it must not block. After a lost
  // connection the message is sent again, until it is confirmed or its time is over: it may be there twice.
  void Publish(std::string queue, Message message, Done done);
  // Takes no more, waits until `deadline` for the confirms, and tells the others: MESSAGE_UNCONFIRMED where a message
  // was sent. Ends kGoodbye after the deadline at the latest, as Consumer::Stop; the second time there is nothing to
  // do.
  void Stop(SteadyTime deadline);
  // Thread-safe.
  bool connected() const { return connected_; }
  bool takes_messages() const {
    return connected_ && !is_blocked_;
  }  // else RabbitMQ is away, or takes nothing of anybody

 private:
  struct Entry {
    std::string queue;
    Message message;
    Done done;
    SteadyTime deadline;
    bool sent = false;  // ever
  };

  std::optional<SteadyTime> TakeTurn();
  void TakeNew();
  void Expire();
  absl::Status Connect();
  absl::Status Send();
  absl::Status Read();
  void Lose(const absl::Status& why);
  void OnConfirm(const Confirmed& confirmed);
  void OnReturn(const Returned& returned);
  void Finish(Entry entry, const absl::Status& status);
  absl::Duration NextWait() const;

  PublisherOptions options_;
  const Clock& clock_;
  Random& random_;
  PublisherMetrics& metrics_;
  const Logger log_;
  const Wakeup wakeup_;
  BoundedStop stop_;
  Interrupt interrupt_;
  std::unique_ptr<Loop> loop_;
  std::atomic<bool> connected_ = false;
  std::atomic<bool> is_blocked_ = false;

  std::mutex mutex_;
  std::deque<Entry> new_;     // guarded by mutex_
  size_t waiting_ = 0;        // guarded by mutex_; everywhere
  size_t waiting_bytes_ = 0;  // guarded by mutex_

  // The loop's.
  std::unique_ptr<Connection> connection_;
  int failures_ = 0;  // to connect, since the last time that a confirm came
  SteadyTime connect_at_ = SteadyTime::InfinitePast();
  std::string blocked_;  // why
  absl::Status unavailable_;
  std::deque<Entry> unsent_;
  std::map<uint64_t, Entry> in_flight_;  // by tag
  uint64_t next_tag_ = 1;
};

}  // namespace waybill::amqp

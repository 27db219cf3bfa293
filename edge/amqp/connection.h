// A connection to RabbitMQ with one channel, used by one thread. librabbitmq blocks; each call here ends by a timeout.
// Whatever fails ends the connection: the broker gives back what was not acked, and who uses it opens another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/amqp/address.h"
#include "edge/amqp/message.h"

namespace waybill::amqp {

struct ConnectionOptions {
  Address address;
  std::string ca;    // PEM file of those who may vouch for the broker; "": whom this machine trusts
  std::string name;  // for people who look at the broker
  absl::Duration heartbeat = absl::Seconds(10);       // whole seconds; gone after two without a sign. 0: none
  absl::Duration connect_timeout = absl::Seconds(5);  // of each: TCP (and TLS), the handshake
  absl::Duration call_timeout = absl::Seconds(10);    // of what the broker answers
  // What it does not take from us for so long ends the connection: under an alarm it reads nothing of who publishes.
  absl::Duration write_timeout = absl::Seconds(20);
  // Of a body that Next() answers so many bytes are kept, the first; the rest is dropped as it arrives.
  size_t body_bytes_max = std::numeric_limits<size_t>::max();
};

// What a broker has after a deadline to answer a goodbye, without which it may not read what it was sent last.
inline constexpr absl::Duration kGoodbye = absl::Milliseconds(500);

// What the broker says on its own.
struct Arrived {
  uint64_t tag = 0;
  bool redelivered = false;
  std::string routing_key;
  Message message;
  uint64_t body_bytes = 0;  // of the whole body: its beginning is in the message where that is more
};
struct Confirmed {
  uint64_t tag = 0;
  bool multiple = false;  // and all before it
  bool taken = false;     // false: refused (basic.nack)
};
struct Returned {  // no queue took it; its confirm follows
  int code = 0;
  std::string why;
  Message message;  // as of Arrived
};
struct Blocked {
  std::string why;
};
struct Unblocked {};
struct Cancelled {};  // the queue that is consumed is gone
using Event = std::variant<Arrived, Confirmed, Returned, Blocked, Unblocked, Cancelled>;

struct QueueArguments {
  std::optional<absl::Duration> message_ttl;
  std::string dead_letter_queue;  // where messages go whose time is over
  std::optional<int64_t> max_length;
  bool refuse_when_full = false;  // "reject-publish"; else the oldest is dropped
};

// Ends from any thread what a connection waits for, such as a broker that says nothing: its calls fail from then on.
class Interrupt {
 public:
  Interrupt() = default;
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  void Fire();  // those that are opened later fail, too

 private:
  friend class Connection;
  bool Watch(int socket);  // false: it was fired
  void Forget();

  std::mutex mutex_;
  bool fired_ = false;  // guarded by mutex_
  int socket_ = -1;     // guarded by mutex_; a descriptor of its own for the connection's socket
};

class Connection {
 public:
  // BROKER_UNAVAILABLE, or BROKER_REFUSED when credentials, the virtual host or the certificate are. `interrupt`, of
  // one connection at a time, outlives it, and ends all but the wait for TCP itself; may be null.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const ConnectionOptions& options,
                                                          Interrupt* interrupt = nullptr);
  ~Connection();  // without a word
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // BROKER_UNAVAILABLE, or BROKER_REFUSED with what the broker says: all of them.
  absl::Status DeclareQueue(const std::string& queue, const QueueArguments& arguments = {});  // durable
  absl::StatusOr<int64_t> CountReady(const std::string& queue);  // NOT_FOUND: no such queue
  absl::Status SetPrefetch(uint16_t messages);
  absl::Status ConfirmPublishes();  // from now on tags count from 1
  absl::Status Consume(const std::string& queue);
  absl::Status StopConsuming();  // OK says that it was sent: some may come yet

  absl::Status Ack(uint64_t tag, bool multiple);
  absl::Status GiveBack(uint64_t tag);  // to the head of its queue
  // To that queue, mandatory. OK says that it was sent and no more.
  absl::Status Publish(const std::string& queue, const Message& message);
  absl::StatusOr<std::optional<Arrived>> Get(const std::string& queue);  // one message, unacked
  // What has come, without waiting. Keeps the heartbeat, so it is called at least four times in one.
  absl::StatusOr<std::optional<Event>> Next();
  // Says goodbye, so that what was sent has arrived.
  void Close();

  int fd() const;
  bool CanSend() const;  // without waiting, if it is small

 private:
  struct State;
  explicit Connection(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

// Waits until something has come, or `wake` was written to, or, if asked for, something can be sent. `connection` may
// be null.
void WaitFor(const Connection* connection, bool to_send, int wake, absl::Duration at_most);

// Ends a WaitFor from any thread.
class Wakeup {
 public:
  Wakeup();  // aborts when the system has no more descriptors
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  void Notify() const;
  void Clear() const;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace waybill::amqp

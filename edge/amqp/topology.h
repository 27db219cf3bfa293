// A queue of work and those that belong to it: its messages wait in one of them before another attempt, and lie in
// another when there is none. What was said of a message is in its headers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "edge/amqp/connection.h"
#include "edge/amqp/message.h"

namespace waybill::amqp {

struct WorkQueue {
  std::string name;
  // Before the second attempt, the third, ...; zero: to the end of the queue itself. After the last one it is dead.
  std::vector<absl::Duration> delays = {absl::ZeroDuration(), absl::Seconds(1), absl::Seconds(10), absl::Minutes(1),
                                        absl::Minutes(10)};
};

// "transactions.retry.10s". RabbitMQ looks at the oldest message alone whether its time is over, so that each delay has
// a queue of its own.
std::string RetryQueue(std::string_view queue, absl::Duration delay);
std::string DeadQueue(std::string_view queue);  // "transactions.dead"
// The queue that the letters of a dead queue come from; "": it is none.
std::string WorkQueueOf(std::string_view dead_queue);

// All durable; those that are there as they should be are left as they are. As Connection::DeclareQueue.
absl::Status Declare(Connection& connection, const WorkQueue& queue);

inline constexpr std::string_view kReasonHeader = "x-waybill-reason";         // machine-readable, of the last failure
inline constexpr std::string_view kDetailHeader = "x-waybill-detail";         // for people
inline constexpr std::string_view kFirstSeenHeader = "x-waybill-first-seen";  // RFC 3339, as is the next one
inline constexpr std::string_view kFailedAtHeader = "x-waybill-failed-at";    // last
inline constexpr std::string_view kAttemptsHeader = "x-waybill-attempts";     // that failed
inline constexpr std::string_view kQueueHeader = "x-waybill-queue";           // that it came from
inline constexpr std::string_view kBodyBytesHeader = "x-waybill-body-bytes";  // of a body whose beginning alone is kept
inline constexpr std::string_view kRedrivesHeader = "x-waybill-redrives";     // how often a person sent it back

std::string TimeText(absl::Time time);  // "2027-01-15T08:00:00Z"
absl::Time ParseTimeText(const std::string& text, absl::Time otherwise);

}  // namespace waybill::amqp

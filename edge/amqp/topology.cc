#include "edge/amqp/topology.h"

#include "fmt/format.h"

namespace waybill::amqp {
namespace {

constexpr std::string_view kDead = ".dead";

}  // namespace

std::string RetryQueue(std::string_view queue, absl::Duration delay) {
  const int64_t milliseconds = absl::ToInt64Milliseconds(delay);
  return milliseconds % 1'000 == 0 ? fmt::format("{}.retry.{}s", queue, milliseconds / 1'000)
                                   : fmt::format("{}.retry.{}ms", queue, milliseconds);
}

std::string DeadQueue(std::string_view queue) { return fmt::format("{}{}", queue, kDead); }

std::string WorkQueueOf(std::string_view dead_queue) {
  if (dead_queue.size() <= kDead.size() || dead_queue.substr(dead_queue.size() - kDead.size()) != kDead) return "";
  return std::string(dead_queue.substr(0, dead_queue.size() - kDead.size()));
}

absl::Status Declare(Connection& connection, const WorkQueue& queue) {
  if (absl::Status status = connection.DeclareQueue(queue.name); !status.ok()) return status;
  for (const absl::Duration delay : queue.delays) {
    if (delay == absl::ZeroDuration()) continue;
    QueueArguments arguments;
    arguments.message_ttl = delay;
    arguments.dead_letter_queue = queue.name;
    if (absl::Status status = connection.DeclareQueue(RetryQueue(queue.name, delay), arguments); !status.ok()) {
      return status;
    }
  }
  return connection.DeclareQueue(DeadQueue(queue.name));
}

std::string TimeText(absl::Time time) { return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone()); }

absl::Time ParseTimeText(const std::string& text, absl::Time otherwise) {
  absl::Time time;
  return absl::ParseTime(absl::RFC3339_sec, text, &time, nullptr) ? time : otherwise;
}

}  // namespace waybill::amqp

#include "edge/amqp/dead_letters.h"

#include <algorithm>
#include <utility>

#include "domain/reasons.h"
#include "edge/amqp/topology.h"
#include "fmt/format.h"

namespace waybill::amqp {

absl::StatusOr<std::unique_ptr<DeadLetterQueue>> DeadLetterQueue::Open(const ConnectionOptions& options,
                                                                       const std::string& queue, const Clock& clock) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(options);
  if (!connection.ok()) return connection.status();
  const absl::StatusOr<int64_t> count = (*connection)->CountReady(DeadQueue(queue));
  if (!count.ok()) return count.status();
  if (absl::Status status = (*connection)->ConfirmPublishes(); !status.ok()) return status;
  auto opened =
      std::unique_ptr<DeadLetterQueue>(new DeadLetterQueue(*std::move(connection), options.call_timeout, queue, clock));
  opened->count_ = *count;
  return opened;
}

absl::StatusOr<std::optional<DeadLetter>> DeadLetterQueue::Next() {
  if (seen_ >= count_) return std::nullopt;
  absl::StatusOr<std::optional<Arrived>> arrived = connection_->Get(DeadQueue(queue_));
  if (!arrived.ok()) return arrived.status();
  if (!arrived->has_value()) return std::nullopt;
  ++seen_;
  DeadLetter letter;
  letter.tag = (*arrived)->tag;
  letter.message = std::move((*arrived)->message);
  const Headers& headers = letter.message.headers;
  letter.queue = HeaderText(headers, kQueueHeader);
  if (letter.queue.empty()) letter.queue = queue_;
  letter.id = letter.message.message_id;
  letter.reason = HeaderText(headers, kReasonHeader);
  letter.detail = HeaderText(headers, kDetailHeader);
  letter.first_seen = ParseTimeText(HeaderText(headers, kFirstSeenHeader), absl::InfinitePast());
  letter.failed_at = ParseTimeText(HeaderText(headers, kFailedAtHeader), absl::InfinitePast());
  letter.attempts = HeaderInteger(headers, kAttemptsHeader).value_or(0);
  letter.redrives = HeaderInteger(headers, kRedrivesHeader).value_or(0);
  return letter;
}

absl::Status DeadLetterQueue::Redrive(const DeadLetter& letter) {
  Message message = letter.message;
  for (const std::string_view header : {kReasonHeader, kDetailHeader, kFailedAtHeader, kAttemptsHeader, kQueueHeader}) {
    RemoveHeader(message.headers, header);
  }
  SetHeader(message.headers, kRedrivesHeader, letter.redrives + 1);
  message.persistent = true;
  if (absl::Status status = connection_->Publish(queue_, message); !status.ok()) return status;
  // One at a time, so that whatever confirm comes is its own.
  const SteadyTime deadline = clock_.Steady() + confirm_timeout_;
  bool routed = true;
  std::string blocked;
  for (;;) {
    absl::StatusOr<std::optional<Event>> event = connection_->Next();
    if (!event.ok()) return event.status();
    if (!event->has_value()) {
      const absl::Duration left = deadline - clock_.Steady();
      if (left <= absl::ZeroDuration()) {
        return domain::ReasonError("MESSAGE_UNCONFIRMED", blocked.empty()
                                                              ? "RabbitMQ has not confirmed the letter in time"
                                                              : "RabbitMQ takes no messages: " + blocked);
      }
      WaitFor(connection_.get(), /*to_send=*/false, /*wake=*/-1, left);
      continue;
    }
    if (std::holds_alternative<Returned>(**event)) routed = false;
    if (const auto* why = std::get_if<Blocked>(&**event)) blocked = why->why;
    if (const auto* confirmed = std::get_if<Confirmed>(&**event)) {
      if (!routed) return domain::ReasonError("MESSAGE_UNROUTABLE", "no queue " + queue_);
      if (!confirmed->taken) {
        return domain::ReasonError("MESSAGE_REFUSED", fmt::format("{} refuses the letter: it is full", queue_));
      }
      return connection_->Ack(letter.tag, /*multiple=*/false);
    }
  }
}

absl::Status DeadLetterQueue::Discard(const DeadLetter& letter) {
  return connection_->Ack(letter.tag, /*multiple=*/false);
}

}  // namespace waybill::amqp

#include "edge/amqp/publisher.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "saga/retry_policy.h"

namespace waybill::amqp {
namespace {

// Says which message a return is about: the confirm that follows may be for many.
constexpr std::string_view kTagHeader = "x-waybill-publish";

}  // namespace

Publisher::Publisher(PublisherOptions options, const Clock& clock, Random& random, PublisherMetrics& metrics,
                     const Logger& log)
    : options_(std::move(options)), clock_(clock), random_(random), metrics_(metrics), log_(log.For("edge.amqp")) {
  options_.connection.body_bytes_max = 0;  // of what is returned, its tag is all that is looked at
}

Publisher::~Publisher() { Stop(clock_.Steady()); }

void Publisher::Start(const Loops& loops) {
  loop_ = loops.Start([this](const Clock& /*clock*/) { return TakeTurn(); });
}

void Publisher::Publish(std::string queue, Message message, Done done) {
  absl::Status refused = CheckMessage(queue, message);
  if (refused.ok()) {
    std::unique_lock lock(mutex_);
    if (stop_.deadline()) {
      refused = domain::ReasonError("BROKER_UNAVAILABLE", "the publisher has stopped");
    } else if (waiting_ >= options_.waiting_max ||
               (waiting_ > 0 && waiting_bytes_ + message.body.size() > options_.waiting_bytes_max)) {
      refused = domain::QueueFull("too many messages wait for RabbitMQ", absl::Seconds(1));
    } else {
      ++waiting_;
      waiting_bytes_ += message.body.size();
      new_.push_back(
          {std::move(queue), std::move(message), std::move(done), clock_.Steady() + options_.confirm_timeout});
      lock.unlock();
      wakeup_.Notify();
      return;
    }
  }
  metrics_.unsent.Increment();
  done(refused);
}

void Publisher::Stop(SteadyTime deadline) {
  stop_.Begin(deadline);
  wakeup_.Notify();
  if (loop_) stop_.Await(clock_, interrupt_, *loop_);
}

std::optional<SteadyTime> Publisher::TakeTurn() {
  wakeup_.Clear();
  TakeNew();
  absl::Status status;
  if (connection_ == nullptr && clock_.Steady() >= connect_at_) {
    if (status = Connect(); !status.ok()) {
      metrics_.connection.failed.Increment();
      Lose(status);
    }
  }
  if (connection_ != nullptr) {
    if (status = Read(); status.ok()) status = Send();
    if (status.ok()) status = Read();
    if (!status.ok()) {
      metrics_.connection.lost.Increment();
      Lose(status);
    }
  }
  Expire();
  bool stopped = false;
  absl::Duration wait = NextWait();
  {
    const std::lock_guard lock(mutex_);
    metrics_.waiting.Set(static_cast<double>(waiting_));
    // Under the mutex, as Publish asks: what it took before is among those that wait.
    if (const std::optional<SteadyTime> stop_at = stop_.deadline()) {
      stopped = waiting_ == 0 || clock_.Steady() >= *stop_at;
      wait = std::clamp(*stop_at - clock_.Steady(), absl::ZeroDuration(), wait);
    }
  }
  if (stopped) {
    const auto stop = [](const Entry& entry) {
      return entry.sent ? domain::ReasonError("MESSAGE_UNCONFIRMED", "the publisher has stopped before the confirm")
                        : domain::ReasonError("BROKER_UNAVAILABLE", "the publisher has stopped");
    };
    TakeNew();
    while (!in_flight_.empty()) {
      Entry entry = std::move(in_flight_.extract(in_flight_.begin()).mapped());
      const absl::Status status = stop(entry);
      Finish(std::move(entry), status);
    }
    while (!unsent_.empty()) {
      Entry entry = std::move(unsent_.front());
      unsent_.pop_front();
      const absl::Status status = stop(entry);
      Finish(std::move(entry), status);
    }
    if (connection_ != nullptr && blocked_.empty()) connection_->Close();
    connection_.reset();
    metrics_.connection.up.Set(0);
    connected_ = false;
    stop_.Ended();
    return std::nullopt;
  }
  const bool to_send =
      connection_ != nullptr && blocked_.empty() && !unsent_.empty() && in_flight_.size() < options_.in_flight_max;
  WaitFor(connection_.get(), to_send, wakeup_.fd(), wait);
  return Loop::kAtOnce;
}

void Publisher::TakeNew() {
  const std::lock_guard lock(mutex_);
  std::move(new_.begin(), new_.end(), std::back_inserter(unsent_));
  new_.clear();
}

absl::Status Publisher::Connect() {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(options_.connection, &interrupt_);
  if (!connection.ok()) return connection.status();
  if (absl::Status status = (*connection)->ConfirmPublishes(); !status.ok()) return status;
  connection_ = *std::move(connection);
  next_tag_ = 1;
  unavailable_ = absl::OkStatus();
  metrics_.connection.opened.Increment();
  metrics_.connection.up.Set(1);
  connected_ = true;
  log_.Info("publishes to RabbitMQ", {{"broker", options_.connection.address.Printable()}});
  return absl::OkStatus();
}

// What was sent without a confirm goes before what was not: it is sent again, in its order.
void Publisher::Lose(const absl::Status& why) {
  if (connection_ != nullptr) {
    log_.Warn("the connection that publishes to RabbitMQ is lost",
              {{"error", std::string(why.message())}, {"in_flight", in_flight_.size()}});
  } else {
    log_.Warn("RabbitMQ is not reached", {{"error", std::string(why.message())}, {"failures", failures_ + 1}});
  }
  connection_.reset();
  metrics_.connection.up.Set(0);
  connected_ = false;
  metrics_.blocked.Set(0);
  metrics_.repeated.Increment(static_cast<double>(in_flight_.size()));
  for (auto entry = in_flight_.rbegin(); entry != in_flight_.rend(); ++entry) {
    unsent_.push_front(std::move(entry->second));
  }
  in_flight_.clear();
  blocked_.clear();
  is_blocked_ = false;
  unavailable_ = why;
  ++failures_;
  connect_at_ =
      clock_.Steady() + saga::Backoff(options_.reconnect_initial, options_.reconnect_max, failures_ + 1, random_);
}

absl::Status Publisher::Send() {
  while (blocked_.empty() && !unsent_.empty() && in_flight_.size() < options_.in_flight_max && connection_->CanSend()) {
    Entry entry = std::move(unsent_.front());
    unsent_.pop_front();
    const uint64_t tag = next_tag_++;
    SetHeader(entry.message.headers, kTagHeader, static_cast<int64_t>(tag));
    entry.sent = true;
    const Entry& sent = in_flight_.emplace(tag, std::move(entry)).first->second;
    if (absl::Status status = connection_->Publish(sent.queue, sent.message); !status.ok()) return status;
    // Confirms are read between, so that neither side waits for the other to read.
    if (tag % 64 == 0) {
      if (absl::Status status = Read(); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status Publisher::Read() {
  for (;;) {
    absl::StatusOr<std::optional<Event>> event = connection_->Next();
    if (!event.ok()) return event.status();
    if (!event->has_value()) return absl::OkStatus();
    if (const auto* confirmed = std::get_if<Confirmed>(&**event)) {
      OnConfirm(*confirmed);
    } else if (const auto* returned = std::get_if<Returned>(&**event)) {
      OnReturn(*returned);
    } else if (const auto* blocked = std::get_if<Blocked>(&**event)) {
      blocked_ = blocked->why.empty() ? "an alarm" : blocked->why;
      is_blocked_ = true;
      metrics_.blocked.Set(1);
      log_.Warn("RabbitMQ takes no messages", {{"why", blocked_}});
    } else if (std::holds_alternative<Unblocked>(**event)) {
      blocked_.clear();
      is_blocked_ = false;
      metrics_.blocked.Set(0);
      log_.Info("RabbitMQ takes messages again");
    }
  }
}

void Publisher::OnConfirm(const Confirmed& confirmed) {
  failures_ = 0;
  const auto end = in_flight_.upper_bound(confirmed.tag);
  auto at = confirmed.multiple ? in_flight_.begin() : in_flight_.find(confirmed.tag);
  while (at != in_flight_.end() && at != end) {
    Entry entry = std::move(at->second);
    at = in_flight_.erase(at);
    Finish(std::move(entry), confirmed.taken ? absl::OkStatus()
                                             : domain::ReasonError("MESSAGE_REFUSED",
                                                                   "RabbitMQ refuses the message: its "
                                                                   "queue is full, most likely"));
  }
}

void Publisher::OnReturn(const Returned& returned) {
  const std::optional<int64_t> tag = HeaderInteger(returned.message.headers, kTagHeader);
  const auto found = tag ? in_flight_.find(static_cast<uint64_t>(*tag)) : in_flight_.end();
  if (found == in_flight_.end()) return;  // its time was over
  Entry entry = std::move(found->second);
  in_flight_.erase(found);
  const std::string message = fmt::format("no queue {}: {} {}", entry.queue, returned.code, returned.why);
  Finish(std::move(entry), domain::ReasonError("MESSAGE_UNROUTABLE", message));
}

// Both are in the order of their deadlines.
void Publisher::Expire() {
  const SteadyTime now = clock_.Steady();
  const auto why = [&](const Entry& entry) {
    if (entry.sent) return domain::ReasonError("MESSAGE_UNCONFIRMED", "RabbitMQ has not confirmed the message in time");
    if (!blocked_.empty()) return domain::ReasonError("BROKER_UNAVAILABLE", "RabbitMQ takes no messages: " + blocked_);
    if (!unavailable_.ok()) return unavailable_;
    return domain::ReasonError("BROKER_UNAVAILABLE", "RabbitMQ takes messages too slowly");
  };
  while (!in_flight_.empty() && in_flight_.begin()->second.deadline <= now) {
    Entry entry = std::move(in_flight_.extract(in_flight_.begin()).mapped());
    const absl::Status status = why(entry);
    Finish(std::move(entry), status);
  }
  while (!unsent_.empty() && unsent_.front().deadline <= now) {
    Entry entry = std::move(unsent_.front());
    unsent_.pop_front();
    const absl::Status status = why(entry);
    Finish(std::move(entry), status);
  }
}

void Publisher::Finish(Entry entry, const absl::Status& status) {
  {
    const std::lock_guard lock(mutex_);
    --waiting_;
    waiting_bytes_ -= entry.message.body.size();
  }
  if (status.ok()) {
    metrics_.confirmed.Increment();
  } else {
    const std::string reason = GetErrorDetail(status).reason;
    (reason == "MESSAGE_REFUSED"       ? metrics_.refused
     : reason == "MESSAGE_UNROUTABLE"  ? metrics_.unroutable
     : reason == "MESSAGE_UNCONFIRMED" ? metrics_.unconfirmed
                                       : metrics_.unsent)
        .Increment();
  }
  entry.done(status);
}

absl::Duration Publisher::NextWait() const {
  const SteadyTime now = clock_.Steady();
  absl::Duration wait = std::max(options_.connection.heartbeat / 4, absl::Milliseconds(250));
  if (!in_flight_.empty()) wait = std::min(wait, in_flight_.begin()->second.deadline - now);
  if (!unsent_.empty()) wait = std::min(wait, unsent_.front().deadline - now);
  if (connection_ == nullptr) wait = std::min(wait, connect_at_ - now);
  return std::max(wait, absl::ZeroDuration());
}

}  // namespace waybill::amqp

#include "edge/amqp/consumer.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "saga/retry_policy.h"

namespace waybill::amqp {
namespace {

constexpr size_t kDetailMax = 1'000;
// What ours take besides the detail.
constexpr size_t kOwnHeadersMax = 4 * 1'024;
constexpr size_t kOwnHeaders = 16;  // more than there are

// Its first thousand bytes, without half a character at the end.
std::string Shortened(const std::string& text) {
  if (text.size() <= kDetailMax) return text;
  size_t end = kDetailMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

ConsumerOptions Bounded(ConsumerOptions options) {
  options.connection.body_bytes_max = options.body_bytes_max;
  return options;
}

}  // namespace

struct Consumer::Inbox {
  struct Said {
    uint64_t epoch = 0;
    uint64_t tag = 0;
    std::optional<Verdict> verdict;  // else what became of its copy elsewhere:
    absl::Status published;
  };

  void Put(Said said) {
    const std::lock_guard lock(mutex);
    all.push_back(std::move(said));
    wakeup.Notify();
  }

  const Wakeup wakeup;
  std::mutex mutex;
  std::vector<Said> all;  // guarded by mutex
};

Consumer::Consumer(ConsumerOptions options, Handler handler, Publisher& publisher, const Clock& clock, Random& random,
                   ConsumerMetrics& metrics, const Logger& log)
    : options_(Bounded(std::move(options))),
      handler_(std::move(handler)),
      publisher_(publisher),
      clock_(clock),
      random_(random),
      metrics_(metrics),
      log_(log.For("edge.amqp")),
      inbox_(std::make_shared<Inbox>()) {}

Consumer::~Consumer() { Stop(clock_.Steady()); }

void Consumer::Start(const Loops& loops) {
  loop_ = loops.Start([this](const Clock& /*clock*/) { return TakeTurn(); });
}

void Consumer::BeginStop(SteadyTime deadline) {
  stop_.Begin(deadline);
  inbox_->wakeup.Notify();
}

void Consumer::Stop(SteadyTime deadline) {
  BeginStop(deadline);
  if (loop_) stop_.Await(clock_, interrupt_, *loop_);
}

std::optional<SteadyTime> Consumer::TakeTurn() {
  inbox_->wakeup.Clear();
  const std::optional<SteadyTime> stop_at = stop_.deadline();
  stopping_ = stop_at.has_value();
  TakeAnswers();
  if (connection_ == nullptr && !stopping_ && clock_.Steady() >= connect_at_) {
    if (absl::Status status = Connect(); !status.ok()) {
      metrics_.connection.failed.Increment();
      Lose(status);
    }
  }
  if (connection_ != nullptr) {
    absl::Status status;
    if (stopping_ && consuming_) {
      consuming_ = false;
      status = connection_->StopConsuming();
    }
    // What comes after that is given back with the channel's end.
    if (status.ok()) status = Read();
    if (status.ok()) {
      if (!stopping_) Resume();
      status = AckDone();
    }
    if (!status.ok()) {
      metrics_.connection.lost.Increment();
      Lose(status);
    }
  }
  metrics_.unacked.Set(static_cast<double>(held_.size()));
  absl::Duration wait = NextWait();
  if (stop_at) {
    const SteadyTime now = clock_.Steady();
    // What is pausing goes back with the channel's end. Until then it stays among what is held: no ack is for it too.
    const bool all_told =
        std::all_of(held_.begin(), held_.end(), [](const auto& each) { return each.second.doing == Doing::kPausing; });
    if (connection_ == nullptr || all_told || now >= *stop_at) {
      if (connection_ != nullptr) connection_->Close();
      connection_.reset();
      metrics_.connection.up.Set(0);
      connected_ = false;
      metrics_.unacked.Set(0);
      held_.clear();
      stop_.Ended();
      return std::nullopt;
    }
    wait = std::min(wait, *stop_at - now);
  }
  WaitFor(connection_.get(), /*to_send=*/false, inbox_->wakeup.fd(), wait);
  return Loop::kAtOnce;
}

absl::Status Consumer::Connect() {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(options_.connection, &interrupt_);
  if (!connection.ok()) return connection.status();
  if (absl::Status status = Declare(**connection, options_.queue); !status.ok()) return status;
  if (absl::Status status = (*connection)->SetPrefetch(options_.prefetch); !status.ok()) return status;
  if (absl::Status status = (*connection)->Consume(options_.queue.name); !status.ok()) return status;
  connection_ = *std::move(connection);
  consuming_ = true;
  metrics_.connection.opened.Increment();
  metrics_.connection.up.Set(1);
  connected_ = true;
  log_.Info("consumes a queue of RabbitMQ",
            {{"queue", options_.queue.name}, {"broker", options_.connection.address.Printable()}});
  return absl::OkStatus();
}

// The broker gives back what is held; who handles it now is told nothing, and not heard any more.
void Consumer::Lose(const absl::Status& why) {
  log_.Warn(
      connection_ != nullptr ? "the connection that consumes a queue of RabbitMQ is lost" : "RabbitMQ is not reached",
      {{"queue", options_.queue.name}, {"error", std::string(why.message())}, {"unacked", held_.size()}});
  connection_.reset();
  consuming_ = false;
  metrics_.connection.up.Set(0);
  connected_ = false;
  held_.clear();
  ++epoch_;
  ++failures_;
  connect_at_ =
      clock_.Steady() + saga::Backoff(options_.reconnect_initial, options_.reconnect_max, failures_ + 1, random_);
}

absl::Status Consumer::Read() {
  for (;;) {
    absl::StatusOr<std::optional<Event>> event = connection_->Next();
    if (!event.ok()) return event.status();
    if (!event->has_value()) return absl::OkStatus();
    if (auto* arrived = std::get_if<Arrived>(&**event)) {
      failures_ = 0;
      if (consuming_) OnArrived(std::move(*arrived));
    } else if (std::holds_alternative<Cancelled>(**event)) {
      return absl::UnavailableError("RabbitMQ has cancelled the consumer: the queue is gone");
    }
  }
}

void Consumer::OnArrived(Arrived arrived) {
  auto delivery = std::make_shared<Delivery>();
  delivery->queue = options_.queue.name;
  delivery->redelivered = arrived.redelivered;
  delivery->attempts = static_cast<int>(
      std::clamp<int64_t>(HeaderInteger(arrived.message.headers, kAttemptsHeader).value_or(0), 0, 1'000'000));
  delivery->first_seen = ParseTimeText(HeaderText(arrived.message.headers, kFirstSeenHeader), clock_.Now());
  // What was cut before is no whole message now, though it is short enough.
  delivery->body_bytes =
      std::max(arrived.body_bytes, static_cast<uint64_t>(std::max<int64_t>(
                                       0, HeaderInteger(arrived.message.headers, kBodyBytesHeader).value_or(0))));
  delivery->message = std::move(arrived.message);
  delivery->too_large = delivery->body_bytes > delivery->message.body.size();
  if (delivery->too_large) delivery->beginning = std::exchange(delivery->message.body, "");
  if (arrived.redelivered) metrics_.redelivered.Increment();
  Held& held = held_[arrived.tag];
  held.delivery = std::move(delivery);
  HandOver(arrived.tag, held);
}

void Consumer::HandOver(uint64_t tag, Held& held) {
  held.doing = Doing::kHandling;
  handler_(held.delivery, [inbox = inbox_, epoch = epoch_, tag](Verdict verdict) {
    inbox->Put({epoch, tag, std::move(verdict), absl::OkStatus()});
  });
}

void Consumer::TakeAnswers() {
  std::vector<Inbox::Said> all;
  {
    const std::lock_guard lock(inbox_->mutex);
    all.swap(inbox_->all);
  }
  for (Inbox::Said& said : all) {
    const auto found = held_.find(said.tag);
    if (said.epoch != epoch_ || found == held_.end()) continue;
    Held& held = found->second;
    if (said.verdict) {
      OnVerdict(held, said.tag, *std::move(said.verdict));
    } else if (said.published.ok()) {
      held.doing = Doing::kDone;
    } else {
      log_.Warn("a message is not moved yet",
                {{"queue", options_.queue.name}, {"error", std::string(said.published.message())}});
      Pause(held);
    }
  }
}

void Consumer::OnVerdict(Held& held, uint64_t tag, Verdict verdict) {
  switch (verdict.outcome) {
    case Outcome::kDone:
      metrics_.done.Increment();
      held.doing = Doing::kDone;
      return;
    case Outcome::kPause:
      metrics_.paused.Increment();
      Pause(held);
      return;
    case Outcome::kRetry:
      if (static_cast<size_t>(held.delivery->attempts) >= options_.queue.delays.size())
        verdict.outcome = Outcome::kDead;
      break;
    case Outcome::kDead:
      break;
  }
  if (verdict.outcome == Outcome::kDead) {
    metrics_.dead.Increment();
    log_.Warn("a message is dead",
              {{"queue", options_.queue.name}, {"reason", verdict.reason}, {"attempts", held.delivery->attempts + 1}});
  } else {
    metrics_.retried.Increment();
  }
  held.verdict = std::move(verdict);
  held.pauses = 0;
  MoveElsewhere(tag, held);
}

// The copy is confirmed before the original is acked: in between there are two, never none.
void Consumer::MoveElsewhere(uint64_t tag, Held& held) {
  held.doing = Doing::kPublishing;
  const Delivery& delivery = *held.delivery;
  Message copy = delivery.message;
  if (SizeOf(copy.headers) + kOwnHeadersMax > kHeadersMax || copy.headers.size() + kOwnHeaders > kHeadersCountMax) {
    copy.headers.clear();
  }
  if (delivery.too_large) {
    copy.body = delivery.beginning;
    SetHeader(copy.headers, kBodyBytesHeader, static_cast<int64_t>(delivery.body_bytes));
  }
  copy.persistent = true;
  constexpr size_t kIdMax = 255;
  if (copy.message_id.empty() && held.verdict->id.size() <= kIdMax) copy.message_id = held.verdict->id;
  SetHeader(copy.headers, kReasonHeader, held.verdict->reason);
  SetHeader(copy.headers, kDetailHeader, Shortened(held.verdict->detail));
  SetHeader(copy.headers, kFirstSeenHeader, TimeText(delivery.first_seen));
  SetHeader(copy.headers, kFailedAtHeader, TimeText(clock_.Now()));
  SetHeader(copy.headers, kAttemptsHeader, int64_t{delivery.attempts} + 1);
  SetHeader(copy.headers, kQueueHeader, options_.queue.name);
  std::string to = DeadQueue(options_.queue.name);
  if (held.verdict->outcome == Outcome::kRetry) {
    const absl::Duration delay = options_.queue.delays[static_cast<size_t>(delivery.attempts)];
    to = delay == absl::ZeroDuration() ? options_.queue.name : RetryQueue(options_.queue.name, delay);
  }
  publisher_.Publish(std::move(to), std::move(copy), [inbox = inbox_, epoch = epoch_, tag](absl::Status status) {
    inbox->Put({epoch, tag, std::nullopt, std::move(status)});
  });
}

void Consumer::Pause(Held& held) {
  held.doing = Doing::kPausing;
  ++held.pauses;
  held.due = clock_.Steady() + saga::Backoff(options_.pause_initial, options_.pause_max, held.pauses + 1, random_);
}

void Consumer::Resume() {
  const SteadyTime now = clock_.Steady();
  for (auto& [tag, held] : held_) {
    if (held.doing != Doing::kPausing || held.due > now) continue;
    if (held.verdict) {
      MoveElsewhere(tag, held);
    } else {
      HandOver(tag, held);
    }
  }
}

// One ack for all up to the first that is not done, and one for each behind it.
absl::Status Consumer::AckDone() {
  uint64_t up_to = 0;
  while (!held_.empty() && held_.begin()->second.doing == Doing::kDone) {
    up_to = held_.begin()->first;
    held_.erase(held_.begin());
  }
  if (up_to != 0) {
    if (absl::Status status = connection_->Ack(up_to, /*multiple=*/true); !status.ok()) return status;
  }
  for (auto at = held_.begin(); at != held_.end();) {
    if (at->second.doing != Doing::kDone) {
      ++at;
      continue;
    }
    if (absl::Status status = connection_->Ack(at->first, /*multiple=*/false); !status.ok()) return status;
    at = held_.erase(at);
  }
  return absl::OkStatus();
}

absl::Duration Consumer::NextWait() const {
  const SteadyTime now = clock_.Steady();
  absl::Duration wait = std::max(options_.connection.heartbeat / 4, absl::Milliseconds(250));
  if (connection_ == nullptr) wait = std::min(wait, connect_at_ - now);
  for (const auto& [tag, held] : held_) {
    if (held.doing == Doing::kPausing && !stopping_) wait = std::min(wait, held.due - now);
  }
  return std::max(wait, absl::ZeroDuration());
}

}  // namespace waybill::amqp

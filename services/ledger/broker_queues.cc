#include "services/ledger/broker_queues.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/status.h"
#include "services/ledger/broker_messages.h"

namespace waybill::ledger {
namespace {

using amqp::Answer;
using amqp::Delivery;
using amqp::Verdict;

constexpr size_t kQueues = 3;

// A queue of ours, or one that belongs to it: an answer there would be read as a question.
bool IsOurs(const std::string& queue) {
  for (const std::string_view ours : {kTransactionsQueue, kBalancesQueue, kRefundsQueue}) {
    if (queue.compare(0, ours.size(), ours) == 0 && (queue.size() == ours.size() || queue[ours.size()] == '.')) {
      return true;
    }
  }
  return false;
}

std::string ReasonText(const absl::Status& status) {
  const std::string reason = GetErrorDetail(status).reason;
  return reason.empty() ? absl::StatusCodeToString(status.code()) : reason;
}

absl::Status TooLong(const Delivery& delivery) {
  return domain::ReasonError("MALFORMED_REQUEST", fmt::format("the message has {} bytes, and {} is the most",
                                                              delivery.body_bytes, kMessageMax));
}

// Of what the store says besides results: whether it is the message's fault, and whether time helps.
Verdict VerdictOf(const absl::Status& status, std::string id) {
  amqp::Outcome outcome = amqp::Outcome::kRetry;
  if (absl::IsUnavailable(status) || absl::IsResourceExhausted(status)) outcome = amqp::Outcome::kPause;
  if (absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status)) outcome = amqp::Outcome::kDead;
  return {outcome, ReasonText(status), std::string(status.message()), std::move(id)};
}

}  // namespace

BrokerMetrics::BrokerMetrics(Metrics& metrics)
    : publisher(metrics),
      transactions(metrics, std::string(kTransactionsQueue)),
      balances(metrics, std::string(kBalancesQueue)),
      refunds(metrics, std::string(kRefundsQueue)),
      answers_lost(
          metrics.AddCounter("waybill_amqp_answers_lost_total",
                             "Answers to messages of RabbitMQ that were given up, since no queue took them.")) {}

class BrokerQueues::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(BrokerOptions options, storage::LedgerStore& store, Executor& workers, const Clock& clock, Random& random,
       BrokerMetrics& metrics, const Logger& log)
      : options_(std::move(options)),
        store_(store),
        workers_(workers),
        clock_(clock),
        metrics_(metrics),
        log_(log),
        publisher_(PublisherOf(options_), clock, random, metrics.publisher, log) {}

  amqp::Publisher& publisher() { return publisher_; }
  const BrokerOptions& options() const { return options_; }
  SteadyTime Now() const { return clock_.Steady(); }

  void Transaction(const std::shared_ptr<const Delivery>& delivery, Answer answer) {
    if (delivery->too_large) return Refuse(*delivery, "idempotencyKey", TooLong(*delivery), std::move(answer));
    absl::StatusOr<NewTransfer> transfer = ParseTransaction(delivery->message.body);
    absl::Status wrong = transfer.ok() ? CheckReplyTo(*delivery) : transfer.status();
    if (!wrong.ok()) return Refuse(*delivery, "idempotencyKey", wrong, std::move(answer));
    Post(delivery, *std::move(transfer), std::move(answer));
  }

  void Question(const std::shared_ptr<const Delivery>& delivery, Answer answer) {
    if (delivery->too_large) return Refuse(*delivery, "requestId", TooLong(*delivery), std::move(answer));
    absl::StatusOr<BalanceQuestion> parsed = ParseBalanceQuestion(delivery->message.body);
    if (!parsed.ok()) return Refuse(*delivery, "requestId", parsed.status(), std::move(answer));
    if (parsed->answer_queue.empty()) parsed->answer_queue = delivery->message.reply_to;
    if (parsed->answer_queue.empty()) {
      return Refuse(*delivery, "requestId",
                    domain::BadField("answerQueue", "is required where the message has no reply-to"),
                    std::move(answer));
    }
    if (IsOurs(parsed->answer_queue)) {
      return Refuse(*delivery, "requestId", domain::BadField("answerQueue", "is a queue of the ledger's own"),
                    std::move(answer));
    }
    OnWorker(std::move(answer), [this, delivery, question = *std::move(parsed)](Answer told) {
      std::string body;
      absl::StatusOr<Account> account = store_.GetAccount(options_.client, question.account);
      absl::Status status = account.status();
      if (status.ok() && question.at) {
        absl::StatusOr<storage::BalanceMoment> moment =
            store_.BalanceAt(options_.client, question.account, *question.at);
        status = moment.status();
        if (status.ok()) body = BalanceAnswer(question, *account, moment->balance, *question.at);
      } else if (status.ok()) {
        body = BalanceAnswer(question, *account, account->balance, clock_.Now());
      }
      // Nobody has to look at a question for what is not there: who asked is told.
      if (absl::IsNotFound(status) || absl::IsFailedPrecondition(status)) {
        body = ErrorAnswer("requestId", question.request_id, status);
      } else if (!status.ok()) {
        return told(VerdictOf(status, question.request_id));
      }
      Reply(*delivery, question.answer_queue, std::move(body), {amqp::Outcome::kDone, "", "", question.request_id},
            {amqp::Outcome::kDead, "", "", question.request_id}, std::move(told));
    });
  }

  void RefundOf(const std::shared_ptr<const Delivery>& delivery, Answer answer) {
    if (delivery->too_large) return Refuse(*delivery, "idempotencyKey", TooLong(*delivery), std::move(answer));
    absl::StatusOr<Refund> parsed = ParseRefund(delivery->message.body);
    absl::Status wrong = parsed.ok() ? CheckReplyTo(*delivery) : parsed.status();
    if (!wrong.ok()) return Refuse(*delivery, "idempotencyKey", wrong, std::move(answer));
    OnWorker(std::move(answer), [this, delivery, refund = *std::move(parsed)](Answer told) {
      absl::StatusOr<storage::TransferRecord> corrected = store_.GetTransfer(options_.client, refund.transfer);
      // It may have overtaken the transfer, which another queue has: a while later it may be there.
      const bool last = static_cast<size_t>(delivery->attempts) >= options_.delays.size();
      if (absl::IsNotFound(corrected.status()) && last) {
        return Refuse(*delivery, "idempotencyKey", corrected.status(), std::move(told));
      }
      if (!corrected.ok()) return told(VerdictOf(corrected.status(), refund.id));
      absl::StatusOr<NewTransfer> transfer = CorrectingTransfer(refund, *corrected);
      if (!transfer.ok()) return Refuse(*delivery, "idempotencyKey", transfer.status(), std::move(told));
      Post(delivery, *std::move(transfer), std::move(told));
    });
  }

 private:
  static amqp::PublisherOptions PublisherOf(const BrokerOptions& options) {
    amqp::PublisherOptions publishing;
    publishing.connection = options.connection;
    // Each message that is held publishes one thing at a time: those that wait for a stuck queue leave room for others.
    publishing.in_flight_max = std::max(publishing.in_flight_max, kQueues * size_t{options.prefetch});
    publishing.waiting_max = std::max(publishing.waiting_max, publishing.in_flight_max);
    return publishing;
  }

  absl::Status CheckReplyTo(const Delivery& delivery) const {
    return IsOurs(delivery.message.reply_to) ? domain::BadField("reply-to", "is a queue of the ledger's own")
                                             : absl::OkStatus();
  }

  // The store's callers must not wait on the consumer's thread.
  void OnWorker(Answer answer, absl::AnyInvocable<void(Answer)> work) {
    auto shared = std::make_shared<Answer>(std::move(answer));
    Executor::Task task = [self = shared_from_this(), shared, work = std::move(work)]() mutable {
      work(std::move(*shared));
    };
    if (!workers_.Submit(task)) (*shared)({amqp::Outcome::kPause, "QUEUE_FULL", "too much waits for the store"});
  }

  void Post(const std::shared_ptr<const Delivery>& delivery, NewTransfer transfer, Answer answer) {
    auto shared = std::make_shared<Answer>(std::move(answer));
    std::string id = transfer.id;
    store_.Post(options_.client, {std::move(transfer)},
                [self = shared_from_this(), delivery, id = std::move(id),
                 shared](const absl::StatusOr<std::vector<Outcome>>& posted) {
                  self->OnPosted(*delivery, id, posted, std::move(*shared));
                });
  }

  void OnPosted(const Delivery& delivery, const std::string& id, const absl::StatusOr<std::vector<Outcome>>& posted,
                Answer answer) {
    if (!posted.ok()) return answer(VerdictOf(posted.status(), id));
    const ledger::Outcome& outcome = posted->front();
    const TransferResult result = outcome.result;
    if (Done(result)) {
      return Reply(delivery, delivery.message.reply_to, TransferAnswer(id, outcome), {amqp::Outcome::kDone, "", "", id},
                   {amqp::Outcome::kDone}, std::move(answer));
    }
    const absl::Status status = StatusOfMessage(result, id);
    const Verdict dead = {amqp::Outcome::kDead, ReasonText(status), std::string(status.message()), id};
    // A refusal is an answer like another, if there is somebody to be told.
    const bool answered = Row(result).of == ResultClass::kRefused && !delivery.message.reply_to.empty();
    Reply(delivery, delivery.message.reply_to, TransferAnswer(id, outcome),
          answered ? Verdict{amqp::Outcome::kDone} : dead, dead, std::move(answer));
  }

  // What no attempt can help: a person looks at it, and who asked is told, if that can be.
  void Refuse(const Delivery& delivery, std::string_view key_name, const absl::Status& status, Answer answer) {
    const std::string key = KeyOf(delivery.too_large ? delivery.beginning : delivery.message.body);
    const Verdict dead = {amqp::Outcome::kDead, ReasonText(status), std::string(status.message()), key};
    const std::string to = IsOurs(delivery.message.reply_to) ? "" : delivery.message.reply_to;
    Reply(delivery, to, ErrorAnswer(key_name, key, status), dead, dead, std::move(answer));
  }

  // `lost`: no queue takes the answer; without a reason, it is for why. A queue that is full, or never confirms, is its
  // reader's trouble, and must hold up nobody else: what is wanted is done, so that the message waits aside for another
  // attempt, which gives the same answer, and is lost with the last. While RabbitMQ takes nothing of anybody, it
  // pauses.
  void Reply(const Delivery& delivery, const std::string& to, std::string body, Verdict told, Verdict lost,
             Answer answer) {
    if (to.empty()) return answer(std::move(told));
    amqp::Message message;
    message.body = std::move(body);
    message.content_type = "application/json";
    message.correlation_id =
        delivery.message.correlation_id.empty() ? delivery.message.message_id : delivery.message.correlation_id;
    message.type = "answer";
    message.app_id = "waybill";
    message.timestamp = clock_.Now();
    publisher_.Publish(to, std::move(message),
                       [self = shared_from_this(), told = std::move(told), lost = std::move(lost), to,
                        last = static_cast<size_t>(delivery.attempts) >= options_.delays.size(),
                        answer = std::move(answer)](const absl::Status& status) mutable {
                         if (status.ok()) return answer(std::move(told));
                         std::string reason = ReasonText(status);
                         // Under an alarm, or with RabbitMQ away, nobody's queue confirms.
                         const bool readers = reason == "MESSAGE_REFUSED" ||
                                              (reason == "MESSAGE_UNCONFIRMED" && self->publisher_.takes_messages());
                         const bool never = absl::IsNotFound(status) || absl::IsInvalidArgument(status);
                         if (never || (readers && last)) {
                           self->metrics_.answers_lost.Increment();
                           self->log_.Warn("an answer is given up", {{"to", to}, {"reason", reason}});
                           if (lost.reason.empty()) {
                             lost.reason = std::move(reason);
                             lost.detail = std::string(status.message());
                           }
                           return answer(std::move(lost));
                         }
                         answer({readers ? amqp::Outcome::kRetry : amqp::Outcome::kPause, std::move(reason),
                                 std::string(status.message()), std::move(told.id)});
                       });
  }

  const BrokerOptions options_;
  storage::LedgerStore& store_;
  Executor& workers_;
  const Clock& clock_;
  BrokerMetrics& metrics_;
  const Logger log_;
  amqp::Publisher publisher_;
};

BrokerQueues::BrokerQueues(BrokerOptions options, storage::LedgerStore& store, Executor& workers, const Clock& clock,
                           Random& random, BrokerMetrics& metrics, const Logger& log)
    : core_(std::make_shared<Core>(std::move(options), store, workers, clock, random, metrics, log)) {
  const auto add = [&](std::string_view queue, amqp::Handler handler, amqp::ConsumerMetrics& of) {
    amqp::ConsumerOptions consuming;
    consuming.connection = core_->options().connection;
    consuming.queue = {std::string(queue), core_->options().delays};
    consuming.prefetch = core_->options().prefetch;
    consuming.body_bytes_max = kMessageMax;
    consumers_.push_back(std::make_unique<amqp::Consumer>(std::move(consuming), std::move(handler), core_->publisher(),
                                                          clock, random, of, log));
  };
  add(kTransactionsQueue, TransactionHandler(), metrics.transactions);
  add(kBalancesQueue, BalanceHandler(), metrics.balances);
  add(kRefundsQueue, RefundHandler(), metrics.refunds);
}

// The publisher may not end by the last of its own calls back.
BrokerQueues::~BrokerQueues() { Stop(core_->Now()); }

void BrokerQueues::Start(const Loops& loops) {
  core_->publisher().Start(loops);
  for (const std::unique_ptr<amqp::Consumer>& consumer : consumers_) consumer->Start(loops);
}

void BrokerQueues::Stop(SteadyTime deadline) {
  for (const std::unique_ptr<amqp::Consumer>& consumer : consumers_) consumer->BeginStop(deadline);
  for (const std::unique_ptr<amqp::Consumer>& consumer : consumers_) consumer->Stop(deadline);
  core_->publisher().Stop(deadline);
}

absl::Status BrokerQueues::Check() const {
  size_t missing = core_->publisher().connected() ? 0 : 1;
  for (const std::unique_ptr<amqp::Consumer>& consumer : consumers_) missing += consumer->connected() ? 0 : 1;
  if (missing == 0) return absl::OkStatus();
  return domain::ReasonError("BROKER_UNAVAILABLE", missing > consumers_.size()
                                                       ? "RabbitMQ is not reached"
                                                       : "not all queues of RabbitMQ are served; the log says why");
}

amqp::Handler BrokerQueues::TransactionHandler() {
  return [core = core_](const std::shared_ptr<const Delivery>& delivery, Answer answer) {
    core->Transaction(delivery, std::move(answer));
  };
}

amqp::Handler BrokerQueues::BalanceHandler() {
  return [core = core_](const std::shared_ptr<const Delivery>& delivery, Answer answer) {
    core->Question(delivery, std::move(answer));
  };
}

amqp::Handler BrokerQueues::RefundHandler() {
  return [core = core_](const std::shared_ptr<const Delivery>& delivery, Answer answer) {
    core->RefundOf(delivery, std::move(answer));
  };
}

}  // namespace waybill::ledger

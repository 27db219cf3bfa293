// What tests of a publisher and a consumer need around them.
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "edge/amqp/address.h"
#include "edge/amqp/connection.h"
#include "edge/amqp/consumer.h"
#include "edge/amqp/metrics.h"
#include "edge/amqp/publisher.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"

namespace waybill::amqp {

inline constexpr absl::Duration kPatience = absl::Seconds(60);

struct World {
  SystemClock clock;
  SeededRandom random{1};
  Metrics metrics;
  PublisherMetrics publisher_metrics{metrics};
  ThreadLoops loops;
  Logger log{LogFormat::kText, LogLevel::kOff, clock};

  SteadyTime Soon() const { return clock.Steady() + absl::Seconds(20); }
};

inline ConnectionOptions OptionsOf(const std::string& url) {
  ConnectionOptions options;
  options.address = ParseUrl(url).value();
  options.name = "test";
  options.heartbeat = absl::Seconds(2);
  return options;
}

inline Message Text(std::string body) {
  Message message;
  message.body = std::move(body);
  if (message.body.size() < 100) message.message_id = message.body;
  return message;
}

inline absl::Status PublishAndWait(Publisher& publisher, const std::string& queue, Message message) {
  auto done = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> result = done->get_future();
  publisher.Publish(queue, std::move(message), [done](absl::Status status) { done->set_value(std::move(status)); });
  return result.get();
}

// A handler whose deliveries the test takes, and answers when it likes.
class Deliveries {
 public:
  struct Taken {
    std::shared_ptr<const Delivery> delivery;
    Answer answer;
  };

  Handler handler() {
    return [this](std::shared_ptr<const Delivery> delivery, Answer answer) {
      const std::lock_guard lock(mutex_);
      waiting_.push_back({std::move(delivery), std::move(answer)});
      came_.notify_all();
    };
  }

  // nullopt: none came in so long.
  std::optional<Taken> Take(absl::Duration patience = kPatience) {
    std::unique_lock lock(mutex_);
    if (!came_.wait_for(lock, absl::ToChronoMilliseconds(patience), [&] { return !waiting_.empty(); })) {
      return std::nullopt;
    }
    Taken taken = std::move(waiting_.front());
    waiting_.pop_front();
    return taken;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<Taken> waiting_;
};

}  // namespace waybill::amqp

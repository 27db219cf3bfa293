// What is counted of RabbitMQ. Names are listed in docs/operations.md.
#pragma once

#include <string>

#include "runtime/metrics.h"

namespace waybill::amqp {

// Of one connection after the other. `use`: "publisher", or the queue that is consumed.
struct ConnectionMetrics {
  ConnectionMetrics(Metrics& metrics, const std::string& use);

  prometheus::Counter& opened;
  prometheus::Counter& failed;  // attempts to open one
  prometheus::Counter& lost;
  prometheus::Gauge& up;  // 1: there is one
};

struct PublisherMetrics {
  explicit PublisherMetrics(Metrics& metrics);

  ConnectionMetrics connection;
  prometheus::Counter& confirmed;
  prometheus::Counter& refused;
  prometheus::Counter& unroutable;
  prometheus::Counter& unconfirmed;
  prometheus::Counter& unsent;
  prometheus::Counter& repeated;  // sent again, since a connection was lost before the confirm
  prometheus::Gauge& waiting;     // for their confirm, or to be sent
  prometheus::Gauge& blocked;     // 1: the broker takes nothing
};

struct ConsumerMetrics {
  ConsumerMetrics(Metrics& metrics, const std::string& queue);

  ConnectionMetrics connection;
  prometheus::Counter& done;
  prometheus::Counter& retried;
  prometheus::Counter& dead;
  prometheus::Counter& paused;
  prometheus::Counter& redelivered;  // of all that came
  prometheus::Gauge& unacked;
};

}  // namespace waybill::amqp

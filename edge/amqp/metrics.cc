#include "edge/amqp/metrics.h"

namespace waybill::amqp {
namespace {

prometheus::Counter& Connections(Metrics& metrics, const std::string& use, const std::string& event) {
  return metrics.AddCounter("waybill_amqp_connections_total", "Connections to RabbitMQ: opened, failed to open, lost.",
                            {{"use", use}, {"event", event}});
}

prometheus::Counter& Confirms(Metrics& metrics, const std::string& outcome) {
  return metrics.AddCounter("waybill_amqp_confirms_total", "Messages to RabbitMQ, by what became of them.",
                            {{"outcome", outcome}});
}

prometheus::Counter& Deliveries(Metrics& metrics, const std::string& queue, const std::string& outcome) {
  return metrics.AddCounter("waybill_amqp_deliveries_total", "Messages from RabbitMQ, by what was said of them.",
                            {{"queue", queue}, {"outcome", outcome}});
}

}  // namespace

ConnectionMetrics::ConnectionMetrics(Metrics& metrics, const std::string& use)
    : opened(Connections(metrics, use, "opened")),
      failed(Connections(metrics, use, "failed")),
      lost(Connections(metrics, use, "lost")),
      up(metrics.AddGauge("waybill_amqp_connected", "Whether there is a connection to RabbitMQ.", {{"use", use}})) {}

PublisherMetrics::PublisherMetrics(Metrics& metrics)
    : connection(metrics, "publisher"),
      confirmed(Confirms(metrics, "confirmed")),
      refused(Confirms(metrics, "refused")),
      unroutable(Confirms(metrics, "unroutable")),
      unconfirmed(Confirms(metrics, "unconfirmed")),
      unsent(Confirms(metrics, "unsent")),
      repeated(
          metrics.AddCounter("waybill_amqp_publishes_repeated_total",
                             "Messages that were sent again, since the connection was lost before their confirm.")),
      waiting(metrics.AddGauge("waybill_amqp_publishes_waiting", "Messages that RabbitMQ has not confirmed yet.")),
      blocked(metrics.AddGauge("waybill_amqp_blocked", "Whether RabbitMQ takes no messages (an alarm).")) {}

ConsumerMetrics::ConsumerMetrics(Metrics& metrics, const std::string& queue)
    : connection(metrics, queue),
      done(Deliveries(metrics, queue, "done")),
      retried(Deliveries(metrics, queue, "retry")),
      dead(Deliveries(metrics, queue, "dead")),
      paused(Deliveries(metrics, queue, "pause")),
      redelivered(metrics.AddCounter("waybill_amqp_redelivered_total", "Messages from RabbitMQ that had come before.",
                                     {{"queue", queue}})),
      unacked(
          metrics.AddGauge("waybill_amqp_unacked", "Messages that came and are not acked yet.", {{"queue", queue}})) {}

}  // namespace waybill::amqp

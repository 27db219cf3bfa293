#include "services/order/served_methods.h"

#include "edge/rpc/server.h"

namespace waybill::order {

std::vector<std::string> ServedMethods() {
  return rpc::MethodsOf({"waybill.order.v1.OrderService", "waybill.fleet.v1.FleetService", "waybill.ops.v1.SagaAdmin",
                         "waybill.ops.v1.AuditAdmin", "waybill.ops.v1.DeadLetterAdmin", "waybill.ops.v1.GatewayAdmin",
                         "waybill.reconciliation.v1.ReconciliationService", "waybill.access.v1.AccessAdmin",
                         "waybill.webhook.v1.WebhookService", "waybill.payments.v1.PaymentService",
                         "waybill.ops.v1.WebhookInboxAdmin", "waybill.ops.v1.RiskAdmin",
                         "waybill.payouts.v1.PayoutService"});
}

}  // namespace waybill::order

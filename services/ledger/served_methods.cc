#include "services/ledger/served_methods.h"

#include "edge/rpc/server.h"

namespace waybill::ledger {

std::vector<std::string> ServedMethods() {
  return rpc::MethodsOf(
      {"waybill.ledger.v1.LedgerService", "waybill.ledger.v1.LedgerAdmin", "waybill.payment.v1.PaymentGateway"});
}

}  // namespace waybill::ledger

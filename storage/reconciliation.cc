#include "storage/reconciliation.h"

#include <cstdlib>

namespace waybill::storage {

std::string_view Name(LineKind kind) {
  switch (kind) {
    case LineKind::kCharge:
      return "charge";
    case LineKind::kRefund:
      return "refund";
    case LineKind::kFee:
      return "fee";
    case LineKind::kChargeback:
      return "chargeback";
  }
  std::abort();
}

std::string_view Name(Difference difference) {
  switch (difference) {
    case Difference::kMissingHere:
      return "missing_here";
    case Difference::kMissingThere:
      return "missing_there";
    case Difference::kTwice:
      return "twice";
    case Difference::kAmount:
      return "amount";
    case Difference::kCurrency:
      return "currency";
    case Difference::kFee:
      return "fee";
    case Difference::kChargeback:
      return "chargeback";
  }
  std::abort();
}

}  // namespace waybill::storage

#include "storage/gateway_probes.h"

namespace waybill::storage {

std::string_view ToString(ProbeOutcome outcome) {
  switch (outcome) {
    case ProbeOutcome::kHealthy:
      return "healthy";
    case ProbeOutcome::kFailing:
      return "failing";
    case ProbeOutcome::kNoAnswer:
      return "no_answer";
    case ProbeOutcome::kLimited:
      return "limited";
    case ProbeOutcome::kNotServed:
      return "not_served";
  }
  return "";
}

}  // namespace waybill::storage

#include "services/order/gateway_answers.h"

#include "fmt/format.h"
#include "runtime/status.h"
#include "runtime/text.h"

namespace waybill::order {

saga::Outcome NotKnown(std::string_view reason, const absl::Status& status) {
  std::string cause = GetErrorDetail(status).reason;
  if (cause.empty()) cause = absl::StatusCodeToString(status.code());
  return saga::Outcome::Unknown(std::string(reason), fmt::format("{}: {}", cause, std::string(status.message())));
}

std::string TakeReference(std::string reference, std::string& detail) {
  constexpr size_t kReferenceBytesMax = 512;
  std::string clean = CleanText(reference, kReferenceBytesMax);
  if (clean != reference)
    detail = "the gateway's reference was cleaned: it is too long, not UTF-8 or has control characters";
  return clean;
}

}  // namespace waybill::order

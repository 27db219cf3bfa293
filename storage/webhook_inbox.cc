#include "storage/webhook_inbox.h"

namespace waybill::storage {

std::string_view Name(InboxState state) {
  constexpr std::string_view kNames[] = {"new", "unmatched", "signalled", "late", "ignored", "attention"};
  return kNames[static_cast<size_t>(state)];
}

}  // namespace waybill::storage

#include "ledger/account.h"

#include <algorithm>

namespace waybill::ledger {
namespace {

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool IsId(std::string_view id) {
  return !id.empty() && id.size() <= kIdMax && std::all_of(id.begin(), id.end(), [](char c) {
    return IsLower(c) || IsDigit(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == ':' || c == '-';
  });
}

bool IsKind(std::string_view kind) {
  return !kind.empty() && kind.size() <= kKindMax && IsLower(kind[0]) &&
         std::all_of(kind.begin(), kind.end(), [](char c) { return IsLower(c) || IsDigit(c) || c == '_'; });
}

}  // namespace waybill::ledger

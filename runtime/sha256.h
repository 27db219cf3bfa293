// SHA-256 of what is in memory. A long chain of pieces has storage/ledger_chain.h.
#pragma once

#include <string>
#include <string_view>

namespace waybill {

// 32 bytes.
std::string Sha256(std::string_view bytes);

}  // namespace waybill

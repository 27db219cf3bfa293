// Who calls, by name.
#pragma once

#include <string_view>

namespace waybill::domain {

// The client of what nobody in particular asks for.
inline constexpr std::string_view kAnonymous = "anonymous";

// Of whom a call is that says `client`, perhaps nothing.
inline std::string_view ClientNamed(std::string_view client) { return client.empty() ? kAnonymous : client; }

// Clients of such names are Waybill's own, "(waybill)" among them, whose accounts its orders post to: nobody's key is
// for one.
inline bool IsReservedClient(std::string_view client) { return client.starts_with('('); }

}  // namespace waybill::domain

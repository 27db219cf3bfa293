// Who calls, by name.
#pragma once

#include <string_view>

namespace waybill::domain {

// The client of what nobody in particular asks for.
inline constexpr std::string_view kAnonymous = "anonymous";

// Of whom a call is that says `client`, perhaps nothing.
inline std::string_view ClientNamed(std::string_view client) { return client.empty() ? kAnonymous : client; }

}  // namespace waybill::domain

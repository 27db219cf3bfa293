// Where an endpoint is.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace waybill::webhooks {

inline constexpr size_t kUrlBytesMax = 2'048;

struct Url {
  bool tls = false;
  std::string host;  // an IPv6 address without brackets
  int port = 0;
  std::string target;  // path and query, "/" at least
};

// http[s]://HOST[:PORT][/PATH][?QUERY], printable ASCII. No user or password, which would end up in lists and logs, and
// no fragment. INVALID_ARGUMENT says what is wrong.
absl::StatusOr<Url> ParseUrl(std::string_view text);

}  // namespace waybill::webhooks

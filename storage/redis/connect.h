// Connecting a socket to one of a name's addresses.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::storage {

struct SocketAddress {
  sockaddr_storage address{};
  socklen_t size = 0;

  std::string ToString() const;  // "127.0.0.1:6379", "[::1]:6379"
};

// All addresses of a host, in the order in which they should be tried. UNAVAILABLE.
absl::StatusOr<std::vector<SocketAddress>> Resolve(const std::string& host, int port);

// A connected, blocking socket, the caller's to close. Tries one address after the other; each gets its share of what
// is left of `timeout`, so that one that does not answer leaves time for the others. UNAVAILABLE, with what each said.
absl::StatusOr<int> ConnectToAny(const std::vector<SocketAddress>& addresses, absl::Duration timeout);

}  // namespace waybill::storage

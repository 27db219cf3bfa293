// What a server is to listen on, address by address. gRPC by itself listens on those of a name's addresses that are
// free and says nothing of the others, where calls then reach whoever was there before.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace waybill::rpc {

// "localhost:7410" is "127.0.0.1:7410" and, where it is that as well, "[::1]:7410". What is not HOST:PORT with a number
// for a port comes back as it is, for gRPC to understand. UNAVAILABLE, with why, when the name is not known or one of
// the addresses cannot be had. A moment later they might be taken after all: gRPC refuses a single address that is.
absl::StatusOr<std::vector<std::string>> ListenAddresses(const std::string& listen);

// The same for the numeric addresses `hosts`, "127.0.0.1" or "::1". Those that this machine does not have are left out:
// nobody else can be there either. Port 0 is one that is free on all of them, or 0 for a single one.
absl::StatusOr<std::vector<std::string>> FreeAddresses(const std::vector<std::string>& hosts, uint16_t port);

}  // namespace waybill::rpc

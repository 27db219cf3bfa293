#pragma once

#include <string>

namespace waybill {

// Whether "host:port", or a Unix socket, is of this machine alone: whoever listens there is reached, and whoever calls
// there is read, by nobody else. False when nobody knows.
bool IsLocal(const std::string& address);

}  // namespace waybill

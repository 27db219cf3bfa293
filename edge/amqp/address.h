// Where RabbitMQ is, and who we are there.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace waybill::amqp {

struct Address {
  bool tls = false;
  std::string host;
  int port = 0;
  std::string user;
  std::string password;
  std::string virtual_host;

  std::string Printable() const;  // without user and password
};

// amqp://user:password@host:port/virtual-host, or amqps:// for TLS; what is missing is guest, guest, localhost, 5672 or
// 5671, and "/". A name with other characters than letters and digits is percent-encoded. INVALID_ARGUMENT repeats
// nothing of the text, which has a password.
absl::StatusOr<Address> ParseUrl(std::string_view url);

}  // namespace waybill::amqp

#include "edge/amqp/address.h"

#include <amqp.h>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace waybill::amqp {

std::string Address::Printable() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}/{}", tls ? "amqps" : "amqp", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port,
                     virtual_host == "/" ? "" : virtual_host);
}

absl::StatusOr<Address> ParseUrl(std::string_view url) {
  std::string text(url);  // it is parsed in place
  amqp_connection_info found;
  amqp_default_connection_info(&found);
  if (url.find('\0') != std::string_view::npos || amqp_parse_url(text.data(), &found) != AMQP_STATUS_OK) {
    return absl::InvalidArgumentError(
        "no URL of RabbitMQ: amqp://user:password@host:port/virtual-host, or amqps:// (other characters than letters "
        "and "
        "digits percent-encoded)");
  }
  Address address;
  address.tls = found.ssl != 0;
  address.host = found.host;
  address.port = found.port;
  address.user = found.user;
  address.password = found.password;
  address.virtual_host = found.vhost;
  if (address.virtual_host.empty()) address.virtual_host = "/";  // amqp://host/ means that one, whatever the RFC says
  if (address.host.empty()) return absl::InvalidArgumentError("the URL of RabbitMQ names no host");
  return address;
}

}  // namespace waybill::amqp

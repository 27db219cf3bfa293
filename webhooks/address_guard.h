// Which addresses somebody else's URL may lead to: none within, unless a network is allowed by name.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace waybill::webhooks {

// An address of IPv6, or of IPv4 mapped into it (::ffff:a.b.c.d), in the order of the network.
using Address = std::array<uint8_t, 16>;

// "192.0.2.7" or "2001:db8::7"; INVALID_ARGUMENT.
absl::StatusOr<Address> ParseAddress(std::string_view text);
// Of four bytes.
Address MappedAddress(const std::array<uint8_t, 4>& v4);

// An address that the whole internet knows: not of this host or a network within, no multicast, nothing reserved, and
// none that only wraps such a one (mapped, NAT64, 6to4, Teredo).
bool IsPublic(const Address& address);

class AddressGuard {
 public:
  AddressGuard() = default;  // public ones alone
  // "127.0.0.0/8,fd00::/8": networks that are allowed besides. INVALID_ARGUMENT names what is none.
  static absl::StatusOr<AddressGuard> Parse(std::string_view networks);

  // Of a network that was named.
  bool IsNamed(const Address& address) const;
  bool Allows(const Address& address) const { return IsPublic(address) || IsNamed(address); }
  bool names_any() const { return !named_.empty(); }

 private:
  struct Network {
    Address address;
    size_t bits;
  };
  std::vector<Network> named_;
};

}  // namespace waybill::webhooks

#include "webhooks/address_guard.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "fmt/format.h"

namespace waybill::webhooks {
namespace {

constexpr Address kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool IsIn(const Address& address, const Address& network, size_t bits) {
  const size_t whole = bits / 8, rest = bits % 8;
  if (std::memcmp(address.data(), network.data(), whole) != 0) return false;
  return rest == 0 || ((address[whole] ^ network[whole]) >> (8 - rest)) == 0;
}

struct ReservedNetwork {
  const char* network;
  size_t bits;
};

// IANA's registries of special-purpose addresses: what is not globally reachable, and multicast.
constexpr ReservedNetwork kReservedV4[] = {
    {"0.0.0.0", 8},     {"10.0.0.0", 8},      {"100.64.0.0", 10},  {"127.0.0.0", 8},    {"169.254.0.0", 16},
    {"172.16.0.0", 12}, {"192.0.0.0", 24},    {"192.0.2.0", 24},   {"192.88.99.0", 24}, {"192.168.0.0", 16},
    {"198.18.0.0", 15}, {"198.51.100.0", 24}, {"203.0.113.0", 24}, {"224.0.0.0", 4},    {"240.0.0.0", 4},
};
// Of IPv6 only 2000::/3 is given out; in it these are not for hosts of the internet, or wrap an address of IPv4.
constexpr ReservedNetwork kReservedV6[] = {
    {"2001::", 23},
    {"2001:db8::", 32},
    {"2002::", 16},
    {"3fff::", 20},
};

}  // namespace

Address MappedAddress(const std::array<uint8_t, 4>& v4) {
  Address address = kMapped;
  std::copy(v4.begin(), v4.end(), address.begin() + 12);
  return address;
}

absl::StatusOr<Address> ParseAddress(std::string_view text) {
  const std::string copy(text);
  std::array<uint8_t, 4> v4{};
  if (inet_pton(AF_INET, copy.c_str(), v4.data()) == 1) return MappedAddress(v4);
  Address v6{};
  if (inet_pton(AF_INET6, copy.c_str(), v6.data()) == 1) return v6;
  return absl::InvalidArgumentError(fmt::format("\"{}\" is no IP address", copy));
}

bool IsPublic(const Address& address) {
  if (IsIn(address, kMapped, 96)) {
    return std::none_of(std::begin(kReservedV4), std::end(kReservedV4), [&](const ReservedNetwork& reserved) {
      return IsIn(address, *ParseAddress(reserved.network), 96 + reserved.bits);
    });
  }
  if ((address[0] & 0xe0) != 0x20) return false;
  return std::none_of(std::begin(kReservedV6), std::end(kReservedV6), [&](const ReservedNetwork& reserved) {
    return IsIn(address, *ParseAddress(reserved.network), reserved.bits);
  });
}

absl::StatusOr<AddressGuard> AddressGuard::Parse(std::string_view networks) {
  AddressGuard guard;
  for (absl::string_view item : absl::StrSplit(absl::string_view(networks.data(), networks.size()), ',')) {
    item = absl::StripAsciiWhitespace(item);
    if (item.empty()) continue;
    const std::string_view network(item.data(), item.size());
    const size_t slash = network.find('/');
    absl::StatusOr<Address> address = ParseAddress(network.substr(0, slash));
    if (!address.ok()) return address.status();
    const bool v4 = IsIn(*address, kMapped, 96);
    const size_t longest = v4 ? 32 : 128;
    size_t bits = longest;
    if (slash != std::string_view::npos) {
      const std::string_view digits = network.substr(slash + 1);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
      if (error != std::errc() || end != digits.data() + digits.size() || bits > longest) {
        return absl::InvalidArgumentError(fmt::format("\"{}\" is no network: \"/\" and 0-{} bits", network, longest));
      }
    }
    guard.named_.push_back({*address, bits + (v4 ? 96 : 0)});
  }
  return guard;
}

bool AddressGuard::IsNamed(const Address& address) const {
  return std::any_of(named_.begin(), named_.end(),
                     [&](const Network& network) { return IsIn(address, network.address, network.bits); });
}

}  // namespace waybill::webhooks

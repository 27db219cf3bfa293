#include "webhooks/address_guard.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::webhooks {
namespace {

bool Public(std::string_view text) {
  absl::StatusOr<Address> address = ParseAddress(text);
  EXPECT_TRUE(address.ok()) << text;
  return address.ok() && IsPublic(*address);
}

TEST(AddressGuard, LetsAddressesOfTheInternetPass) {
  for (const char* address :
       {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001:830::200e"}) {
    EXPECT_TRUE(Public(address)) << address;
  }
}

TEST(AddressGuard, RefusesThisHostNetworksWithinAndWhatIsReserved) {
  for (const char* address :
       {"0.0.0.0",     "0.1.2.3",         "10.0.0.1",        "10.255.255.255", "100.64.0.1",     "100.127.255.255",
        "127.0.0.1",   "127.255.255.254", "169.254.169.254", "172.16.0.1",     "172.31.255.255", "192.0.0.1",
        "192.0.2.1",   "192.168.0.1",     "192.168.255.255", "198.18.0.1",     "198.19.255.255", "198.51.100.1",
        "203.0.113.1", "224.0.0.1",       "239.255.255.255", "240.0.0.1",      "255.255.255.255"}) {
    EXPECT_FALSE(Public(address)) << address;
  }
  for (const char* address : {"::", "::1", "fe80::1", "febf::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1",
                              "2001::1", "100::1", "fec0::1"}) {
    EXPECT_FALSE(Public(address)) << address;
  }
}

TEST(AddressGuard, LooksIntoAddressesThatWrapOthers) {
  for (const char* address : {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
                              "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::1", "2001:0:4136:e378::1"}) {
    EXPECT_FALSE(Public(address)) << address;
  }
  EXPECT_TRUE(Public("::ffff:1.1.1.1"));
}

TEST(AddressGuard, AllowsNetworksThatAreNamedAndNoOthers) {
  absl::StatusOr<AddressGuard> guard = AddressGuard::Parse("127.0.0.0/8, 10.1.2.0/23,fd00:1::/32,192.168.7.7");
  ASSERT_TRUE(guard.ok()) << guard.status();
  EXPECT_TRUE(guard->names_any());
  const auto named = [&](std::string_view address) { return guard->IsNamed(*ParseAddress(address)); };
  for (const char* address :
       {"127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "10.1.2.0", "10.1.3.255", "fd00:1::5", "192.168.7.7"}) {
    EXPECT_TRUE(named(address)) << address;
  }
  for (const char* address :
       {"126.0.0.1", "128.0.0.1", "10.1.4.0", "10.1.1.255", "fd00:2::5", "192.168.7.8", "::1", "1.1.1.1"}) {
    EXPECT_FALSE(named(address)) << address;
  }
  EXPECT_TRUE(guard->Allows(*ParseAddress("1.1.1.1")));
  EXPECT_FALSE(guard->Allows(*ParseAddress("::1")));
  EXPECT_FALSE(AddressGuard().Allows(*ParseAddress("127.0.0.1")));
  EXPECT_FALSE(AddressGuard::Parse("")->names_any());
}

TEST(AddressGuard, SaysWhatIsNoNetwork) {
  for (const char* text : {"localhost", "127.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x", "10.0.0/8", "/8"}) {
    EXPECT_FALSE(AddressGuard::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace waybill::webhooks

#include "edge/connect/gzip.h"

#include <cstdint>
#include <string>

#include "gtest/gtest.h"

namespace waybill::connect {
namespace {

TEST(Gzip, ComesBackAsItWas) {
  std::string mixed;
  for (int64_t i = 0; i < 300'000; ++i) mixed.push_back(static_cast<char>(i * i % 251));
  for (const std::string& plain : {std::string(), std::string("a"), std::string(1 << 20, 'x'), mixed}) {
    const std::string packed = Gzip(plain);
    const auto back = Gunzip(packed, plain.size());
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, plain);
  }
}

TEST(Gzip, UnpacksNoMoreThanAllowed) {
  const std::string packed = Gzip(std::string(10 << 20, '\0'));
  EXPECT_LT(packed.size(), 64u << 10);
  EXPECT_EQ(Gunzip(packed, (10 << 20) - 1).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Gunzip(packed, 10 << 20).ok());
}

TEST(Gzip, TakesNothingElse) {
  const std::string packed = Gzip("some text that is packed");
  std::string damaged = packed;
  damaged[packed.size() - 6] = static_cast<char>(damaged[packed.size() - 6] ^ 1);  // of the checksum
  for (const std::string& bad : {std::string(), std::string("plain text"), packed.substr(0, packed.size() - 1),
                                 packed.substr(0, 5), packed + "x", damaged}) {
    EXPECT_EQ(Gunzip(bad, 1000).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace waybill::connect

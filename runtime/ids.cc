#include "runtime/ids.h"

namespace waybill {
namespace {

constexpr char kHex[] = "0123456789abcdef";

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool DashAt(size_t text_index) { return text_index == 8 || text_index == 13 || text_index == 18 || text_index == 23; }

}  // namespace

std::string Uuid::ToString() const {
  std::string text(36, '-');
  size_t at = 0;
  for (uint8_t byte : bytes) {
    if (DashAt(at)) ++at;
    text[at++] = kHex[byte >> 4];
    text[at++] = kHex[byte & 15];
  }
  return text;
}

std::optional<Uuid> Uuid::Parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Uuid id;
  size_t at = 0;
  for (uint8_t& byte : id.bytes) {
    if (DashAt(at) && text[at++] != '-') return std::nullopt;
    int high = HexValue(text[at]);
    int low = HexValue(text[at + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    byte = static_cast<uint8_t>(high << 4 | low);
    at += 2;
  }
  return id;
}

Uuid IdGenerator::Next() {
  // Microseconds in rand_a (RFC 9562 section 6.2, method 3) keep ids of one millisecond in order as well.
  int64_t micros = absl::ToUnixMicros(clock_.Now());
  uint64_t millis = static_cast<uint64_t>(micros / 1000);
  uint64_t fraction = static_cast<uint64_t>(micros % 1000) * 4096 / 1000;
  uint64_t tail = random_.Next();
  Uuid id;
  for (int i = 0; i < 6; ++i) id.bytes[i] = static_cast<uint8_t>(millis >> (40 - 8 * i));
  id.bytes[6] = static_cast<uint8_t>(0x70 | (fraction >> 8));
  id.bytes[7] = static_cast<uint8_t>(fraction);
  for (int i = 0; i < 8; ++i) id.bytes[8 + i] = static_cast<uint8_t>(tail >> (56 - 8 * i));
  id.bytes[8] = static_cast<uint8_t>(0x80 | (id.bytes[8] & 0x3f));
  return id;
}

}  // namespace waybill

#include "runtime/text.h"

#include <cstdint>

namespace waybill {
namespace {

bool IsBlank(uint32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0d) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool IsControl(uint32_t c) { return c < 0x20 || (c >= 0x7f && c <= 0x9f); }

// The code point at `at`, moving past it; -1, without moving, when there is none.
int32_t Next(std::string_view text, size_t& at) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t lead = byte(at);
  if (lead < 0x80) {
    ++at;
    return lead;
  }
  int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - at <= static_cast<size_t>(more)) return -1;
  int32_t c = lead & (0x3f >> more);
  for (int i = 1; i <= more; ++i) {
    if ((byte(at + static_cast<size_t>(i)) & 0xc0) != 0x80) return -1;
    c = c << 6 | (byte(at + static_cast<size_t>(i)) & 0x3f);
  }
  constexpr int32_t kLeast[] = {0, 0x80, 0x800, 0x10000};  // shorter forms are not allowed
  if (c < kLeast[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return -1;
  at += static_cast<size_t>(more) + 1;
  return c;
}

}  // namespace

Utf8 ReadUtf8(std::string_view text) {
  Utf8 read;
  size_t at = 0;
  while (at < text.size()) {
    int32_t c = Next(text, at);
    if (c < 0) {
      read.valid = false;
      return read;
    }
    ++read.characters;
    if (c == 0) read.has_nul = true;
    if (IsControl(static_cast<uint32_t>(c))) read.has_control = true;
    if (IsBlank(static_cast<uint32_t>(c))) read.has_blank = true;
  }
  return read;
}

std::string CleanText(std::string text, size_t bytes_max) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd", kEllipsis = "\xe2\x80\xa6";
  // Nearly every text is fit.
  if (text.size() <= bytes_max) {
    Utf8 read = ReadUtf8(text);
    if (read.valid && !read.has_control) return text;
  }
  std::string clean;
  size_t cut = 0;  // where there is still room for the ellipsis
  for (size_t at = 0; at < text.size();) {
    size_t start = at;
    int32_t c = Next(text, at);
    if (c < 0) ++at;
    std::string_view piece(text.data() + start, at - start);
    if (c == '\t' || c == '\n' || c == '\r') {
      piece = " ";
    } else if (c < 0 || IsControl(static_cast<uint32_t>(c))) {
      piece = kReplacement;
    }
    if (clean.size() + piece.size() > bytes_max) {
      clean.resize(cut);
      clean += kEllipsis;
      break;
    }
    clean += piece;
    if (clean.size() + kEllipsis.size() <= bytes_max) cut = clean.size();
  }
  return clean;
}

}  // namespace waybill

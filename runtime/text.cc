#include "runtime/text.h"

#include <algorithm>
#include <cctype>
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

constexpr std::string_view kHidden = "***";

// "pass%77ord": password.
std::string Decoded(std::string_view text) {
  std::string decoded;
  for (size_t at = 0; at < text.size(); ++at) {
    const bool hex = text[at] == '%' && at + 2 < text.size() &&
                     std::isxdigit(static_cast<unsigned char>(text[at + 1])) &&
                     std::isxdigit(static_cast<unsigned char>(text[at + 2]));
    decoded += hex ? static_cast<char>(std::stoi(std::string(text.substr(at + 1, 2)), nullptr, 16)) : text[at];
    if (hex) at += 2;
  }
  return decoded;
}

bool IsScheme(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.';
  });
}

bool IsSpace(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// What follows the scheme's "://". A password that should have been escaped may hold anything, so that all up to the
// last @ is taken for one.
std::string UrlWithoutPasswords(std::string_view url) {
  std::string shown;
  const size_t end = url.rfind('@'), colon = url.find(':');
  if (end != std::string_view::npos && colon < end) {
    shown.append(url.substr(0, colon + 1)).append(kHidden);
    url.remove_prefix(end);
  }
  const size_t query = url.find('?');
  shown.append(url.substr(0, query));
  if (query == std::string_view::npos) return shown;
  url.remove_prefix(query);
  while (!url.empty()) {  // at a ? or &
    const std::string_view parameter = url.substr(0, url.find('&', 1));
    url.remove_prefix(parameter.size());
    const size_t equals = parameter.find('=');
    const bool secret =
        equals != std::string_view::npos && Decoded(parameter.substr(0, equals)).find("password") != std::string::npos;
    shown.append(secret ? parameter.substr(0, equals + 1) : parameter).append(secret ? kHidden : "");
  }
  return shown;
}

// libpq's keywords and values: quoted, or up to a blank; a backslash takes what follows as it is.
std::string ConnectionStringWithoutPasswords(std::string_view text) {
  constexpr std::string_view kKey = "password";
  std::string shown;
  while (true) {
    const size_t key = text.find(kKey);
    if (key == std::string_view::npos) return shown.append(text);
    size_t at = key + kKey.size();
    while (at < text.size() && IsSpace(text[at])) ++at;
    if (at == text.size() || text[at] != '=') {
      shown.append(text.substr(0, at));
      text.remove_prefix(at);
      continue;
    }
    ++at;
    while (at < text.size() && IsSpace(text[at])) ++at;
    shown.append(text.substr(0, at)).append(kHidden);
    const bool quoted = at < text.size() && text[at] == '\'';
    for (at += quoted ? 1 : 0; at < text.size(); ++at) {
      if (text[at] == '\\') {
        ++at;
      } else if (quoted ? text[at] == '\'' : IsSpace(text[at])) {
        break;
      }
    }
    text.remove_prefix(std::min(at + (quoted ? 1 : 0), text.size()));
  }
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

std::string EscapedHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string WithoutPasswords(std::string_view value) {
  constexpr std::string_view kAfterScheme = "://";
  const size_t at = value.find(kAfterScheme);
  if (at == std::string_view::npos || !IsScheme(value.substr(0, at))) return ConnectionStringWithoutPasswords(value);
  const std::string_view scheme = value.substr(0, at + kAfterScheme.size());
  return std::string(scheme) + UrlWithoutPasswords(value.substr(scheme.size()));
}

}  // namespace waybill

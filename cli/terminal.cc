#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "fmt/format.h"

namespace waybill::cli {
namespace {

struct Decoded {
  char32_t rune = 0;
  size_t bytes = 1;
  bool valid = false;
};

Decoded Decode(std::string_view text) {
  auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1, true};
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  char32_t rune = lead & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    rune = rune << 6 | (next & 0x3f);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (rune < kSmallest[length] || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) return {};
  return {rune, length, true};
}

bool ReordersText(char32_t rune) {
  return (rune >= 0x202a && rune <= 0x202e) || (rune >= 0x2066 && rune <= 0x2069) || rune == 0x200e || rune == 0x200f;
}

int RuneWidth(char32_t rune) {
  struct Range {
    char32_t first, last;
  };
  constexpr Range kCombining[] = {
      {0x300, 0x36f}, {0x200b, 0x200d}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
  constexpr Range kWide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xac00, 0xd7a3},
                             {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
                             {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
  for (const Range& range : kCombining) {
    if (rune >= range.first && rune <= range.last) return 0;
  }
  for (const Range& range : kWide) {
    if (rune >= range.first && rune <= range.last) return 2;
  }
  return 1;
}

}  // namespace

Terminal DetectTerminal(std::FILE* stream) {
  Terminal terminal;
  int fd = fileno(stream);
  if (!isatty(fd)) return terminal;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  terminal.colour = (no_colour == nullptr || *no_colour == '\0') && term != nullptr && std::string_view(term) != "dumb";
  winsize size{};
  terminal.width = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  return terminal;
}

std::string Paint(std::string_view text, Style style, const Terminal& terminal) {
  if (!terminal.colour || style == Style::kPlain || text.empty()) return std::string(text);
  constexpr int kCodes[] = {0, 1, 2, 32, 31, 33};
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<size_t>(style)], text);
}

std::string Printable(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    Decoded next = Decode(text);
    if (!next.valid || ReordersText(next.rune)) {
      out += kReplacement;
    } else if (next.rune == '\n') {
      out += "\\n";
    } else if (next.rune == '\t') {
      out += "\\t";
    } else if (next.rune < 0x20 || (next.rune >= 0x7f && next.rune < 0xa0)) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(next.rune));
    } else {
      out += text.substr(0, next.bytes);
    }
    text.remove_prefix(next.bytes);
  }
  return out;
}

int DisplayWidth(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    Decoded next = Decode(text);
    width += RuneWidth(next.rune);
    text.remove_prefix(next.bytes);
  }
  return width;
}

std::string_view FitPrefix(std::string_view text, int columns) {
  size_t taken = 0;
  int width = 0;
  while (taken < text.size()) {
    Decoded next = Decode(text.substr(taken));
    width += RuneWidth(next.rune);
    if (width > columns) break;
    taken += next.bytes;
  }
  return text.substr(0, taken);
}

}  // namespace waybill::cli

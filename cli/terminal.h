// What the output goes to, and text made fit for it.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace waybill::cli {

struct Terminal {
  bool colour = false;
  int width = 0;  // columns; 0: unlimited, because it is a file or a pipe
};

// Colour and width when the stream is a terminal; neither when it is not. NO_COLOR in the environment turns colour off.
Terminal DetectTerminal(std::FILE* stream);

enum class Style { kPlain, kBold, kFaint, kGood, kBad, kWaiting };

// With escape sequences when the terminal has colour.
std::string Paint(std::string_view text, Style style, const Terminal& terminal);

// Text that came from others, made safe to show on one line: control characters as \n or \x1b, right-to-left overrides
// and broken UTF-8 as U+FFFD. What a stranger put into an order's metadata must not drive an operator's terminal.
std::string Printable(std::string_view text);

// Columns that printable UTF-8 takes: combining marks none, wide East Asian characters and emoji two.
int DisplayWidth(std::string_view text);

// The longest beginning of printable `text` that takes at most `columns`.
std::string_view FitPrefix(std::string_view text, int columns);

}  // namespace waybill::cli

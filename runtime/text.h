// What a text from outside contains, and how to make it fit to keep. RFC 3629.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace waybill {

struct Utf8 {
  bool valid = true;      // the rest says something only when it is
  size_t characters = 0;  // code points
  bool has_nul = false;
  bool has_control = false;  // C0, DEL or C1; NUL included
  bool has_blank = false;    // Unicode White_Space
};

Utf8 ReadUtf8(std::string_view text);

// The text as it can be stored, logged and shown anywhere: valid UTF-8 of at most `bytes_max` bytes (>= 3), without
// control characters. Each bad byte and each control character becomes U+FFFD, but tabs and line breaks become spaces;
// what is too long is cut before a character, and ends in "…". A text that is fit already comes back as it is.
std::string CleanText(std::string text, size_t bytes_max);

// The text as it stands in an HTML page, also within the quotes of an attribute.
std::string EscapedHtml(std::string_view text);

// A URL or a connection string of libpq's with *** for its passwords, also where they should have been escaped. All
// else comes back as it is.
std::string WithoutPasswords(std::string_view value);

}  // namespace waybill

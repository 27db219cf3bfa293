// What a text from outside contains. RFC 3629.
#pragma once

#include <cstddef>
#include <string_view>

namespace waybill::order {

struct Utf8 {
  bool valid = true;      // the rest says something only when it is
  size_t characters = 0;  // code points
  bool has_nul = false;
  bool has_control = false;  // C0, DEL or C1; NUL included
  bool has_blank = false;    // Unicode White_Space
};

Utf8 ReadUtf8(std::string_view text);

}  // namespace waybill::order

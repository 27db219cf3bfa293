// JSON as text: where a document ends, and what is left of one that breaks off. Used inside tracks/ only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace waybill::tracks {

// Behind the value that begins at `from`; npos: it does not end. Only brackets and strings are looked at.
size_t EndOfJson(std::string_view text, size_t from);

struct MendedJson {
  std::string text;
  size_t open = 0;  // brackets that were open where it broke off, and that were closed
};

// The beginning of a document, up to the last value that is whole, with its brackets closed.
MendedJson MendJson(std::string_view begun);

// With null in place of NaN and Infinity, which some writers put where JSON has no number. False: there were none.
bool ReplaceNonNumbers(std::string& text);

}  // namespace waybill::tracks

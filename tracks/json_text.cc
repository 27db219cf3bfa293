#include "tracks/json_text.h"

#include <algorithm>
#include <cstring>

namespace waybill::tracks {
namespace {

// Behind the string whose quote stands at `at`; npos: it does not end.
size_t EndOfString(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

}  // namespace

size_t EndOfJson(std::string_view text, size_t from) {
  size_t open = 0;
  for (size_t at = from; at < text.size();) {
    if (text[at] == '"') {
      at = EndOfString(text, at);
      if (at == std::string_view::npos) return at;
      continue;
    }
    if (text[at] == '{' || text[at] == '[') ++open;
    if ((text[at] == '}' || text[at] == ']') && open > 0 && --open == 0) return at + 1;
    ++at;
  }
  return std::string_view::npos;
}

MendedJson MendJson(std::string_view begun) {
  std::string open;  // what would close what is open at `whole`, the innermost last
  size_t whole = 0;
  for (size_t at = 0; at < begun.size();) {
    char c = begun[at];
    if (c == '"') {
      at = EndOfString(begun, at);
      if (at == std::string_view::npos) break;
      continue;
    }
    if (c == ',') whole = at;
    if (c == '{' || c == '[') {
      open += c == '{' ? '}' : ']';
      whole = at + 1;
    }
    if (c == '}' || c == ']') {
      if (open.empty() || open.back() != c) break;
      open.pop_back();
      whole = at + 1;
    }
    ++at;
  }
  MendedJson mended{std::string(begun.substr(0, whole)), open.size()};
  mended.text.append(open.rbegin(), open.rend());
  return mended;
}

bool ReplaceNonNumbers(std::string& text) {
  constexpr std::string_view kNonNumbers[] = {"NaN", "-NaN", "nan", "Infinity", "-Infinity", "inf", "-inf", "None"};
  auto ends_word = [](char c) { return std::strchr(" \t\r\n,:[]{}", c) != nullptr; };
  std::string out;
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      size_t end = std::min(EndOfString(text, at), text.size());
      out.append(text, at, end - at);
      at = end;
      continue;
    }
    if (at > 0 && ends_word(text[at - 1]) && !ends_word(text[at])) {
      size_t end = at;
      while (end < text.size() && !ends_word(text[end]) && text[end] != '"') ++end;
      std::string_view word = std::string_view(text).substr(at, end - at);
      bool is = std::find(std::begin(kNonNumbers), std::end(kNonNumbers), word) != std::end(kNonNumbers);
      out += is ? "null" : std::string(word);
      any = any || is;
      at = end;
      continue;
    }
    out += text[at++];
  }
  if (any) text = std::move(out);
  return any;
}

}  // namespace waybill::tracks

// Examples of documents, for tests that run them as they stand.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

namespace waybill::testing {

// All that a Markdown file has in blocks for a shell, one behind the other, as a script that ends with the first error.
inline std::string ShellOf(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::string script = "set -e\n";
  const std::string opening = "```sh\n";
  for (size_t at = text.find(opening); at != std::string::npos; at = text.find(opening, at + 1)) {
    const size_t begin = at + opening.size();
    script += text.substr(begin, text.find("```", begin) - begin);
  }
  return script;
}

}  // namespace waybill::testing

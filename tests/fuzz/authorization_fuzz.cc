// Any bytes where a call shows its key: they are none, or read as what they say; nothing crashes. Run by libFuzzer
// (preset fuzz), and over seeds by authorization_fuzz_test.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "domain/access.h"
#include "edge/access/key.h"

namespace waybill {
namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void FuzzHeader(std::string_view header) {
  const std::optional<access::Secret> secret = access::ParseAuthorization(header);
  if (!secret) return;
  Check(header.ends_with(secret->text), "it is the end of the header");
  const std::optional<access::Secret> alone = access::ParseSecret(secret->text);
  Check(alone && alone->id == secret->id && alone->text == secret->text, "it is the same alone");
  Check(!access::ParseSecret(header), "a header is no secret");
}

void FuzzSecret(std::string_view text) {
  const std::optional<access::Secret> secret = access::ParseSecret(text);
  if (!secret) return;
  Check(secret->text == text && text.starts_with("wb_" + std::string(secret->id) + "_"), "it is all of it");
  Check(std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; }),
        "it can be sent and logged without harm");
  Check(access::ParseAuthorization("Bearer " + std::string(text)).has_value(), "it can be sent");
}

void FuzzPattern(std::string_view text) {
  if (!domain::FindPatternFault(text).empty()) return;
  const domain::DriverPatterns patterns({std::string(text)});
  std::string beginning(text);
  const bool exact = beginning.back() != '*';
  if (!exact) beginning.pop_back();
  Check(beginning.empty() || patterns.Match(beginning), "it matches what it says");
  Check(patterns.Match(beginning + "x") != exact, "and what begins so, if it says that");
}

}  // namespace
}  // namespace waybill

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  waybill::FuzzHeader(text);
  waybill::FuzzSecret(text);
  waybill::FuzzPattern(text);
  return 0;
}

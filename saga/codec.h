// How the payload of a kind of sagas is written down, for a journal that does not know the kind.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace waybill::saga {

// The three are called on several threads at once, and throw nothing. Texts of participants go into a payload as
// CleanText leaves them.
template <typename P>
struct Codec {
  // A JSON object, which a person who repairs things by hand can read, without U+0000. All of P but its effects. A
  // top-level member that it leaves out stays in the store as it is: so what a newer build adds there survives an older
  // one that takes the saga over. What is gone is written, as null or empty.
  std::function<std::string(const P&)> encode;
  // What encode made of it, in this build or another, though with other white space and in another order: it was parsed
  // meanwhile. `version` may be one that this process does not drive. A status that is not OK leaves the saga alone.
  std::function<absl::StatusOr<P>(int version, std::string_view json)> decode;
  // Deduplicates: of one key there is one saga of the kind. 1-255 characters.
  std::function<std::string(const P&)> key;
};

}  // namespace waybill::saga

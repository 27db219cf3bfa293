// UUIDs as 16 raw bytes, and the generator of time-ordered ones (UUIDv7, RFC 9562 section 5.7).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/clock.h"
#include "runtime/random.h"

namespace waybill {

struct Uuid {
  std::array<uint8_t, 16> bytes{};

  std::string ToString() const;  // lower case, with dashes
  // Accepts the 36-character form only, either case.
  static std::optional<Uuid> Parse(std::string_view text);

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Uuid& id) {
    return H::combine_contiguous(std::move(h), id.bytes.data(), id.bytes.size());
  }
};

// Makes ids that sort by creation time, which keeps B-tree inserts at the right edge. Thread-safe.
class IdGenerator {
 public:
  IdGenerator(const Clock& clock, Random& random) : clock_(clock), random_(random) {}
  Uuid Next();

 private:
  const Clock& clock_;
  Random& random_;
};

}  // namespace waybill

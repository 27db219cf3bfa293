// Chance from a seed, in streams of their own: what one draws changes nothing of what another draws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "absl/time/time.h"
#include "runtime/random.h"

namespace waybill::simulation {

// FNV-1a: the same in every process.
inline uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

class Chance final : public Random {
 public:
  // The stream that these numbers name.
  Chance(uint64_t seed, std::initializer_list<uint64_t> names) : state_(seed) {
    for (uint64_t name : names) state_ = Next() ^ (name * 0xff51afd7ed558ccd);
  }

  // SplitMix64.
  uint64_t Next() override {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  size_t Pick(size_t count) { return Next() % count; }
  bool OneIn(uint64_t n) { return n > 0 && Next() % n == 0; }  // 0: never
  int64_t Between(int64_t from, int64_t to) {
    return from + static_cast<int64_t>(Next() % static_cast<uint64_t>(to - from + 1));
  }
  absl::Duration Milliseconds(int64_t from, int64_t to) { return absl::Milliseconds(Between(from, to)); }
  absl::Duration Microseconds(int64_t from, int64_t to) { return absl::Microseconds(Between(from, to)); }

 private:
  uint64_t state_;
};

}  // namespace waybill::simulation

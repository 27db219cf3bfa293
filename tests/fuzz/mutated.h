// The fuzz target of the program that includes this, over seeds and over mutations of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace waybill::testing {

inline void RunTarget(const std::string& input) {
  EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size()), 0);
}

// One of the seeds with up to seven changes.
inline std::string Mutated(const std::vector<std::string>& seeds, Random& random) {
  std::string input = seeds[random.Next() % seeds.size()];
  for (uint64_t changes = random.Next() % 8; changes > 0; --changes) {
    const size_t at = input.empty() ? 0 : random.Next() % input.size();
    switch (random.Next() % 5) {
      case 0:
        if (!input.empty()) input[at] = static_cast<char>(random.Next());
        break;
      case 1:
        if (!input.empty()) input[at] ^= static_cast<char>(1 << random.Next() % 8);
        break;
      case 2:
        input.insert(at, 1 + random.Next() % 4, static_cast<char>(random.Next()));
        break;
      case 3:
        input.erase(at, 1 + random.Next() % 4);
        break;
      case 4: {
        const std::string& other = seeds[random.Next() % seeds.size()];
        input.insert(at, other.substr(other.empty() ? 0 : random.Next() % other.size(), random.Next() % 64));
        break;
      }
    }
  }
  return input;
}

inline void RunTargetOverMutations(const std::vector<std::string>& seeds, int rounds, uint64_t seed) {
  SeededRandom random(seed);
  for (int round = 0; round < rounds; ++round) RunTarget(Mutated(seeds, random));
}

}  // namespace waybill::testing

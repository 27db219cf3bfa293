// Randomness, passed in so that tests and simulations replay by seed.
#pragma once

#include <cstdint>
#include <mutex>
#include <random>

namespace waybill {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t Next() = 0;  // uniform over all 64 bits; thread-safe

  // Uniform in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  uint64_t Next() override {
    std::lock_guard lock(mutex_);
    return engine_();
  }

 private:
  std::mutex mutex_;
  std::mt19937_64 engine_;
};

// Seeded from the operating system.
inline uint64_t EntropySeed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace waybill

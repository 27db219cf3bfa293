// Something about each driver that was seen lately, in bounded memory: of those that were silent for long it forgets.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace waybill::ingest {

// Not thread-safe.
template <typename Value>
class RecentDrivers {
 public:
  // Remembers between `drivers_max` / 2 and `drivers_max` of the drivers that were seen last.
  explicit RecentDrivers(size_t drivers_max) : generation_max_(drivers_max / 2) {}

  // The driver's, now seen; made if it is not there. Valid until the next call.
  Value& See(const std::string& driver_id, bool& known) {
    auto [it, inserted] = young_.try_emplace(driver_id);
    known = !inserted;
    if (!inserted) return it->second;
    Value value{};
    if (auto before = old_.find(driver_id); before != old_.end()) {
      known = true;
      value = std::move(before->second);
    }
    if (young_.size() > generation_max_) {
      old_ = std::exchange(young_, {});
      it = young_.try_emplace(driver_id).first;
    }
    it->second = std::move(value);
    return it->second;
  }

  void Forget(const std::string& driver_id) {
    young_.erase(driver_id);
    old_.erase(driver_id);
  }

 private:
  using Drivers = absl::flat_hash_map<std::string, Value>;

  const size_t generation_max_;
  // Two generations: who is seen moves to the young one, and when that is full the old one is forgotten.
  Drivers young_;
  Drivers old_;
};

}  // namespace waybill::ingest

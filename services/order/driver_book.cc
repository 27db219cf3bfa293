#include "services/order/driver_book.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace waybill::order {
namespace {

// A pick or release that is not durable after so long never will be: the saga was taken over or given up.
constexpr absl::Duration kHeldMax = absl::Minutes(1);
constexpr uint32_t kReconcilePiece = 2'000;  // drivers

template <typename Bits>
bool Get(const Bits& bits, int slot) {
  size_t at = static_cast<size_t>(slot - 1);
  return at / 64 < bits.size() && (bits[at / 64] >> (at % 64) & 1) != 0;
}

template <typename Bits>
void Set(Bits& bits, int slot) {
  size_t at = static_cast<size_t>(slot - 1);
  if (at / 64 >= bits.size()) bits.resize(at / 64 + 1);
  bits[at / 64] |= uint64_t{1} << (at % 64);
}

template <typename Bits>
void Clear(Bits& bits, int slot) {
  size_t at = static_cast<size_t>(slot - 1);
  if (at / 64 < bits.size()) bits[at / 64] &= ~(uint64_t{1} << (at % 64));
}

}  // namespace

DriverBook::Index DriverBook::Find(const std::string& driver_id) {
  auto [it, added] = by_id_.try_emplace(driver_id, 0);
  if (!added) return it->second;
  if (holes_.empty()) {
    it->second = static_cast<Index>(drivers_.size());
    drivers_.emplace_back();
  } else {
    it->second = holes_.back();
    holes_.pop_back();
  }
  Driver& driver = drivers_[it->second];
  driver.id = driver_id;
  auto capacity = capacities_.find(driver_id);
  driver.capacity = capacity == capacities_.end() ? 1 : capacity->second;
  return it->second;
}

void DriverBook::Offer(const std::string& driver_id, SteadyTime now) {
  Index index = Find(driver_id);
  drivers_[index].seen = now;
  Pool(index, now);
  ForgetIfIdle(index);
}

std::optional<domain::DriverSlot> DriverBook::PickAny(const Uuid& order_id, SteadyTime now) {
  while (!pool_.empty()) {
    Index index = pool_[random_.Next() % pool_.size()];
    Driver& driver = drivers_[index];
    if (now - driver.seen > fresh_for_) {
      Unpool(driver);
      ForgetIfIdle(index);
      continue;
    }
    if (auto slot = PickFrom(index, order_id, now)) return slot;
    Unpool(driver);
  }
  return std::nullopt;
}

std::optional<domain::DriverSlot> DriverBook::Pick(const Uuid& order_id, const std::string& driver_id, SteadyTime now) {
  return PickFrom(Find(driver_id), order_id, now);
}

std::optional<domain::DriverSlot> DriverBook::PickFrom(Index index, const Uuid& order_id, SteadyTime now) {
  Driver& driver = drivers_[index];
  int slot = FreeSlot(driver);
  if (slot == 0) return std::nullopt;
  Take(index, slot);
  Touch(index, slot);
  Drop(order_id, now);  // what it had picked before; not earlier, lest the driver be forgotten
  picked_[order_id] = {index, slot, now};
  return domain::DriverSlot{driver.id, slot};
}

// 0: none. Of many, one at random: replicas do not know each other's slots.
int DriverBook::FreeSlot(const Driver& driver) {
  if (driver.taken >= driver.capacity) return 0;
  if (driver.capacity == 1) return Get(driver.slots, 1) ? 0 : 1;
  int start = static_cast<int>(random_.Next() % static_cast<uint64_t>(driver.capacity));
  for (int i = 0; i < driver.capacity; ++i) {
    int slot = (start + i) % driver.capacity + 1;
    if (!Get(driver.slots, slot)) return slot;
  }
  return 0;
}

std::optional<std::string> DriverBook::Lost(const Uuid& order_id) {
  auto it = picked_.find(order_id);
  if (it == picked_.end()) return std::nullopt;
  const Driver& driver = drivers_[it->second.driver];
  picked_.erase(it);
  return driver.taken < driver.capacity ? std::optional(driver.id) : std::nullopt;
}

void DriverBook::BeginCheck() {
  assert(!checking_);
  checking_ = true;
  ++check_;
  // The journal need not know of these yet.
  for (const HeldMap* held : {&picked_, &releasing_}) {
    for (const auto& [order_id, one] : *held) drivers_[one.driver].changed_in = check_;
  }
}

void DriverBook::Check(const std::string& driver_id, const domain::DriverLoad& load, SteadyTime now) {
  assert(checking_);
  SetCapacity(driver_id, load.capacity);
  if (load.taken.empty() && !by_id_.contains(driver_id)) return;
  const Index index = Find(driver_id);
  Driver& driver = drivers_[index];
  driver.capacity = load.capacity;
  const bool changed = driver.changed_in == check_;
  if (driver.freed_in != check_) {
    for (int slot : load.taken) {
      if (reconciling_) touched_.insert({index, slot});
      Take(index, slot);
    }
  }
  if (!changed) {
    Bits named;
    for (int slot : load.taken) Set(named, slot);
    FreeUnnamed(index, named, now);
  }
  if (driver.taken >= driver.capacity) Unpool(driver);
  Pool(index, now);
  ForgetIfIdle(index);
}

void DriverBook::SetCapacity(const std::string& driver_id, int capacity) {
  if (auto before = capacities_.find(driver_id); before != capacities_.end()) {
    if (before->second == 0) --off_duty_;
    capacities_.erase(before);
  }
  if (capacity == 0) ++off_duty_;
  if (capacity != 1) capacities_[driver_id] = capacity;
}

void DriverBook::EndCheck() {
  assert(checking_);
  checking_ = false;
  for (Index index : idle_) {
    if (!drivers_[index].id.empty()) ForgetIfIdle(index);
  }
  idle_.clear();
}

std::vector<std::string> DriverBook::Pooled() const {
  std::vector<std::string> driver_ids;
  driver_ids.reserve(pool_.size());
  for (Index index : pool_) driver_ids.push_back(drivers_[index].id);
  return driver_ids;
}

bool DriverBook::SeemsFree(const std::string& driver_id) const {
  auto it = by_id_.find(driver_id);
  return it == by_id_.end() || drivers_[it->second].taken < drivers_[it->second].capacity;
}

bool DriverBook::Drop(const Uuid& order_id, SteadyTime now) {
  auto it = picked_.find(order_id);
  if (it == picked_.end()) return false;
  Held held = it->second;
  picked_.erase(it);
  Free(held.driver, held.slot, now);
  return true;
}

void DriverBook::Release(const Uuid& order_id, const domain::DriverSlot& slot, SteadyTime now) {
  Index index = Find(slot.driver_id);
  Take(index, slot.slot);  // so that the driver stays known until then
  Touch(index, slot.slot);
  releasing_[order_id] = {index, slot.slot, now};
}

void DriverBook::Durable(const Uuid& order_id, SteadyTime now) {
  if (auto it = picked_.find(order_id); it != picked_.end()) {
    Touch(it->second.driver, it->second.slot);
    picked_.erase(it);
  }
  if (releasing_.empty()) return;
  if (auto it = releasing_.find(order_id); it != releasing_.end()) {
    Held held = it->second;
    releasing_.erase(it);
    Free(held.driver, held.slot, now);
  }
}

void DriverBook::Forget(const Uuid& order_id, SteadyTime now) {
  Drop(order_id, now);
  releasing_.erase(order_id);  // the slot stays taken until a reconciliation says otherwise
}

void DriverBook::Take(Index index, int slot) {
  Driver& driver = drivers_[index];
  if (Get(driver.slots, slot)) return;
  Set(driver.slots, slot);
  ++driver.taken;
  ++taken_;
  if (driver.taken >= driver.capacity) Unpool(driver);
}

void DriverBook::Free(Index index, int slot, SteadyTime now) {
  Touch(index, slot);
  Driver& driver = drivers_[index];
  if (!Get(driver.slots, slot)) return;
  if (checking_) driver.freed_in = check_;
  Clear(driver.slots, slot);
  --driver.taken;
  --taken_;
  Pool(index, now);
  ForgetIfIdle(index);
}

void DriverBook::FreeUnnamed(Index index, const Bits& named, SteadyTime now) {
  Driver& driver = drivers_[index];
  for (size_t word = 0; word < driver.slots.size(); ++word) {
    uint64_t unnamed = driver.slots[word] & ~(word < named.size() ? named[word] : 0);
    for (; unnamed != 0; unnamed &= unnamed - 1) {
      const int slot = static_cast<int>(word * 64) + std::countr_zero(unnamed) + 1;
      if (!touched_.contains({index, slot})) Free(index, slot, now);
    }
  }
}

void DriverBook::Touch(Index index, int slot) {
  if (reconciling_) touched_.insert({index, slot});
  if (checking_) drivers_[index].changed_in = check_;
}

void DriverBook::Pool(Index index, SteadyTime now) {
  Driver& driver = drivers_[index];
  if (driver.pool_at != kNotPooled || driver.taken >= driver.capacity || now - driver.seen > fresh_for_) return;
  driver.pool_at = pool_.size();
  pool_.push_back(index);
}

void DriverBook::Unpool(Driver& driver) {
  if (driver.pool_at == kNotPooled) return;
  Index last = pool_.back();
  pool_[driver.pool_at] = last;
  drivers_[last].pool_at = driver.pool_at;
  pool_.pop_back();
  driver.pool_at = kNotPooled;
}

// Drivers come and go; what says nothing any more is not kept. Holes are filled only between reconciliations, which
// walk by index.
void DriverBook::ForgetIfIdle(Index index) {
  Driver& driver = drivers_[index];
  if (reconciling_ || driver.taken > 0 || driver.pool_at != kNotPooled) return;
  if (checking_) {
    idle_.push_back(index);
    return;
  }
  by_id_.erase(driver.id);
  driver = Driver();
  holes_.push_back(index);
}

void DriverBook::Expire(HeldMap& held, SteadyTime now) {
  absl::erase_if(held, [&](const auto& entry) { return now - entry.second.since > kHeldMax; });
}

void DriverBook::BeginReconcile(const std::vector<domain::DriverSlot>& capacities, SteadyTime now) {
  capacities_.clear();
  off_duty_ = 0;
  for (const domain::DriverSlot& capacity : capacities) SetCapacity(capacity.driver_id, capacity.slot);
  reconciling_ = true;
  reconciled_to_ = 0;
  touched_.clear();
  Expire(picked_, now);
  Expire(releasing_, now);
  for (const auto& [order_id, held] : picked_) Touch(held.driver, held.slot);
  for (const auto& [order_id, held] : releasing_) Touch(held.driver, held.slot);
}

void DriverBook::Reconcile(const domain::DriverSlot* slots, size_t count) {
  assert(reconciling_);
  for (size_t i = 0; i < count; ++i) {
    Index index = Find(slots[i].driver_id);
    Set(drivers_[index].named, slots[i].slot);
    if (!touched_.contains({index, slots[i].slot})) Take(index, slots[i].slot);
  }
}

bool DriverBook::EndReconcile(bool complete, SteadyTime now) {
  assert(reconciling_);
  Index end = std::min(static_cast<Index>(drivers_.size()), reconciled_to_ + kReconcilePiece);
  for (; reconciled_to_ < end; ++reconciled_to_) {
    Driver& driver = drivers_[reconciled_to_];
    if (driver.id.empty()) continue;
    auto capacity = capacities_.find(driver.id);
    driver.capacity = capacity == capacities_.end() ? 1 : capacity->second;
    if (complete) FreeUnnamed(reconciled_to_, driver.named, now);
    driver.named.clear();
    if (driver.taken >= driver.capacity) Unpool(driver);
    Pool(reconciled_to_, now);
  }
  if (reconciled_to_ < drivers_.size()) return true;
  reconciling_ = false;
  touched_.clear();
  for (Index index = 0; index < drivers_.size(); ++index) {
    if (!drivers_[index].id.empty()) ForgetIfIdle(index);
  }
  return false;
}

}  // namespace waybill::order

// Which drivers are free, as far as this process knows. It keeps concurrent orders off each other's drivers and picks
// without a search; the truth is the journal's, where a claim that this book was wrong about is lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "domain/driver.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "runtime/random.h"

namespace waybill::order {

// Not thread-safe.
class DriverBook {
 public:
  // A driver that was last offered longer ago than `fresh_for` is not picked from the pool.
  DriverBook(Random& random, absl::Duration fresh_for) : random_(random), fresh_for_(fresh_for) {}

  // --- Picks. A pick holds its slot for the order until it is durable, lost or dropped; an order has one at most.

  // The driver has a fresh position: into the pool of those that anybody may pick, if it has a free slot.
  void Offer(const std::string& driver_id, SteadyTime now);
  // Any driver of the pool, at random, so that replicas seldom want the same one.
  std::optional<domain::DriverSlot> PickAny(const Uuid& order_id, SteadyTime now);
  // That driver, if it has a free slot.
  std::optional<domain::DriverSlot> Pick(const Uuid& order_id, const std::string& driver_id, SteadyTime now);

  // The order's claim was lost: somebody else holds the slot, until the journal says otherwise. Answers the driver when
  // it is believed to have other free slots: that may be as wrong, so let the journal be asked about it.
  std::optional<std::string> Lost(const Uuid& order_id);
  // The order does not claim what it picked. False when it has no pick.
  bool Drop(const Uuid& order_id, SteadyTime now);
  // The order gives its slot back; it is free once that is durable.
  void Release(const Uuid& order_id, const domain::DriverSlot& slot, SteadyTime now);
  // What was last picked or released for the order is in the journal.
  void Durable(const Uuid& order_id, SteadyTime now);
  // It never will be: another process took the order over.
  void Forget(const Uuid& order_id, SteadyTime now);

  // --- What the journal says of a few drivers. Begin before it is asked, end afterwards; one at a time. What changes
  // here meanwhile, or is not durable yet, counts more than its answer.

  void BeginCheck();
  void Check(const std::string& driver_id, const domain::DriverLoad& load, SteadyTime now);
  void EndCheck();
  std::vector<std::string> Pooled() const;  // those that anybody may pick
  // Whether that driver would be picked, for all that is known here.
  bool SeemsFree(const std::string& driver_id) const;

  // --- Reconciliation with the journal, in small pieces, because picks wait for each of them. What changes here
  // between Begin and the end counts more than what the journal said meanwhile.

  void BeginReconcile(const std::vector<domain::DriverSlot>& capacities, SteadyTime now);
  void Reconcile(const domain::DriverSlot* slots, size_t count);  // taken ones, in any number of calls
  // Frees what the journal did not name, piece by piece; false: finished. `complete` false: the journal could not be
  // read to its end, so nothing is freed.
  bool EndReconcile(bool complete, SteadyTime now);

  size_t pool_size() const { return pool_.size(); }
  size_t taken() const { return taken_; }  // slots
  // Everybody is free: the journal could say of nobody that he is, and this book does not know it.
  bool all_free() const { return taken_ == 0 && off_duty_ == 0; }

 private:
  using Index = uint32_t;
  using Bits = absl::InlinedVector<uint64_t, 1>;
  static constexpr size_t kNotPooled = SIZE_MAX;

  struct Driver {
    std::string id;  // empty: a hole, in holes_
    int capacity = 1;
    int taken = 0;
    Bits slots;  // bit n: slot n + 1 is taken
    Bits named;  // by the journal, in this reconciliation
    size_t pool_at = kNotPooled;
    SteadyTime seen = SteadyTime::InfinitePast();
    uint64_t changed_in = 0;  // the number of the last check during which a slot was picked or freed, or
    uint64_t freed_in = 0;    // freed
  };
  struct Held {
    Index driver;
    int slot;
    SteadyTime since;
  };
  using HeldMap = absl::flat_hash_map<Uuid, Held>;

  Index Find(const std::string& driver_id);
  std::optional<domain::DriverSlot> PickFrom(Index index, const Uuid& order_id, SteadyTime now);
  int FreeSlot(const Driver& driver);
  void Take(Index index, int slot);
  void Free(Index index, int slot, SteadyTime now);
  void FreeUnnamed(Index index, const Bits& named, SteadyTime now);
  void Touch(Index index, int slot);
  void Pool(Index index, SteadyTime now);
  void Unpool(Driver& driver);
  void ForgetIfIdle(Index index);
  void Expire(HeldMap& held, SteadyTime now);
  void SetCapacity(const std::string& driver_id, int capacity);

  Random& random_;
  const absl::Duration fresh_for_;
  std::deque<Driver> drivers_;
  std::vector<Index> holes_;
  absl::flat_hash_map<std::string, Index> by_id_;
  std::vector<Index> pool_;
  size_t taken_ = 0;
  HeldMap picked_;                                    // not yet durable
  HeldMap releasing_;                                 // not yet durable
  absl::flat_hash_map<std::string, int> capacities_;  // other than one; 0: off duty
  size_t off_duty_ = 0;                               // of those

  uint64_t check_ = 0;  // counts
  bool checking_ = false;
  std::vector<Index> idle_;  // to be forgotten when the check has ended

  bool reconciling_ = false;
  Index reconciled_to_ = 0;
  absl::flat_hash_set<std::pair<Index, int>> touched_;  // since the reconciliation began
};

}  // namespace waybill::order

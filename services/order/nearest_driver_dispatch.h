// The built-in dispatch: the nearest fresh driver with a free slot, or any, when the order has no pickup point. It only
// picks; the claim is the journal's. Several replicas may pick the same driver: one of them loses the claim and picks
// again. They do not know of each other, so each reads the fleet from a place of its own, and where claims are lost the
// journal is asked who is free before anybody is picked (ADR 0025).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/random.h"
#include "services/order/dispatch.h"
#include "services/order/driver_book.h"
#include "storage/fleet.h"
#include "storage/order_store.h"

namespace waybill::order {

struct NearestDriverOptions {
  double radius_m = 5'000;
  // How long a driver that was found fresh may be picked without looking again.
  absl::Duration fresh_for = absl::Seconds(10);
  int scan_page = 1'000;  // drivers a read of the fleet
  size_t pool_low = 512;  // fewer ready drivers: read on
  size_t pool_high = 4'096;
  int nearest_first = 16;  // candidates asked for at once; four times as many each time all of them are busy
  int nearest_max = 1'024;
  // "Nobody is free" is not looked up again for four times as long as it took to find out, within these bounds.
  absl::Duration exhausted_min = absl::Milliseconds(20);
  absl::Duration exhausted_max = absl::Seconds(1);
  // Other replicas free drivers too. The book is compared with the journal before "nobody is free" is answered, at most
  // so often, and for at most a twentieth of the time.
  absl::Duration reconcile_min = absl::Seconds(2);
  // A claim that was lost says that somebody else assigns drivers too. For so long after it, drivers are picked only
  // after the journal was asked about them: those of each page of the fleet, and of the nearest ones as many as are
  // likely to be picked.
  absl::Duration others_for = absl::Minutes(1);
  int nearest_checked = 4;  // that seem free, and whoever is nearer than these; as many again when none of them is
  // Of the ready drivers as many were lost as this part of them: another process has the same ones. The journal is
  // asked about all of them, and the fleet is read on elsewhere.
  size_t pool_lost_part = 200;
  // How many drivers each order had to pick from, for the metrics.
  std::function<void(size_t candidates)> on_candidates = [](size_t) {};
};

class NearestDriverDispatch final : public Dispatch {
 public:
  // `workers` runs the blocking reads, of the fleet, of the nearest ones' loads, and of the books to compare
  // with. All outlive this, and the workers have stopped before it is destroyed.
  NearestDriverDispatch(storage::Fleet& fleet, storage::OrderStore& store, Executor& workers, const Clock& clock,
                        Random& random, NearestDriverOptions options);

  bool journaled() const override { return true; }
  // Never blocks. STORE_UNAVAILABLE when the fleet cannot be read.
  void Assign(const ParticipantCall& call, const Uuid& order_id, const domain::Order& order, int conflicts,
              absl::AnyInvocable<void(absl::StatusOr<AssignResult>)> done) override;
  void Release(const ParticipantCall& call, const Uuid& order_id, const domain::Order& order,
               absl::AnyInvocable<void(absl::Status)> done) override;
  void OnDurable(const Uuid& order_id) override;
  void OnFenced(const Uuid& order_id) override;

  // Compares the book with the journal. Blocks; for start and housekeeping.
  absl::Status Reconcile();

 private:
  using Done = absl::AnyInvocable<void(absl::StatusOr<AssignResult>)>;
  struct Waiting {
    Uuid order_id;
    Done done;
  };
  struct Search;  // for the nearest one
  struct Found {
    std::shared_ptr<Search> search;
    std::vector<storage::NearbyDriver> candidates;
    size_t asked = 0;  // about the first so many
  };

  // With the lock held: the order's claim was lost.
  void LearnOfLoss(const Uuid& order_id, Search* search);
  // `lost`: its claim was.
  void AssignAny(const Uuid& order_id, bool lost, Done done);
  bool ReadIsDue(SteadyTime now) const;
  void StartRefill();
  void Refill();
  // Reads the fleet on until enough drivers are in the pool. True: it was read from end to end, and nobody was free.
  absl::StatusOr<bool> ReadFleet();
  void ServeWaiting();
  void AnswerWaiting(const absl::StatusOr<AssignResult>& answer);
  void FindNearest(std::shared_ptr<Search> search);
  // Whether others are at work, so that the journal is asked about the candidates before one is chosen.
  bool AskFirst(Found& found);
  void AskAboutFound();
  // With the lock held: adds those to `driver_ids` that the journal is to be asked about next.
  void ListNext(Found& found, std::set<std::string>& driver_ids) const;
  void Choose(Found found);
  // Asks the journal about these drivers and tells the book. Blocks. When the journal does not answer, the book stays
  // as it is: who is picked wrongly loses the claim.
  void Ask(const std::vector<std::string>& driver_ids);
  void SettleDoubts();
  // True: the book was compared with the journal after `asked`, so somebody may have become free.
  bool ReconcileIfDue(SteadyTime asked);

  storage::Fleet& fleet_;
  storage::OrderStore& store_;
  Executor& workers_;
  const Clock& clock_;
  Random& random_;
  const NearestDriverOptions options_;

  std::mutex reconcile_mutex_;  // one at a time; taken before mutex_
  std::mutex ask_mutex_;        // the same

  std::mutex mutex_;
  DriverBook book_;
  std::vector<Waiting> waiting_;  // for a driver from the fleet
  bool refilling_ = false;
  SteadyTime read_ = SteadyTime::InfinitePast();        // when a page of the fleet was last read
  SteadyTime read_whole_ = SteadyTime::InfinitePast();  // when the whole fleet was last read
  SteadyTime exhausted_until_ = SteadyTime::InfinitePast();
  SteadyTime reconciled_ = SteadyTime::InfinitePast();  // when the last comparison began
  SteadyTime reconcile_due_ = SteadyTime::InfinitePast();

  SteadyTime others_until_ = SteadyTime::InfinitePast();
  size_t lost_of_pool_ = 0;  // since the journal was last asked about all of it
  // To be asked about before an order that lost its claim picks again:
  std::set<std::string> doubtful_;
  bool pool_doubtful_ = false;
  bool settling_ = false;     // they are being asked about
  bool elsewhere_ = true;     // the next read of the fleet begins anywhere
  std::vector<Found> found_;  // to be asked about before one of them is chosen
  bool asking_ = false;       // about those

  uint64_t cursor_ = 0;  // of the reader
};

}  // namespace waybill::order

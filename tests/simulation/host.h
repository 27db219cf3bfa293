// Where one life of a process runs: its timers, its two clocks, and its way to the stores, on which it may stop, die or
// lose an answer at each call to them.
#pragma once

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "domain/reasons.h"
#include "runtime/clock.h"
#include "runtime/scheduler.h"
#include "tests/simulation/chance.h"
#include "tests/simulation/event_loop.h"

namespace waybill::simulation {

// One in so many; 0: never.
struct GapOdds {
  uint64_t pause = 6;    // for a few milliseconds
  uint64_t sleep = 400;  // for longer than a lease lasts
  uint64_t crash = 1'500;
  uint64_t lost_request = 60;
  uint64_t lost_answer = 40;
};

class Host final : public Scheduler, public Clock {
 public:
  // `skew`: by how much its wall clock is ahead of the stores'. `on_death` is called once.
  Host(EventLoop& loop, Owner owner, const GapOdds& odds, Chance chance, absl::Duration skew,
       std::function<void()> on_death)
      : loop_(loop), owner_(owner), odds_(odds), chance_(chance), skew_(skew), on_death_(std::move(on_death)) {}

  TimerId At(SteadyTime when, Callback callback) override {
    if (!alive_) return {when, UINT64_MAX};
    return loop_.At(owner_, when, std::move(callback));
  }
  bool Cancel(const TimerId& id) override { return loop_.Cancel(id); }
  void After(absl::Duration delay, Callback callback) { At(Steady() + delay, std::move(callback)); }

  absl::Time Now() const override { return loop_.Now() + skew_; }
  SteadyTime Steady() const override { return loop_.Steady(); }

  // A request is on its way to a store, which may be away when it comes there. Not OK: it does not arrive.
  absl::Status Reach(const bool& store_is_away) {
    if (alive_) StandStill();
    if (!alive_) return domain::ReasonError("STORE_UNAVAILABLE", "this process is dead");
    if (store_is_away) return domain::ReasonError("STORE_UNAVAILABLE", "the store is away");
    if (chance_.OneIn(odds_.lost_request)) return domain::ReasonError("STORE_UNAVAILABLE", "the request was lost");
    return absl::OkStatus();
  }

  // Between two statements. Not OK: the answer to what was just done is lost. Who dies here goes on to the end of its
  // event, since that cannot be left; so nobody listens to the dead: participants, stores, watches and clients ask
  // alive().
  absl::Status Gap() {
    if (alive_) StandStill();
    if (!alive_) return absl::OkStatus();  // nobody is there who would repeat it
    if (chance_.OneIn(odds_.lost_answer)) return domain::ReasonError("STORE_UNAVAILABLE", "the answer was lost");
    return absl::OkStatus();
  }

  void Die() {
    if (!std::exchange(alive_, false)) return;
    loop_.Kill(owner_);
    on_death_();
  }
  bool alive() const { return alive_; }
  Owner owner() const { return owner_; }
  Chance& chance() { return chance_; }

  // A little while, as threads need one to get to something.
  absl::Duration Soon() { return chance_.Microseconds(20, 2'000); }

 private:
  void StandStill() {
    if (chance_.OneIn(odds_.sleep)) {
      loop_.StandStill(owner_, chance_.Milliseconds(500, 6'000));
    } else if (chance_.OneIn(odds_.pause)) {
      loop_.StandStill(owner_, chance_.Milliseconds(0, 30));
    }
    if (alive_ && chance_.OneIn(odds_.crash)) Die();
  }

  EventLoop& loop_;
  const Owner owner_;
  const GapOdds& odds_;
  Chance chance_;
  const absl::Duration skew_;
  const std::function<void()> on_death_;
  bool alive_ = true;
};

}  // namespace waybill::simulation

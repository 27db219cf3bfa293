// What the simulations of sagas share: chance from one seed, and processes over one book that crash at any moment.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "fmt/format.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"

namespace waybill::saga::testing {

struct Chance {
  explicit Chance(uint64_t seed) : random(seed) {}

  size_t Pick(size_t count) { return random.Next() % count; }
  bool OneIn(uint64_t n) { return random.Next() % n == 0; }
  absl::Duration Milliseconds(int64_t from, int64_t to) {
    return absl::Milliseconds(from + static_cast<int64_t>(random.Next() % static_cast<uint64_t>(to - from + 1)));
  }

  SeededRandom random;
};

class Processes {
 public:
  // All outlive this; `kinds` may still be filled in before the first saga. Of what a journal does one answer in twenty
  // is lost, and each write takes up to 30 ms.
  Processes(MemoryBook& book, const Kinds& kinds, waybill::testing::ManualTime& time, const Clock& store_clock,
            Chance& chance, size_t count)
      : book_(book), kinds_(kinds), time_(time), store_clock_(store_clock), chance_(chance) {
    processes_.resize(count);
    for (size_t at = 0; at < count; ++at) Start(at);
  }

  Runner& Any() { return processes_[chance_.Pick(processes_.size())]->runner; }

  // The old process stays as a corpse: calls it had sent still arrive, but it can write nothing more. Which one it was.
  size_t CrashAny() {
    const size_t at = chance_.Pick(processes_.size());
    processes_[at]->journal.set_error(absl::UnavailableError("crashed"));
    corpses_.push_back(std::move(processes_[at]));
    Start(at);
    (void)processes_[at]->runner.RecoverExpired(true, 100);
    return at;
  }

  // Now and every half second.
  void Housekeep() {
    for (auto& process : processes_) {
      (void)process->runner.RecoverExpired(false, 100);
      (void)process->runner.RenewLeases();
    }
    time_.At(time_.Steady() + absl::Milliseconds(500), [this] { Housekeep(); });
  }

  bool Unfinished() const {
    for (const auto& [id, row] : book_.rows) {
      if (IsUnfinished(row.record->state)) return true;
    }
    return false;
  }

 private:
  struct Process {
    Process(Processes& all, size_t at, int life)
        : journal(all.book_, all.store_clock_, {fmt::format("p{}", at), std::to_string(life), absl::Seconds(3)}),
          runner(all.kinds_, journal, all.time_, all.time_, all.chance_.random, observer, {.lease = absl::Seconds(3)}) {
      journal.set_in_gap([&all](Gap) {
        return all.chance_.OneIn(20) ? absl::UnavailableError("the answer is lost") : absl::OkStatus();
      });
      journal.set_defer(
          [&all](auto task) { all.time_.At(all.time_.Steady() + all.chance_.Milliseconds(0, 30), std::move(task)); });
    }
    MemoryJournal journal;
    Observer observer;
    Runner runner;
  };

  void Start(size_t at) { processes_[at] = std::make_unique<Process>(*this, at, ++lives_); }

  MemoryBook& book_;
  const Kinds& kinds_;
  waybill::testing::ManualTime& time_;
  const Clock& store_clock_;
  Chance& chance_;
  int lives_ = 0;
  std::vector<std::unique_ptr<Process>> processes_, corpses_;
};

}  // namespace waybill::saga::testing

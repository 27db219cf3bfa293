// A deterministic simulation: several processes on one book, a gateway that loses, delays, repeats and answers hours
// later by a signal (early, twice or never), crashes at any moment, one seed. Whatever happens, the money and the
// drivers must add up; and the same seed must tell the same story.
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "tests/saga/processes.h"
#include "tests/support/long_forms.h"

namespace waybill::saga {
namespace {

struct Job {
  static constexpr std::string_view kKind = "job";

  std::string driver;
  struct Effects {
    bool claim = false;
    bool release = false;
  };
  Effects effects;
};

// Keeps the gateway's contract: one charge a key, one refund a key, and a refund closes the key. But what it answers to
// a repetition while the first call is under way is a refusal, now and then, that says nothing about the first one.
struct Gateway {
  struct Account {
    int charged = 0;
    int refunded = 0;
    bool closed = false;
    bool declined = false;
    int under_way = 0;
  };
  std::map<std::string, Account> accounts;

  bool Charge(const std::string& key, bool decline) {
    Account& account = accounts[key];
    if (account.charged > 0) return true;
    if (account.closed || account.declined) return false;
    (decline ? account.declined : account.closed) = decline;
    if (decline) return false;
    account.charged = 1;
    return true;
  }
  void Refund(const std::string& key) {
    Account& account = accounts[key];
    account.closed = true;
    if (account.charged > account.refunded) account.refunded = 1;
  }
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed, bool somebody_sets_the_wall_clock = false) : chance_(seed), wall_hand_(seed) {
    if (somebody_sets_the_wall_clock) SetWall();
    testing::MemoryKind& kind = book_.kinds[std::string(Job::kKind)];
    kind.apply_effects = [this](const Record& record) { return Book(As<Job>(record)); };
    // What some jobs claim is refused for good.
    kind.can_hold = [](const Record& record) {
      return !As<Job>(record).payload.effects.claim || record.id.bytes[15] % 8 != 0;
    };
    RetryPolicy retry{
        .attempts_max = 3, .retry_for = absl::Seconds(3), .attention_after = 3, .undo_backoff_max = absl::Seconds(5)};
    kinds_ = Kinds({Define<Job>()
                        .Step("charge")
                        .Does(Call(&Simulation::Charge))
                        .UndoneBy(Call(&Simulation::Refund))
                        .ClosedBy(Call(&Simulation::Confirm))
                        .Retried(retry)
                        .Step("assign")
                        .Does(Call(&Simulation::Assign, true))
                        .UndoneBy(Call(&Simulation::Release, true))
                        .Retried(retry)
                        .Done()});
    processes_.emplace(book_, kinds_, time_, store_clock_, chance_, 3);
  }

  void Run() {
    for (int i = 0; i < 40; ++i) {
      time_.At(time_.Steady() + chance_.Milliseconds(0, 20'000), [this] { StartSaga(); });
    }
    for (int i = 0; i < 6; ++i) {
      time_.At(time_.Steady() + chance_.Milliseconds(0, 25'000), [this] { Crash(); });
    }
    for (int i = 0; i < 8; ++i) {
      time_.At(time_.Steady() + chance_.Milliseconds(0, 25'000), [this] { Cancel(); });
    }
    for (int i = 0; i < 8; ++i) {
      time_.At(time_.Steady() + chance_.Milliseconds(5'000, 25'000), [this] { Close(); });
    }
    processes_->Housekeep();
    for (int events = 0; events < 200'000 && (time_.Steady() < start_ + absl::Minutes(1) || processes_->Unfinished());
         ++events) {
      if (!time_.RunNext()) break;
    }
  }

  // What is wrong with the books at the end; empty: nothing.
  std::string Verdict() const {
    std::map<std::string, int> busy;
    for (const auto& [id, row] : book_.rows) {
      const std::string name = id.ToString();
      auto it = gateway_.accounts.find(name + "/charge");
      Gateway::Account account = it == gateway_.accounts.end() ? Gateway::Account{} : it->second;
      switch (row.record->state) {
        case State::kSucceeded:
          if (account.charged - account.refunded != 1) return name + " succeeded, but its money is not here";
          if (!drivers_.contains(name)) return name + " succeeded without a driver";
          break;
        case State::kClosed:
          if (account.charged - account.refunded != 1) return name + " was closed, but its money is not here";
          if (!told_.contains(name + "/charge")) return name + " was closed, and nobody was told";
          break;
        case State::kCompensated:
          if (account.charged != account.refunded) return name + " was compensated, but its money is not back";
          if (drivers_.contains(name)) return name + " was compensated, but holds a driver";
          break;
        default:
          return fmt::format("{} is still {}", name, Name(row.record->state));
      }
      State before = State::kRunning;
      for (const LogEntry& entry : row.log) {
        if (entry.state < before) return name + " went back";
        before = entry.state;
      }
    }
    for (const auto& [job, driver] : drivers_) {
      if (++busy[driver] > 1) return driver + " holds two jobs";
    }
    return "";
  }

  const std::string& story() const { return story_; }
  size_t sagas() const { return book_.rows.size(); }

 private:
  using Method = void (Simulation::*)(const Attempt&, Job&, OutcomeCallback&);
  Action<Job> Call(Method method, bool journaled = false) {
    return {
        [this, method](const Attempt& attempt, Job& job, OutcomeCallback done) { (this->*method)(attempt, job, done); },
        journaled};
  }

  void Tell(std::string_view line) {
    story_ += fmt::format("{} {}\n", absl::ToInt64Milliseconds(time_.Steady() - start_), line);
  }

  void Crash() { Tell(fmt::format("crash {}", processes_->CrashAny())); }

  void StartSaga() {
    auto record = std::make_unique<RecordOf<Job>>();
    record->id = ids_.Next();
    record->created_at = time_.Now();
    started_.push_back(record->id);
    Tell("start " + record->id.ToString());
    processes_->Any().Start(
        std::move(record), [](auto) {}, [](auto) {});
  }

  void Cancel() {
    if (started_.empty()) return;
    const Uuid& id = started_[chance_.Pick(started_.size())];
    Tell("cancel " + id.ToString());
    processes_->Any().Direct(id, {Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
  }

  void Close() {
    if (started_.empty()) return;
    const Uuid& id = started_[chance_.Pick(started_.size())];
    Tell("close " + id.ToString());
    processes_->Any().Direct(id, {Directive::Kind::kClose, ""}, nullptr, [](auto) {});
  }

  void SetWall() {
    const auto hours = static_cast<int64_t>(wall_hand_.Next() % 9) - 4;
    time_.SetWall(time_.Now() + absl::Hours(hours));
    time_.At(time_.Steady() + absl::Seconds(1), [this] { SetWall(); });
  }

  // Executes now or late, and answers in time, late or never.
  void Remote(const Attempt& attempt, std::function<Outcome()> execute, OutcomeCallback done) {
    Tell("call " + attempt.Key());
    absl::Duration there = chance_.OneIn(6) ? chance_.Milliseconds(2'000, 9'000) : chance_.Milliseconds(1, 50);
    bool lost = chance_.OneIn(6);
    if (lost) {
      time_.At(attempt.deadline, [done = std::move(done)]() mutable { done(Outcome::Unknown("LOST")); });
      if (chance_.OneIn(2)) time_.At(time_.Steady() + there, [execute] { execute(); });
      return;
    }
    if (time_.Steady() + there >= attempt.deadline) {
      time_.At(attempt.deadline, [done = std::move(done)]() mutable { done(Outcome::Unknown("TIMEOUT")); });
      time_.At(time_.Steady() + there, [execute] { execute(); });
      return;
    }
    time_.At(time_.Steady() + there, [execute, done = std::move(done)]() mutable { done(execute()); });
  }

  // Answers Later, executes some time after (or before the answer arrives), and says so: to any process, once, twice or
  // never.
  void RemoteLater(const Attempt& attempt, Direction direction, std::function<Outcome()> execute,
                   OutcomeCallback done) {
    Tell("later " + attempt.Key());
    time_.At(time_.Steady() + chance_.Milliseconds(0, 8'000),
             [this, id = attempt.saga_id, step = std::string(attempt.step), direction, execute = std::move(execute)] {
               const Signal signal{step, direction, "pi_1", execute()};  // as gateways do: one name both ways
               Say(id, signal);
               if (chance_.OneIn(3))
                 time_.At(time_.Steady() + chance_.Milliseconds(0, 4'000), [this, id, signal] { Say(id, signal); });
             });
    const absl::Time until = store_clock_.Now() + chance_.Milliseconds(500, 6'000);
    Remote(
        attempt, [until] { return Outcome::Later("pi_1", until); }, std::move(done));
  }
  void Say(const Uuid& id, const Signal& signal) {
    if (chance_.OneIn(4)) return;
    auto result = processes_->Any().AddSignal(id, signal);
    Tell(fmt::format("signal {} {} {}", id.ToString(), WaitName(signal.step, signal.direction, signal.token),
                     result.ok() ? Name(*result) : "lost"));
  }

  void Charge(const Attempt& attempt, Job&, OutcomeCallback& done) {
    bool decline = chance_.OneIn(8);
    Gateway::Account& account = gateway_.accounts[attempt.Key()];
    if (account.under_way > 0 && chance_.OneIn(3)) {
      Tell("refuse a repetition " + attempt.Key());
      time_.At(time_.Steady() + chance_.Milliseconds(1, 50),
               [done = std::move(done)]() mutable { done(Outcome::Rejected("IN_PROGRESS")); });
      return;
    }
    ++account.under_way;
    auto execute = [this, &account, key = attempt.Key(), decline] {
      --account.under_way;
      return gateway_.Charge(key, decline) ? Outcome::Succeeded() : Outcome::Rejected("DECLINED");
    };
    if (chance_.OneIn(4)) {
      RemoteLater(attempt, Direction::kDo, std::move(execute), std::move(done));
    } else {
      Remote(attempt, std::move(execute), std::move(done));
    }
  }
  void Refund(const Attempt& attempt, Job&, OutcomeCallback& done) {
    auto execute = [this, key = attempt.Key()] {
      gateway_.Refund(key);
      return Outcome::Succeeded();
    };
    if (chance_.OneIn(4)) {
      RemoteLater(attempt, Direction::kUndo, std::move(execute), std::move(done));
    } else {
      Remote(attempt, std::move(execute), std::move(done));
    }
  }
  void Confirm(const Attempt& attempt, Job&, OutcomeCallback& done) {
    Remote(
        attempt,
        [this, key = attempt.Key()] {
          told_.insert(key);
          return Outcome::Succeeded();
        },
        std::move(done));
  }
  void Assign(const Attempt&, Job& job, OutcomeCallback& done) {
    if (chance_.OneIn(6)) {
      done(Outcome::Rejected("NO_DRIVER"));
      return;
    }
    job.driver = fmt::format("driver-{}", chance_.Pick(60));
    job.effects.claim = true;
    done(Outcome::Succeeded());
  }
  void Release(const Attempt&, Job& job, OutcomeCallback& done) {
    job.effects.claim = false;
    job.effects.release = true;
    done(Outcome::Succeeded());
  }

  bool Book(const RecordOf<Job>& record) {
    const std::string job = record.id.ToString();
    if (record.payload.effects.release) drivers_.erase(job);
    if (!record.payload.effects.claim) return true;
    for (const auto& [other, driver] : drivers_) {
      if (driver == record.payload.driver && other != job) return false;
    }
    drivers_[job] = record.payload.driver;
    return true;
  }

  waybill::testing::ManualTime time_;
  const SteadyTime start_ = time_.Steady();
  waybill::testing::DistantClock store_clock_{time_};
  testing::Chance chance_;
  SeededRandom wall_hand_;
  IdGenerator ids_{store_clock_, chance_.random};
  testing::MemoryBook book_;
  Gateway gateway_;
  std::map<std::string, std::string> drivers_;  // job -> driver
  std::set<std::string> told_;                  // keys of charges that are for good
  Kinds kinds_{{}};
  std::vector<Uuid> started_;
  std::string story_;
  std::optional<testing::Processes> processes_;
};

int Seeds() { return ::waybill::testing::LongForms() ? 5'000 : 150; }

TEST(Simulation, TheBooksAddUpWhateverHappens) {
  std::set<SignalResult> met;
  for (int seed = 1; seed <= Seeds(); ++seed) {
    Simulation simulation(static_cast<uint64_t>(seed));
    simulation.Run();
    ASSERT_EQ(simulation.Verdict(), "") << "replay with seed " << seed << ":\n" << simulation.story();
    ASSERT_GT(simulation.sagas(), 20u);
    for (SignalResult result :
         {SignalResult::kWoken, SignalResult::kKept, SignalResult::kRepeated, SignalResult::kLate}) {
      if (simulation.story().find(fmt::format(" {}\n", Name(result))) != std::string::npos) met.insert(result);
    }
  }
  EXPECT_EQ(met.size(), 4u) << "a signal comes before the wait, in it, twice and too late";
}

TEST(Simulation, OneSeedTellsOneStory) {
  Simulation first(42), second(42), other(43);
  first.Run();
  second.Run();
  other.Run();
  EXPECT_EQ(first.story(), second.story());
  EXPECT_NE(first.story(), other.story());
}

TEST(Simulation, WhoSetsTheWallClockChangesNoStory) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation still(seed), set(seed, true);
    still.Run();
    set.Run();
    ASSERT_EQ(set.Verdict(), "");
    ASSERT_EQ(set.story(), still.story()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace waybill::saga

// Processes of an older and of a newer release side by side: each saga goes by the steps it began with.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"

namespace waybill::saga {
namespace {

using ::testing::ElementsAre;

struct Parcel {
  static constexpr std::string_view kKind = "parcel";
  struct Effects {};
  Effects effects;
};

class VersionsTest : public ::testing::Test {
 protected:
  struct Process {
    Process(VersionsTest& test, const std::string& name, Kinds of)
        : kinds(std::move(of)),
          journal(test.book_, test.time_, {name, "1", absl::Seconds(10)}),
          runner(kinds, journal, test.time_, test.time_, test.random_, observer, {}) {
      journal.set_kinds(&kinds);
    }
    Kinds kinds;
    testing::MemoryJournal journal;
    Observer observer;
    Runner runner;
  };

  // Each call is remembered; a step "pick" answers Later.
  Definition Define(int version, const std::vector<std::string>& steps, bool begins = true) {
    DefinitionBuilder<Parcel> builder;
    builder.Version(version);
    if (!begins) builder.NotBegunYet();
    for (const std::string& step : steps) {
      builder.Step(step)
          .Does({[this](const Attempt& attempt, Parcel&, OutcomeCallback done) {
            calls_.emplace_back(attempt.step);
            done(attempt.step == "pick" ? Outcome::Later("p-1", time_.Now() + absl::Hours(1)) : Outcome::Succeeded());
          }})
          .UndoneBy({[this](const Attempt& attempt, Parcel&, OutcomeCallback done) {
            calls_.push_back("undo " + std::string(attempt.step));
            done(Outcome::Succeeded());
          }});
    }
    return builder.Done();
  }
  Kinds Old() { return Kinds({Define(1, {"pick", "send"})}); }
  Kinds Both(bool begins = true) {
    return Kinds({Define(1, {"pick", "send"}), Define(2, {"weigh", "pick", "send"}, begins)});
  }
  Uuid Start(Process& process) {
    auto record = std::make_unique<RecordOf<Parcel>>();
    record->id = ids_.Next();
    record->created_at = time_.Now();
    const Uuid id = record->id;
    process.runner.Start(
        std::move(record), [](auto) {}, [](auto) {});
    return id;
  }
  SignalResult Picked(Process& process, const Uuid& id) {
    auto result = process.runner.AddSignal(id, {"pick", Direction::kDo, "p-1", Outcome::Succeeded()});
    EXPECT_TRUE(result.ok()) << result.status();
    return result.value_or(SignalResult::kLate);
  }
  const Record& Row(const Uuid& id) { return *book_.rows.at(id).record; }

  waybill::testing::ManualTime time_;
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  testing::MemoryBook book_;
  std::vector<std::string> calls_;
};

TEST_F(VersionsTest, ASagaGoesByTheStepsItBeganWith) {
  Process old(*this, "old", Old()), both(*this, "both", Both());
  const Uuid first = Start(old);
  EXPECT_EQ(Picked(both, first), SignalResult::kWoken);
  EXPECT_EQ(Row(first).state, State::kSucceeded);
  EXPECT_EQ(Row(first).version, 1);
  EXPECT_THAT(calls_, ElementsAre("pick", "send"));

  calls_.clear();
  const Uuid second = Start(both);
  EXPECT_EQ(Row(second).version, 2);
  EXPECT_EQ(Picked(both, second), SignalResult::kWoken);
  EXPECT_EQ(Row(second).state, State::kSucceeded);
  EXPECT_THAT(calls_, ElementsAre("weigh", "pick", "send"));
}

TEST_F(VersionsTest, AnOlderProcessLeavesItAlone) {
  Process old(*this, "old", Old()), both(*this, "both", Both());
  const Uuid id = Start(both);
  time_.Advance(absl::Hours(2));
  EXPECT_EQ(*old.runner.RecoverExpired(false, 10), 0u);
  absl::Status refused;
  old.runner.Direct(id, {Directive::Kind::kCancel, ""}, nullptr, [&](auto settled) { refused = settled.status(); });
  EXPECT_EQ(GetErrorDetail(refused).reason, "SAGA_NOT_DRIVEN_HERE");
  EXPECT_EQ(Row(id).epoch, 1);
  calls_.clear();
  EXPECT_EQ(Picked(both, id), SignalResult::kWoken);
  EXPECT_EQ(Row(id).state, State::kSucceeded);
  both.runner.Direct(id, {Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
  EXPECT_THAT(calls_, ElementsAre("send", "undo send", "undo pick", "undo weigh"));
  old.runner.Direct(id, {Directive::Kind::kCancel, ""}, nullptr, [&](auto settled) { refused = settled.status(); });
  EXPECT_EQ(GetErrorDetail(refused).reason, "SAGA_NOT_DRIVEN_HERE") << "also when it has ended";
}

TEST_F(VersionsTest, AVersionIsDrivenBeforeItIsBegun) {
  Process learns(*this, "learns", Both(false)), begins(*this, "begins", Both());
  EXPECT_EQ(Row(Start(learns)).version, 1);
  const Uuid newer = Start(begins);
  EXPECT_EQ(Row(newer).version, 2);
  EXPECT_EQ(Picked(learns, newer), SignalResult::kWoken);
  EXPECT_EQ(Row(newer).state, State::kSucceeded);
}

}  // namespace
}  // namespace waybill::saga

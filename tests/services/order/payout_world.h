// Payouts from one account over books in memory, on a clock that moves only when told to. Whatever happens to them:
// what leaves the account is what the gateway sends, and nothing is held that is not asked for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/ids.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"
#include "runtime/testing/scheduled_executor.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "services/order/payout_api.h"
#include "services/order/testing/fake_payout_gateway.h"
#include "storage/testing/memory_payout_book.h"

namespace waybill::order {

class PayoutWorld : public ::testing::Test {
 protected:
  using Result = absl::StatusOr<PayoutApi::Answer>;

  // One of several on the same books. What its definitions refer to outlives it.
  struct Process {
    Process(PayoutWorld& world, std::vector<saga::Definition> definitions, const std::string& name, bool open = true,
            OrderApiOptions options = {})
        : kinds(std::move(definitions)),
          journal(world.book_, world.time_, {name, "1", absl::Seconds(10)}),
          runner(kinds, journal, world.time_, world.time_, world.random_, observer, {}),
          api(runner, world.store_, world.workers_, world.workers_, world.time_, world.time_, world.ids_, open,
              options) {
      journal.set_kinds(&kinds);
    }
    saga::Kinds kinds;
    saga::testing::MemoryJournal journal;
    saga::Observer observer;
    saga::Runner runner;
    PayoutApi api;
  };

  PayoutWorld() {
    payouts_.Open("shop", "driver", "EUR");
    payouts_.Deposit("shop", "driver", 1000);
  }
  ~PayoutWorld() override {
    int64_t open = 0;
    for (const auto& [id, row] : book_.rows) {
      const storage::PayoutRecord& record = saga::As<domain::Payout>(*row.record);
      if (record.payload.state == domain::Payout::State::kOpen) open += record.payload.amount_minor;
    }
    EXPECT_EQ(Held(), open);
    if (open == 0) {
      EXPECT_EQ(payouts_.Get("shop", "driver").balance_minor, 1000 - gateway_.PaidMinor());
    }
  }

  std::shared_ptr<std::optional<Result>> Ask(Process& process, NewPayout asked,
                                             absl::Duration timeout = absl::InfiniteDuration()) {
    auto answered = std::make_shared<std::optional<Result>>();
    absl::StatusOr<domain::Payout> payout = TakeNewPayout("shop", std::move(asked));
    EXPECT_TRUE(payout.ok()) << payout.status();
    process.api.Create(*std::move(payout), {}, time_.Steady() + timeout,
                       process.api.Expect([answered](Result result) { *answered = std::move(result); }));
    return answered;
  }
  Result Await(const std::shared_ptr<std::optional<Result>>& answered) {
    for (int i = 0; i < 10'000 && !*answered; ++i) time_.Advance(absl::Milliseconds(100));
    return *answered ? **answered : absl::UnknownError("not answered");
  }
  storage::PayoutRecord Stored(const std::string& id) { return *store_.Find("shop", id); }
  int64_t Held() const { return payouts_.Get("shop", "driver").held_minor; }

  waybill::testing::ManualTime time_;
  waybill::testing::ScheduledExecutor workers_{time_, time_, 1'000, [] { return absl::ZeroDuration(); }};
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  saga::testing::MemoryBook book_;
  storage::testing::MemoryPayouts payouts_{book_};
  storage::testing::FakePayoutStore store_{book_, payouts_};
  testing::FakePayoutGateway gateway_;
};

}  // namespace waybill::order

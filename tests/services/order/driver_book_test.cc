#include "services/order/driver_book.h"

#include <map>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/random.h"

namespace waybill::order {
namespace {

constexpr absl::Duration kFresh = absl::Seconds(10);

class DriverBookTest : public ::testing::Test {
 protected:
  static Uuid Order(int number) {
    Uuid id;
    id.bytes[14] = static_cast<uint8_t>(number >> 8);
    id.bytes[15] = static_cast<uint8_t>(number);
    return id;
  }
  // What the journal says, in pieces of one.
  void Check(const std::string& driver_id, const domain::DriverLoad& load) {
    book_.BeginCheck();
    book_.Check(driver_id, load, now_);
    book_.EndCheck();
  }
  void Reconcile(const std::vector<domain::DriverSlot>& taken, const std::vector<domain::DriverSlot>& capacities = {}) {
    book_.BeginReconcile(capacities, now_);
    for (const domain::DriverSlot& slot : taken) book_.Reconcile(&slot, 1);
    while (book_.EndReconcile(true, now_)) {
    }
  }

  SeededRandom random_{7};
  SteadyTime now_;
  DriverBook book_{random_, kFresh};
};

TEST_F(DriverBookTest, GivesEachOrderADriverOfItsOwn) {
  for (int i = 0; i < 100; ++i) book_.Offer("driver" + std::to_string(i), now_);
  std::set<std::string> picked;
  for (int i = 0; i < 100; ++i) {
    auto slot = book_.PickAny(Order(i), now_);
    ASSERT_TRUE(slot.has_value());
    EXPECT_EQ(slot->slot, 1);
    EXPECT_TRUE(picked.insert(slot->driver_id).second);
  }
  EXPECT_FALSE(book_.PickAny(Order(100), now_).has_value());
  EXPECT_EQ(book_.taken(), 100u);
}

TEST_F(DriverBookTest, ADriverOffDutyIsNotPickedUntilTheJournalSaysOtherwise) {
  EXPECT_TRUE(book_.all_free());
  book_.Offer("ann", now_);
  Check("ann", {0, {}});
  EXPECT_FALSE(book_.all_free());
  EXPECT_FALSE(book_.PickAny(Order(1), now_).has_value());
  EXPECT_FALSE(book_.Pick(Order(1), "ann", now_).has_value());
  book_.Offer("ann", now_);
  EXPECT_EQ(book_.pool_size(), 0u);
  Check("ann", {0, {}});
  Check("ann", {1, {}});
  EXPECT_TRUE(book_.all_free());
  book_.Offer("ann", now_);
  EXPECT_TRUE(book_.Pick(Order(1), "ann", now_).has_value());
  book_.Durable(Order(1), now_);

  Reconcile({{"ann", 1}}, {{"ann", 0}, {"bob", 0}});
  book_.Release(Order(1), {"ann", 1}, now_);
  book_.Durable(Order(1), now_);
  EXPECT_FALSE(book_.PickAny(Order(2), now_).has_value()) << "what he held is given back, and he is off duty";
  EXPECT_FALSE(book_.all_free());
  Reconcile({});
  EXPECT_TRUE(book_.all_free());
  book_.Offer("ann", now_);
  EXPECT_TRUE(book_.PickAny(Order(2), now_).has_value());
}

// The journal may say that a slot is free before its release is known to be durable here.
TEST_F(DriverBookTest, ASlotThatIsBeingReleasedDuringACheckIsFreedOnce) {
  book_.Offer("ann", now_);
  ASSERT_TRUE(book_.Pick(Order(1), "ann", now_));
  book_.Durable(Order(1), now_);
  for (bool whole : {false, true}) {
    if (whole) {
      book_.BeginReconcile({}, now_);
    } else {
      book_.BeginCheck();
    }
    book_.Release(Order(1), {"ann", 1}, now_);
    if (whole) {
      while (book_.EndReconcile(true, now_)) {
      }
    } else {
      book_.Check("ann", {}, now_);
      book_.EndCheck();
    }
    EXPECT_FALSE(book_.Pick(Order(2), "ann", now_)) << "her slot is given back when that is durable";
    book_.Durable(Order(1), now_);
    ASSERT_TRUE(book_.Pick(Order(1), "ann", now_));
    book_.Durable(Order(1), now_);
  }
}

TEST_F(DriverBookTest, DoesNotPickADriverThatWasLastSeenLongAgo) {
  book_.Offer("ann", now_);
  EXPECT_FALSE(book_.PickAny(Order(1), now_ + kFresh + absl::Seconds(1)).has_value());
  EXPECT_EQ(book_.pool_size(), 0u);
  book_.Offer("ann", now_ + kFresh + absl::Seconds(1));
  EXPECT_TRUE(book_.PickAny(Order(1), now_ + kFresh + absl::Seconds(2)).has_value());
}

TEST_F(DriverBookTest, FreesADroppedPickAtOnceAndAReleasedSlotWhenDurable) {
  book_.Offer("ann", now_);
  auto slot = book_.PickAny(Order(1), now_);
  EXPECT_TRUE(book_.Drop(Order(1), now_));
  EXPECT_FALSE(book_.Drop(Order(1), now_));

  slot = book_.PickAny(Order(2), now_);
  ASSERT_TRUE(slot.has_value());
  book_.Durable(Order(2), now_);
  EXPECT_FALSE(book_.Drop(Order(2), now_)) << "a durable pick is nobody's to drop";
  book_.Release(Order(2), *slot, now_);
  EXPECT_FALSE(book_.PickAny(Order(3), now_).has_value());
  book_.Durable(Order(2), now_);
  EXPECT_TRUE(book_.PickAny(Order(3), now_).has_value());
}

TEST_F(DriverBookTest, TakesALostDriverForTakenUntilTheJournalSaysOtherwise) {
  book_.Offer("ann", now_);
  book_.PickAny(Order(1), now_);
  book_.Lost(Order(1));
  EXPECT_FALSE(book_.PickAny(Order(1), now_).has_value());
  Reconcile({{"ann", 1}});
  EXPECT_FALSE(book_.PickAny(Order(1), now_).has_value());
  Reconcile({});
  EXPECT_TRUE(book_.PickAny(Order(1), now_).has_value());
}

TEST_F(DriverBookTest, AsksForTheLoadOfALostDriverThatSeemsToHaveRoom) {
  Reconcile({}, {{"van", 3}});
  book_.Pick(Order(1), "ann", now_);
  EXPECT_EQ(book_.Lost(Order(1)), std::nullopt) << "its only slot is somebody's";
  EXPECT_EQ(book_.Lost(Order(1)), std::nullopt) << "nothing is picked any more";
  book_.Pick(Order(2), "van", now_);
  EXPECT_EQ(book_.Lost(Order(2)), "van");
}

TEST_F(DriverBookTest, NeverOffersASlotAboveACapacityItWasToldOf) {
  Reconcile({}, {{"van", 3}});
  book_.Offer("van", now_);
  Check("van", {.capacity = 1, .taken = {}});
  EXPECT_EQ(book_.Pick(Order(1), "van", now_)->slot, 1);
  EXPECT_FALSE(book_.Pick(Order(2), "van", now_).has_value());
  Check("van", {.capacity = 3, .taken = {1, 2}});
  EXPECT_EQ(book_.Pick(Order(2), "van", now_)->slot, 3);
  Check("van", {.capacity = 1, .taken = {1, 2}});
  EXPECT_FALSE(book_.PickAny(Order(3), now_).has_value());
  EXPECT_EQ(book_.pool_size(), 0u);
}

TEST_F(DriverBookTest, TakesAndFreesWhatACheckSays) {
  book_.Offer("ann", now_);
  book_.Offer("bob", now_);
  Check("ann", {.capacity = 1, .taken = {1}});
  EXPECT_FALSE(book_.SeemsFree("ann"));
  EXPECT_TRUE(book_.SeemsFree("bob"));
  EXPECT_EQ(book_.PickAny(Order(1), now_)->driver_id, "bob");
  book_.Durable(Order(1), now_);
  EXPECT_EQ(book_.pool_size(), 0u);
  Check("ann", {.capacity = 1, .taken = {}});
  Check("bob", {.capacity = 1, .taken = {1}});
  EXPECT_EQ(book_.PickAny(Order(2), now_)->driver_id, "ann");
  EXPECT_FALSE(book_.PickAny(Order(3), now_).has_value());
}

TEST_F(DriverBookTest, ListsWhomAnybodyMayPick) {
  book_.Offer("ann", now_);
  book_.Offer("bob", now_);
  book_.Offer("cyn", now_);
  book_.Pick(Order(1), "bob", now_);
  EXPECT_THAT(book_.Pooled(), ::testing::UnorderedElementsAre("ann", "cyn"));
}

// The journal answers a while after it was asked, and does not know of a pick before its claim is durable.
TEST_F(DriverBookTest, KnowsBetterThanACheckWhatHappenedMeanwhile) {
  for (const char* id : {"picked before", "picked meanwhile", "freed meanwhile", "freed and forgotten"}) {
    book_.Offer(id, now_);
  }
  book_.Pick(Order(1), "picked before", now_);
  book_.Pick(Order(2), "freed meanwhile", now_);
  book_.Durable(Order(2), now_);
  book_.Release(Order(2), {"freed meanwhile", 1}, now_);
  now_ += kFresh + absl::Seconds(1);  // none is ready any more
  book_.Pick(Order(4), "freed and forgotten", now_);
  book_.BeginCheck();
  book_.Pick(Order(3), "picked meanwhile", now_);
  book_.Durable(Order(3), now_);
  book_.Durable(Order(2), now_);
  book_.Drop(Order(4), now_);
  book_.Check("picked before", {}, now_);
  book_.Check("picked meanwhile", {}, now_);
  book_.Check("freed meanwhile", {.capacity = 1, .taken = {1}}, now_);
  book_.Check("freed and forgotten", {.capacity = 1, .taken = {1}}, now_);
  book_.EndCheck();
  EXPECT_FALSE(book_.SeemsFree("picked before"));
  EXPECT_FALSE(book_.SeemsFree("picked meanwhile"));
  EXPECT_TRUE(book_.SeemsFree("freed meanwhile"));
  EXPECT_TRUE(book_.SeemsFree("freed and forgotten"));
  // The next one finds out.
  Check("picked meanwhile", {});
  EXPECT_TRUE(book_.SeemsFree("picked meanwhile"));
}

// A driver's other slots are in use all the time.
TEST_F(DriverBookTest, LearnsOfSlotsByACheckWhileAnotherSlotIsPicked) {
  Reconcile({}, {{"van", 3}});
  const int picked = book_.Pick(Order(1), "van", now_)->slot;
  std::vector<int> others;
  for (int slot = 1; slot <= 3; ++slot) {
    if (slot != picked) others.push_back(slot);
  }
  Check("van", {.capacity = 3, .taken = others});
  EXPECT_FALSE(book_.SeemsFree("van"));
  EXPECT_EQ(book_.taken(), 3u);
}

TEST_F(DriverBookTest, AReconciliationDoesNotUndoACheck) {
  book_.Offer("ann", now_);
  book_.BeginReconcile({}, now_);
  Check("ann", {.capacity = 1, .taken = {1}});
  while (book_.EndReconcile(true, now_)) {
  }
  EXPECT_FALSE(book_.SeemsFree("ann"));
  EXPECT_EQ(book_.taken(), 1u);
}

TEST_F(DriverBookTest, PicksAgainForTheSameOrderWithoutHoldingTheFirst) {
  EXPECT_TRUE(book_.Pick(Order(1), "ann", now_).has_value());
  EXPECT_TRUE(book_.Pick(Order(1), "bob", now_).has_value());
  EXPECT_EQ(book_.taken(), 1u);
  EXPECT_TRUE(book_.Pick(Order(2), "ann", now_).has_value());
  EXPECT_FALSE(book_.Pick(Order(3), "bob", now_).has_value());
}

TEST_F(DriverBookTest, FillsADriverToItsCapacity) {
  Reconcile({}, {{"bus", 130}});
  book_.Offer("bus", now_);
  std::set<int> slots;
  for (int i = 0; i < 130; ++i) {
    auto slot = book_.PickAny(Order(i), now_);
    ASSERT_TRUE(slot.has_value()) << i;
    EXPECT_GE(slot->slot, 1);
    EXPECT_LE(slot->slot, 130);
    EXPECT_TRUE(slots.insert(slot->slot).second);
  }
  EXPECT_FALSE(book_.PickAny(Order(130), now_).has_value());
  EXPECT_FALSE(book_.Pick(Order(130), "bus", now_).has_value());
  EXPECT_TRUE(book_.Drop(Order(64), now_));
  EXPECT_TRUE(book_.PickAny(Order(131), now_).has_value());
}

TEST_F(DriverBookTest, KnowsWhatTheJournalHoldsFromTheStart) {
  Reconcile({{"ann", 1}, {"bus", 2}}, {{"bus", 2}});
  EXPECT_EQ(book_.taken(), 2u);
  EXPECT_FALSE(book_.Pick(Order(1), "ann", now_).has_value());
  auto slot = book_.Pick(Order(1), "bus", now_);
  ASSERT_TRUE(slot.has_value());
  EXPECT_EQ(slot->slot, 1);
}

TEST_F(DriverBookTest, LearnsThatAnotherReplicaFreedADriver) {
  book_.Offer("ann", now_);
  book_.PickAny(Order(1), now_);
  book_.Durable(Order(1), now_);
  Reconcile({});  // completed elsewhere
  EXPECT_EQ(book_.taken(), 0u);
  EXPECT_TRUE(book_.PickAny(Order(2), now_).has_value());
}

TEST_F(DriverBookTest, ForgetsAShrunkCapacity) {
  Reconcile({}, {{"bus", 3}});
  EXPECT_TRUE(book_.Pick(Order(1), "bus", now_).has_value());
  book_.Durable(Order(1), now_);
  Reconcile({{"bus", 1}}, {});
  EXPECT_FALSE(book_.Pick(Order(2), "bus", now_).has_value());
}

// --- What happens here while the journal is being read counts more than what it said meanwhile.

TEST_F(DriverBookTest, KeepsAPickThatTheJournalDidNotKnowYet) {
  book_.Pick(Order(1), "ann", now_);
  book_.BeginReconcile({}, now_);
  book_.Pick(Order(2), "bob", now_);
  book_.Durable(Order(1), now_);  // after the journal was read
  while (book_.EndReconcile(true, now_)) {
  }
  EXPECT_FALSE(book_.Pick(Order(3), "ann", now_).has_value());
  EXPECT_FALSE(book_.Pick(Order(3), "bob", now_).has_value());
}

TEST_F(DriverBookTest, KeepsADriverFreeThatWasFreedWhileTheJournalWasRead) {
  book_.Pick(Order(1), "ann", now_);
  book_.Durable(Order(1), now_);
  book_.Release(Order(1), {"ann", 1}, now_);
  book_.BeginReconcile({}, now_);
  book_.Durable(Order(1), now_);
  domain::DriverSlot old{"ann", 1};
  book_.Reconcile(&old, 1);
  while (book_.EndReconcile(true, now_)) {
  }
  EXPECT_TRUE(book_.Pick(Order(2), "ann", now_).has_value());
}

TEST_F(DriverBookTest, FreesNothingWhenTheJournalCouldNotBeReadToItsEnd) {
  book_.Pick(Order(1), "ann", now_);
  book_.Durable(Order(1), now_);
  book_.BeginReconcile({}, now_);
  while (book_.EndReconcile(false, now_)) {
  }
  EXPECT_FALSE(book_.Pick(Order(2), "ann", now_).has_value());
}

TEST_F(DriverBookTest, DoesNotHoldOnToWhatAFencedOrderPickedOrReleased) {
  book_.Pick(Order(1), "ann", now_);
  book_.Forget(Order(1), now_);
  EXPECT_TRUE(book_.Pick(Order(2), "ann", now_).has_value());
  book_.Durable(Order(2), now_);
  book_.Release(Order(2), {"ann", 1}, now_);
  book_.Forget(Order(2), now_);
  EXPECT_FALSE(book_.Pick(Order(3), "ann", now_).has_value()) << "who knows whether it was released";
  Reconcile({});
  EXPECT_TRUE(book_.Pick(Order(3), "ann", now_).has_value());
}

TEST_F(DriverBookTest, GivesUpPicksThatNeverBecameDurable) {
  book_.Pick(Order(1), "ann", now_);  // and then another process took the saga over
  now_ += absl::Minutes(2);
  Reconcile({});
  EXPECT_TRUE(book_.Pick(Order(2), "ann", now_).has_value());
}

// A model that remembers everything naively must agree with the book, whatever happens in whatever order.
TEST_F(DriverBookTest, AgreesWithANaiveModel) {
  constexpr int kDrivers = 8;
  std::map<Uuid, domain::DriverSlot> picked, held, releasing;
  SeededRandom choice(99);
  auto is_taken = [&](const std::string& driver_id) {
    for (const auto* map : {&picked, &held, &releasing}) {
      for (const auto& [id, slot] : *map) {
        if (slot.driver_id == driver_id) return true;
      }
    }
    return false;
  };
  for (int step = 0; step < 20'000; ++step) {
    const Uuid order = Order(static_cast<int>(choice.Next() % 20));
    const std::string driver = "driver" + std::to_string(choice.Next() % kDrivers);
    switch (choice.Next() % 6) {
      case 0:
        book_.Offer(driver, now_);
        break;
      case 1:
        if (!picked.count(order) && !held.count(order) && !releasing.count(order)) {
          auto slot = book_.Pick(order, driver, now_);
          ASSERT_EQ(slot.has_value(), !is_taken(driver)) << step;
          if (slot) picked[order] = *slot;
        }
        break;
      case 2:
        if (!picked.count(order) && !held.count(order) && !releasing.count(order)) {
          auto slot = book_.PickAny(order, now_);
          if (slot) {
            ASSERT_FALSE(is_taken(slot->driver_id)) << step;
            picked[order] = *slot;
          }
        }
        break;
      case 3:
        ASSERT_EQ(book_.Drop(order, now_), picked.erase(order) > 0) << step;
        break;
      case 4:
        book_.Durable(order, now_);
        if (picked.count(order)) held[order] = picked[order];
        picked.erase(order);
        releasing.erase(order);
        break;
      case 5:
        if (held.count(order)) {
          book_.Release(order, held[order], now_);
          releasing[order] = held[order];
          held.erase(order);
        }
        break;
    }
    if (step % 100 == 0) {
      std::vector<domain::DriverSlot> journal;
      for (const auto* map : {&held, &releasing}) {
        for (const auto& [id, slot] : *map) journal.push_back(slot);
      }
      Reconcile(journal);
    }
    ASSERT_EQ(book_.taken(), picked.size() + held.size() + releasing.size()) << step;
  }
}

}  // namespace
}  // namespace waybill::order

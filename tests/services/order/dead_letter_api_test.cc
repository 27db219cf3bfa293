#include "services/order/dead_letter_api.h"

#include <string>
#include <utility>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/testing/memory_dead_letters.h"
#include "tests/services/order/order_world.h"

namespace waybill::order {
namespace {

using storage::DeadLetterFilter;
using storage::DeadLetterKind;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class DeadLetterApiTest : public ::testing::Test {
 protected:
  // The older, the smaller its number.
  void Add(int number, std::string blocked = "") {
    storage::DeadLetter letter;
    letter.id = fmt::format("event/acme/{}", number);
    letter.gateway = "acme";
    letter.since = world_.time.Now() - absl::Minutes(60 - number);
    letter.blocked = std::move(blocked);
    letters_.Add(std::move(letter));
  }
  static DeadLetterFilter Events() { return {.kind = DeadLetterKind::kEvent}; }
  static DeadLetterFilter Of(const std::string& id) {
    DeadLetterFilter filter;
    filter.key = storage::ParseDeadLetterId(id);
    return filter;
  }
  static std::string Reason(const absl::Status& status) { return GetErrorDetail(status).reason; }

  SharedWorld world_;
  Replica a_{world_};
  storage::testing::MemoryDeadLetters letters_;
  DeadLetterApi api_{letters_, a_.sagas, world_.time};
  const domain::Actor ops_{"ops", "key-1", "ada"};
};

TEST_F(DeadLetterApiTest, RedrivesAtARateAndSaysWhatIsLeft) {
  for (int i = 0; i < 5; ++i) Add(i);
  Add(5, "ENDPOINT_DISABLED");
  const auto redriven = api_.Redrive(Events(), /*per_second=*/4, /*limit=*/3, std::nullopt, ops_);
  ASSERT_TRUE(redriven.ok()) << redriven.status();
  EXPECT_EQ(redriven->redriven, 3);
  EXPECT_EQ(redriven->left, 2);
  EXPECT_EQ(redriven->blocked, 1);
  EXPECT_EQ(redriven->as_of, world_.time.Now());
  EXPECT_THAT(letters_.apart(), ElementsAre(absl::Milliseconds(250)));
  ASSERT_THAT(letters_.deeds(), SizeIs(3));
  EXPECT_EQ(letters_.deeds().front().by, ops_);
  EXPECT_EQ(letters_.deeds().front().subject, "event/acme/0");
}

// What dies again while a bulk is on its way is left to the next one.
TEST_F(DeadLetterApiTest, ABulkIsOfWhatWasDeadWhenItBegan) {
  Add(1);
  const absl::Time began = world_.time.Now();
  world_.time.Advance(absl::Minutes(90));
  Add(2);
  const auto redriven = api_.Redrive(Events(), 0, 0, began, ops_);
  ASSERT_TRUE(redriven.ok()) << redriven.status();
  EXPECT_EQ(redriven->redriven, 1);
  EXPECT_EQ(redriven->left, 0);
  EXPECT_THAT(*letters_.List({}, std::nullopt, 10), SizeIs(1));
}

TEST_F(DeadLetterApiTest, OfASingleOneSaysWhyNot) {
  Add(1, "ENDPOINT_DISABLED");
  EXPECT_EQ(Reason(api_.Redrive(Of("event/acme/1"), 0, 0, std::nullopt, ops_).status()), "ENDPOINT_DISABLED");
  EXPECT_EQ(Reason(api_.Redrive(Of("event/acme/2"), 0, 0, std::nullopt, ops_).status()), "DEAD_LETTER_NOT_FOUND");
  EXPECT_EQ(Reason(api_.Discard(Of("event/acme/2"), "why", 0, std::nullopt, ops_).status()), "DEAD_LETTER_NOT_FOUND");
  EXPECT_TRUE(api_.Discard(Of("event/acme/1"), "why", 0, std::nullopt, ops_).ok());
}

TEST_F(DeadLetterApiTest, NothingIsDoneToAllThereIsUnlessItIsSaid) {
  Add(1);
  EXPECT_EQ(Reason(api_.Redrive({}, 0, 0, std::nullopt, ops_).status()), "BAD_REQUEST");
  EXPECT_EQ(Reason(api_.Discard({}, "why", 0, std::nullopt, ops_).status()), "BAD_REQUEST");
  EXPECT_EQ(Reason(api_.Discard(Events(), "", 0, std::nullopt, ops_).status()), "BAD_REQUEST");
  EXPECT_EQ(Reason(api_.Redrive(Events(), 1'001, 0, std::nullopt, ops_).status()), "BAD_REQUEST");
  EXPECT_EQ(Reason(api_.Redrive(Events(), 0, 1'001, std::nullopt, ops_).status()), "BAD_REQUEST");
  EXPECT_THAT(letters_.deeds(), SizeIs(0));
  EXPECT_THAT(*letters_.List({}, std::nullopt, 10), SizeIs(1));
}

}  // namespace
}  // namespace waybill::order

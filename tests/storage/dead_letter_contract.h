// What every DeadLetterStore does; run against the one in memory and against Postgres.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/dead_letters.h"

namespace waybill::storage {

inline constexpr char kLetterEndpoint[] = "00000000-0000-7000-8000-0000000000e1";
inline constexpr char kLetterOrder[] = "00000000-0000-7000-8000-000000000001";

class DeadLetterHarness {
 public:
  virtual ~DeadLetterHarness() = default;
  virtual DeadLetterStore& store() = 0;  // empty
  virtual absl::Time Now() = 0;
  // "event/acme/<id>", dead for so long.
  virtual void AddEvent(const std::string& id, const std::string& cause, int minutes_ago) = 0;
  // "delivery/<kLetterEndpoint>/<id>" of the client "shop"; at most one. Blocked while the endpoint is disabled.
  virtual void AddDelivery(const std::string& id, bool enabled, int minutes_ago) = 0;
  virtual void AddSaga() = 0;                    // "saga/<kLetterOrder>" of "shop", for 10 minutes; at most one
  virtual std::vector<std::string> Deeds() = 0;  // in the audit: "action subject"
};

// What operators do to a store, whichever it is.
class DeadLetterActs {
 protected:
  ~DeadLetterActs() = default;
  virtual DeadLetterStore& store() = 0;

  int Redrive(const DeadLetterFilter& filter, int limit = 100) {
    const absl::StatusOr<int> redriven = store().Redrive(filter, limit, absl::Seconds(10), Did("redrive"));
    EXPECT_TRUE(redriven.ok()) << redriven.status();
    return redriven.value_or(-1);
  }
  int Discard(const DeadLetterFilter& filter, int limit = 100) {
    const absl::StatusOr<int> discarded = store().Discard(filter, limit, "ticket 812", Did("discard"));
    EXPECT_TRUE(discarded.ok()) << discarded.status();
    return discarded.value_or(-1);
  }
  static domain::Deed Did(const std::string& what) {
    return {{"ops", "", "ada"}, "dead_letter." + what, "dead_letter", "", {{"reason", "ticket 812"}}};
  }
  static DeadLetterFilter Of(const std::string& id) {
    DeadLetterFilter filter;
    filter.key = ParseDeadLetterId(id);
    EXPECT_TRUE(filter.key) << id;
    return filter;
  }
};

class DeadLetterContract : public ::testing::TestWithParam<std::function<std::unique_ptr<DeadLetterHarness>()>>,
                           protected DeadLetterActs {
 protected:
  DeadLetterStore& store() override { return harness_->store(); }
  std::vector<std::string> List(const DeadLetterFilter& filter = {}, int limit = 100) {
    const absl::StatusOr<std::vector<DeadLetter>> found = store().List(filter, std::nullopt, limit);
    EXPECT_TRUE(found.ok()) << found.status();
    std::vector<std::string> ids;
    for (const DeadLetter& letter : found.value_or(std::vector<DeadLetter>())) ids.push_back(letter.id);
    return ids;
  }
  const std::string delivery_ = fmt::format("delivery/{}/evt_1", kLetterEndpoint);
  const std::string saga_ = fmt::format("saga/{}", kLetterOrder);

  std::unique_ptr<DeadLetterHarness> harness_ = GetParam()();
};

TEST_P(DeadLetterContract, ListsTheLongestDeadFirstByWhatIsAskedFor) {
  harness_->AddSaga();
  harness_->AddEvent("young", "UNKNOWN_PAYMENT", 20);
  harness_->AddEvent("old", "AMOUNT_MISMATCH", 40);
  harness_->AddDelivery("evt_1", /*enabled=*/true, 30);
  using ::testing::ElementsAre;
  EXPECT_THAT(List(), ElementsAre("event/acme/old", delivery_, "event/acme/young", saga_));
  EXPECT_THAT(List({}, 2), ElementsAre("event/acme/old", delivery_));
  EXPECT_THAT(List({.kind = DeadLetterKind::kEvent}), ElementsAre("event/acme/old", "event/acme/young"));
  DeadLetterFilter filter;
  filter.cause = "UNKNOWN_PAYMENT";
  EXPECT_THAT(List(filter), ElementsAre("event/acme/young"));
  filter = {};
  filter.gateway = "acme";
  filter.since_max = harness_->Now() - absl::Minutes(35);
  EXPECT_THAT(List(filter), ElementsAre("event/acme/old"));
  filter = {};
  filter.client = "shop";
  EXPECT_THAT(List(filter), ElementsAre(delivery_, saga_));
  filter.endpoint_id = Uuid::Parse(kLetterEndpoint);
  EXPECT_THAT(List(filter), ElementsAre(delivery_));
  EXPECT_THAT(List(Of(delivery_)), ElementsAre(delivery_));
  EXPECT_THAT(List(Of("event/acme/another")), ElementsAre());

  std::vector<std::string> paged;
  std::optional<std::pair<absl::Time, std::string>> after;
  while (paged.size() < 10) {
    const absl::StatusOr<std::vector<DeadLetter>> page = store().List({}, after, 1);
    ASSERT_TRUE(page.ok()) << page.status();
    if (page->empty()) break;
    paged.push_back(page->front().id);
    after = {page->front().since, page->front().id};
  }
  EXPECT_EQ(paged, List());
}

TEST_P(DeadLetterContract, CountsByKindAndCause) {
  harness_->AddEvent("1", "AMOUNT_MISMATCH", 40);
  harness_->AddEvent("2", "AMOUNT_MISMATCH", 30);
  harness_->AddEvent("3", "UNKNOWN_PAYMENT", 20);
  harness_->AddDelivery("evt_1", /*enabled=*/false, 30);
  const auto counted = [&](int64_t most) {
    std::vector<std::string> shown;
    const absl::StatusOr<std::vector<DeadLetterCount>> counts = store().Count({}, most);
    EXPECT_TRUE(counts.ok()) << counts.status();
    for (const DeadLetterCount& one : counts.value_or(std::vector<DeadLetterCount>())) {
      shown.push_back(fmt::format("{} {} {} {}", Name(one.kind), one.cause, one.letters, one.blocked));
    }
    return shown;
  };
  EXPECT_THAT(counted(std::numeric_limits<int64_t>::max()),
              ::testing::ElementsAre("event AMOUNT_MISMATCH 2 0", "event UNKNOWN_PAYMENT 1 0", "delivery REFUSED 1 1"));
  const absl::StatusOr<std::vector<DeadLetterCount>> one = store().Count({.kind = DeadLetterKind::kEvent}, 1);
  ASSERT_TRUE(one.ok() && one->size() == 1) << one.status();
  EXPECT_EQ(one->front().letters, 1) << "of each kind no more are counted";
}

TEST_P(DeadLetterContract, RedrivesTheLongestDeadEachWithItsDeed) {
  for (const auto& [id, minutes] : {std::pair("2", 30), {"1", 40}, {"3", 20}}) {
    harness_->AddEvent(id, "AMOUNT_MISMATCH", minutes);
  }
  EXPECT_EQ(Redrive({.kind = DeadLetterKind::kEvent}, 2), 2);
  EXPECT_THAT(List(), ::testing::ElementsAre("event/acme/3"));
  EXPECT_THAT(harness_->Deeds(),
              ::testing::UnorderedElementsAre("dead_letter.redrive event/acme/1", "dead_letter.redrive event/acme/2"));
  EXPECT_EQ(Redrive(Of("event/acme/1")), 0) << "it lives";
  EXPECT_EQ(Redrive(Of("event/acme/3")), 1);
}

TEST_P(DeadLetterContract, WhatIsBlockedIsNotRedrivenAndCanBeDiscarded) {
  harness_->AddDelivery("evt_1", /*enabled=*/false, 30);
  EXPECT_EQ(Redrive({.kind = DeadLetterKind::kDelivery}), 0);
  EXPECT_THAT(List(), ::testing::ElementsAre(delivery_));
  EXPECT_THAT(harness_->Deeds(), ::testing::IsEmpty());
  EXPECT_EQ(Discard(Of(delivery_)), 1);
  EXPECT_THAT(List(), ::testing::IsEmpty());
}

TEST_P(DeadLetterContract, DiscardsAllButSagasWhichItRedrives) {
  harness_->AddSaga();
  harness_->AddEvent("1", "AMOUNT_MISMATCH", 40);
  harness_->AddEvent("2", "AMOUNT_MISMATCH", 30);
  EXPECT_EQ(Discard({}, 1), 1);
  EXPECT_THAT(List(), ::testing::ElementsAre("event/acme/2", saga_));
  EXPECT_EQ(Discard({}), 1);
  EXPECT_THAT(List(), ::testing::ElementsAre(saga_));
  EXPECT_THAT(harness_->Deeds(),
              ::testing::ElementsAre("dead_letter.discard event/acme/1", "dead_letter.discard event/acme/2"));
  EXPECT_EQ(Redrive(Of(saga_)), 1);
  EXPECT_THAT(List(), ::testing::IsEmpty());
}

}  // namespace waybill::storage

// What every WebhookInbox does; run against the one in memory and against Postgres.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/webhook_inbox.h"

namespace waybill::storage {

class WebhookInboxHarness {
 public:
  virtual ~WebhookInboxHarness() = default;
  virtual WebhookInbox& inbox() = 0;                       // empty
  virtual void MakeDue() = 0;                              // all that somebody has to look at some time
  virtual void MakeOld() = 0;                              // all there is, by 31 days
  virtual std::string StateOf(const std::string& id) = 0;  // "new"; empty: it is not there
};

class WebhookInboxContract : public ::testing::TestWithParam<std::function<std::unique_ptr<WebhookInboxHarness>()>> {
 protected:
  WebhookInbox& inbox() { return harness_->inbox(); }
  std::string StateOf(const std::string& id) { return harness_->StateOf(id); }

  static WebhookEvent Event(const std::string& id) {
    return {"acme", id, "payment.succeeded", "", "pi_" + id, 1250, "EUR"};
  }
  // True: it was not there before.
  bool Keep(const std::string& id, InboxState state = InboxState::kNew) {
    std::promise<absl::StatusOr<bool>> kept;
    WebhookArrival arrival{Event(id), "{}", state, "", [&](absl::StatusOr<bool> fresh) { kept.set_value(fresh); }};
    EXPECT_TRUE(inbox().Keep(arrival));
    const absl::StatusOr<bool> fresh = kept.get_future().get();
    EXPECT_TRUE(fresh.ok()) << fresh.status();
    return fresh.ok() && *fresh;
  }
  absl::Status Settle(const std::string& id, InboxState state, absl::Duration again = absl::ZeroDuration()) {
    return inbox().Settle({{{"acme", id, state, "WHY", std::nullopt, again}}});
  }
  std::vector<std::string> Claimed() {
    std::vector<std::string> ids;
    const auto due = inbox().ClaimDue(10);
    EXPECT_TRUE(due.ok()) << due.status();
    if (due.ok()) {
      for (const WebhookDue& one : *due) ids.push_back(one.event.id);
    }
    return ids;
  }

  std::unique_ptr<WebhookInboxHarness> harness_ = GetParam()();
};

TEST_P(WebhookInboxContract, KeepsEachEventOnce) {
  EXPECT_TRUE(Keep("1"));
  EXPECT_FALSE(Keep("1"));
  EXPECT_FALSE(Keep("1", InboxState::kAttention));
  EXPECT_EQ(StateOf("1"), "new");
  EXPECT_TRUE(Keep("2", InboxState::kAttention));
  EXPECT_EQ(StateOf("2"), "attention");
}

TEST_P(WebhookInboxContract, GivesOutWhatIsDueToOneAtATime) {
  Keep("1");
  EXPECT_THAT(Claimed(), ::testing::IsEmpty()) << "who kept it looks first";
  harness_->MakeDue();
  const auto due = inbox().ClaimDue(10);
  ASSERT_TRUE(due.ok() && due->size() == 1) << due.status();
  EXPECT_EQ(due->front().event.token, "pi_1");
  EXPECT_EQ(due->front().event.amount_minor, 1250);
  EXPECT_EQ(due->front().attempts, 1);
  EXPECT_THAT(Claimed(), ::testing::IsEmpty()) << "somebody looks at it";
  harness_->MakeDue();  // and died
  EXPECT_THAT(Claimed(), ::testing::ElementsAre("1"));
}

TEST_P(WebhookInboxContract, SettlesForwardOnly) {
  Keep("1");
  ASSERT_TRUE(Settle("1", InboxState::kUnmatched, absl::Hours(1)).ok());
  EXPECT_EQ(StateOf("1"), "unmatched");
  EXPECT_THAT(Claimed(), ::testing::IsEmpty()) << "its time has not come";
  ASSERT_TRUE(Settle("1", InboxState::kSignalled).ok());
  EXPECT_EQ(StateOf("1"), "signalled");
  ASSERT_TRUE(Settle("1", InboxState::kUnmatched, absl::Hours(1)).ok());  // a look that was slow
  EXPECT_EQ(StateOf("1"), "signalled");
  harness_->MakeDue();
  EXPECT_THAT(Claimed(), ::testing::IsEmpty());
}

TEST_P(WebhookInboxContract, WhatCouldNotBeLookedAtStaysWhatItWasUntilItsTime) {
  Keep("new");
  Keep("unmatched");
  ASSERT_TRUE(Settle("unmatched", InboxState::kUnmatched, absl::Hours(1)).ok());
  for (const std::string id : {"new", "unmatched"}) {
    ASSERT_TRUE(Settle(id, InboxState::kNew, absl::Minutes(5)).ok());
    EXPECT_EQ(StateOf(id), id);
  }
  EXPECT_THAT(Claimed(), ::testing::IsEmpty());
  harness_->MakeDue();
  EXPECT_THAT(Claimed(), ::testing::UnorderedElementsAre("new", "unmatched"));
}

TEST_P(WebhookInboxContract, DeletesWhatIsOldAndSettled) {
  Keep("new");
  Keep("ignored", InboxState::kIgnored);
  Keep("attention", InboxState::kAttention);
  harness_->MakeOld();
  Keep("young", InboxState::kIgnored);
  const auto deleted = inbox().DeleteOld(absl::Hours(24 * 30), 100);
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(*deleted, 1);
  EXPECT_EQ(StateOf("ignored"), "");
  EXPECT_EQ(StateOf("new"), "new");
  EXPECT_EQ(StateOf("young"), "ignored");
  const auto stats = inbox().Stats();
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->attention, 1);
  EXPECT_EQ(stats->open, 1);
}

}  // namespace waybill::storage

#include "services/process/audit.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/testing/fake_audit_log.h"

namespace waybill::process {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::Pair;

Setting Is(const std::string& name, const std::string& value) { return {name, value, "order.toml:1"}; }

class ProcessAuditTest : public ::testing::Test {
 protected:
  ProcessAuditTest() { audit_.SetInstance("order-1"); }
  absl::Status Write() { return audit_.WriteChore(log_).run().status(); }

  storage::testing::FakeAuditLog log_;
  ProcessAudit audit_{"waybill-order", {"1.2.3", "abc"}, {Is("log-level", "info")}};
};

TEST_F(ProcessAuditTest, SaysThatItHasStartedAndWhichSettingsWereChanged) {
  audit_.Changed(Is("log-level", "info"), Is("log-level", "debug"));
  EXPECT_EQ(audit_.pending(), 2u);
  ASSERT_TRUE(Write().ok());
  EXPECT_EQ(audit_.pending(), 0u);
  const std::vector<domain::Deed> deeds = log_.deeds();
  ASSERT_EQ(deeds.size(), 2u);
  EXPECT_EQ(deeds[0].by.client, "waybill-order");
  EXPECT_EQ(deeds[0].action, "process.start");
  EXPECT_EQ(deeds[0].subject, "order-1");
  EXPECT_THAT(deeds[0].detail, ElementsAre(Pair("version", "1.2.3"), Pair("commit", "abc"), Pair("host", _),
                                           Pair("settings", ::testing::SizeIs(64))));
  EXPECT_EQ(deeds[1].action, "setting.change");
  EXPECT_EQ(deeds[1].subject, "log-level");
  EXPECT_THAT(deeds[1].detail, ElementsAre(Pair("before", "info"), Pair("after", "debug"), Pair("from", "order.toml:1"),
                                           Pair("instance", "order-1"), Pair("host", _)));
}

TEST_F(ProcessAuditTest, KeepsWhatTheStoreDoesNotTakeAndShowsNoPassword) {
  log_.set_error(absl::UnavailableError("down"));
  EXPECT_FALSE(Write().ok());
  audit_.Changed(Is("database-url", "postgresql://me:secret@a/b"), Is("database-url", "postgresql://me:secret@c/b"));
  EXPECT_FALSE(Write().ok());
  EXPECT_EQ(audit_.pending(), 2u);
  log_.set_error(absl::OkStatus());
  ASSERT_TRUE(Write().ok());
  ASSERT_TRUE(Write().ok()) << "nothing to do";
  EXPECT_THAT(log_.actions(), ElementsAre("process.start", "setting.change"));
  const domain::Deed changed = log_.deeds()[1];
  for (const auto& [key, value] : changed.detail) EXPECT_EQ(value.find("secret"), std::string::npos) << key;
}

TEST_F(ProcessAuditTest, KeepsSoManyAndSaysHowManyItHasNot) {
  for (size_t i = 0; i < ProcessAudit::kPendingMax + 6; ++i) audit_.Changed(Is("a", "b"), Is("a", "c"));
  EXPECT_EQ(audit_.pending(), ProcessAudit::kPendingMax);
  ASSERT_TRUE(Write().ok());
  audit_.Changed(Is("a", "b"), Is("a", "c"));
  ASSERT_TRUE(Write().ok());
  EXPECT_THAT(log_.deeds().back().detail.back(), Pair("lost_before", "7"));
}

TEST(ProcessAudit, TheDigestOfTheSettingsIsThatOfWhatIsInForce) {
  const auto digest = [](const std::vector<Setting>& in_force) {
    storage::testing::FakeAuditLog log;
    ProcessAudit audit("waybill-order", {}, in_force);
    EXPECT_TRUE(audit.WriteChore(log).run().ok());
    return log.deeds().front().detail.back().second;
  };
  EXPECT_EQ(digest({Is("a", "b")}), digest({{"a", "b", "flag"}})) << "wherever it is from";
  EXPECT_NE(digest({Is("a", "b")}), digest({Is("a", "c")}));
  EXPECT_EQ(digest({Is("u", "postgresql://me:one@a/b")}), digest({Is("u", "postgresql://me:two@a/b")}))
      << "nobody can try passwords at it";
}

}  // namespace
}  // namespace waybill::process

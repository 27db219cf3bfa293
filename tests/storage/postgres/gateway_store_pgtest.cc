#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/gateway_store.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class GatewayStoreTest : public ::testing::Test {
 protected:
  static domain::Deed Doing(std::string action) { return {{"me"}, std::move(action), "gateway", "north"}; }
  std::vector<std::string> Audited() {
    AuditQuery all;
    all.oldest_first = true;
    std::vector<std::string> actions;
    const absl::StatusOr<std::vector<AuditEntry>> entries = PostgresAuditLog(pool_, pool_).List(all);
    EXPECT_TRUE(entries.ok()) << entries.status();
    if (entries.ok()) {
      for (const AuditEntry& entry : *entries) actions.push_back(entry.action);
    }
    return actions;
  }

  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresGatewayStore store_{pool_, pool_};
};

TEST_F(GatewayStoreTest, NothingIsSaidAtFirst) { EXPECT_THAT(*store_.Settings(), IsEmpty()); }

TEST_F(GatewayStoreTest, KeepsWhatWasSaidLast) {
  ASSERT_TRUE(store_.SetDrained("north", true, Doing("gateway.drain")).ok());
  ASSERT_TRUE(store_.SetWeight("south", 300, Doing("gateway.weight")).ok());
  EXPECT_THAT(*store_.Settings(),
              ElementsAre(GatewaySetting{"north", true, std::nullopt}, GatewaySetting{"south", false, 300}));
  ASSERT_TRUE(store_.SetDrained("north", false, Doing("gateway.undrain")).ok());
  ASSERT_TRUE(store_.SetWeight("north", 7, Doing("gateway.weight")).ok());
  EXPECT_THAT(*store_.Settings(), ElementsAre(GatewaySetting{"north", false, 7}, GatewaySetting{"south", false, 300}));
}

TEST_F(GatewayStoreTest, TheAuditHasWhatHasChangedAndNothingElse) {
  ASSERT_TRUE(store_.SetDrained("north", false, Doing("gateway.undrain")).ok());
  EXPECT_THAT(Audited(), IsEmpty()) << "it was not drained";
  EXPECT_THAT(*store_.Settings(), IsEmpty());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(store_.SetDrained("north", true, Doing("gateway.drain")).ok());
    ASSERT_TRUE(store_.SetWeight("north", 5, Doing("gateway.weight")).ok());
  }
  ASSERT_TRUE(store_.SetDrained("north", false, Doing("gateway.undrain")).ok());
  EXPECT_THAT(Audited(), ElementsAre("gateway.drain", "gateway.weight", "gateway.undrain"));
}

}  // namespace
}  // namespace waybill::storage

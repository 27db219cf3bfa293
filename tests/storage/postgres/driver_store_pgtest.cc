#include "storage/postgres/audit_log.h"
#include "storage/postgres/driver_store.h"
#include "tests/storage/driver_store_contract.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

class PostgresDriverStoreHarness final : public DriverStoreHarness {
 public:
  DriverStore& store() override { return store_; }
  AuditLog& audit() override { return audit_; }
  void Give(const domain::DriverSlot& slot, const Uuid& order_id) override {
    database_.sql().Exec("INSERT INTO order_assignments VALUES ($1, $2, $3, now())",
                         {order_id.ToString(), slot.driver_id, std::to_string(slot.slot)});
  }

 private:
  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresDriverStore store_{pool_};
  PostgresAuditLog audit_{pool_, pool_};
};

INSTANTIATE_TEST_SUITE_P(Postgres, DriverStoreContract,
                         ::testing::Values([] { return std::make_unique<PostgresDriverStoreHarness>(); }));

}  // namespace
}  // namespace waybill::storage

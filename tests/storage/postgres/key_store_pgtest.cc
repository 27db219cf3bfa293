#include "storage/postgres/audit_log.h"
#include "storage/postgres/key_store.h"
#include "storage/postgres/rights.h"
#include "tests/storage/key_store_contract.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

class PostgresKeyHarness final : public KeyStoreHarness {
 public:
  KeyStore& store() override { return store_; }
  AuditLog& audit() override { return audit_; }

 private:
  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresKeyStore store_{pool_};
  PostgresAuditLog audit_{pool_, pool_};
};

INSTANTIATE_TEST_SUITE_P(Postgres, KeyStoreContract,
                         ::testing::Values([] { return std::make_unique<PostgresKeyHarness>(); }));

class PostgresKeyStoreTest : public ::testing::Test {
 protected:
  PostgresKeyStoreTest() {
    database_.sql().Exec(
        "INSERT INTO access_keys (key_id, name, client, scopes, secret_hash, created_at, created_by) "
        "VALUES ('a', 'n', 'c', '{orders:read,of:tomorrow}', decode(repeat('00', 32), 'hex'), now(), 'me')");
  }
  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresKeyStore store_{pool_};
};

TEST_F(PostgresKeyStoreTest, AChangeByHandIsAChange) {
  const int64_t before = *store_.Version();
  database_.sql().Exec("UPDATE access_keys SET revoked_at = now()");
  EXPECT_EQ(*store_.Version(), before + 1);
  database_.sql().Exec("DELETE FROM access_keys");
  EXPECT_EQ(*store_.Version(), before + 2);
  database_.sql().Exec("TRUNCATE access_keys");
  EXPECT_EQ(*store_.Version(), before + 3);
}

// One that commits later than a reader looked must not be numbered below what that one has seen.
TEST_F(PostgresKeyStoreTest, ChangesCommitInTheOrderOfTheirVersions) {
  waybill::testing::Sql other(database_.url());
  const int64_t before = *store_.Version();
  database_.sql().Exec("BEGIN");
  database_.sql().Exec("UPDATE access_keys SET name = 'first'");
  other.Exec("SET lock_timeout = '100ms'");
  EXPECT_EQ(other
                .Run("INSERT INTO access_keys (key_id, name, client, scopes, secret_hash, created_at, created_by) "
                     "SELECT 'b', name, client, scopes, secret_hash, now(), 'me' FROM access_keys")
                .sqlstate,
            "55P03")
      << "it waits for the first";
  EXPECT_EQ(*store_.Version(), before);
  database_.sql().Exec("COMMIT");
  EXPECT_EQ(*store_.Version(), before + 1);
}

TEST_F(PostgresKeyStoreTest, AScopeOfANewerVersionIsAsNotGiven) {
  EXPECT_EQ(store_.Get("a")->scopes, domain::Scopes{domain::Scope::kOrdersRead});
}

TEST_F(PostgresKeyStoreTest, ConstraintsHoldWhatCodeHolds) {
  const auto violated = [&](const std::string& change) {
    return database_.sql().Run("UPDATE access_keys SET " + change).constraint;
  };
  EXPECT_EQ(violated("secret_hash = NULL"), "access_keys_secret_or_certificate");
  EXPECT_EQ(violated("certificate = 'x'"), "access_keys_secret_or_certificate");
  EXPECT_EQ(violated("secret_hash = '\\x00'"), "access_keys_hash_length");
  EXPECT_EQ(violated("client = ''"), "access_keys_client_length");
  EXPECT_EQ(violated("scopes = '{}'"), "access_keys_some_scope");
}

TEST_F(PostgresKeyStoreTest, AServiceThatOnlyReadsKeysNeedsNoRightToWriteThem) {
  const std::string role = "r_" + database_.sql().Value("SELECT md5(current_database())");
  database_.sql().Exec("CREATE ROLE " + role);
  database_.sql().Exec("GRANT SELECT ON access_keys, access_version TO " + role);
  database_.sql().Exec("GRANT SELECT, INSERT, UPDATE ON access_key_uses TO " + role);
  {
    ConnectionOptions options = WriteConnectionOptions();
    options.settings.emplace_back("role", role);
    Pool pool(database_.url(), options, PoolOptions());
    PostgresKeyStore store(pool);
    EXPECT_TRUE(store.Version().ok());
    EXPECT_EQ(store.Recent(absl::Now(), absl::Hours(1))->size(), 1u);
    EXPECT_TRUE(store.WriteUses({{"a", absl::Now()}}).ok());
    EXPECT_EQ(GetErrorDetail(store.Revoke("a", absl::Now(), {{"me"}, "key.revoke", "key", "a"}).status()).reason,
              "RIGHTS_MISSING");
  }
  database_.sql().Exec("DROP OWNED BY " + role);
  database_.sql().Exec("DROP ROLE " + role);
}

}  // namespace
}  // namespace waybill::storage

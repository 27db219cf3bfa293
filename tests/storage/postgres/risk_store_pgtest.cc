#include <string>

#include "fmt/format.h"
#include "storage/postgres/risk_store.h"
#include "tests/storage/risk_store_contract.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

class PostgresRiskHarness final : public RiskStoreHarness {
 public:
  RiskStore& store() override { return store_; }
  void Put(const Uuid& order_id, const risk::Facts& facts, absl::Time at) override {
    const auto text = [](const std::string& one) { return one.empty() ? "NULL" : fmt::format("'{}'", one); };
    database_.sql().Exec(fmt::format(
        "INSERT INTO risk_assessments (order_id, client, user_id, card, device, address, amount_minor, currency, "
        "position_lat, position_long, at, rules_version, decision, score, shadow_decision, shadow_score, reasons, "
        "kind) "
        "VALUES "
        "('{}', '{}', '{}', {}, {}, {}, {}, '{}', {}, {}, '{}', 'v0', 'allow', 0, 'allow', 0, '[]', '{}')",
        order_id.ToString(), facts.client, facts.traits[0], text(facts.traits[1]), text(facts.traits[2]),
        text(facts.traits[3]), facts.amount_minor, facts.currency,
        facts.position ? fmt::format("{}", facts.position->latitude) : "NULL",
        facts.position ? fmt::format("{}", facts.position->longitude) : "NULL", absl::FormatTime(at),
        risk::Name(facts.subject)));
  }
  void Decline(const Uuid& order_id, absl::Time at, risk::Subject subject) override {
    if (subject == risk::Subject::kPayment) {
      database_.sql().Exec(fmt::format(
          "INSERT INTO sagas (saga_id, kind, version, dedupe_key, payload, state, failure_reason, created_at, "
          "updated_at) VALUES ('{0}', 'take_payment', 2, '{0}', '{{}}', 'compensated', 'PAYMENT_DECLINED', now(), "
          "'{1}')",
          order_id.ToString(), absl::FormatTime(at)));
      return;
    }
    database_.sql().Exec(fmt::format(
        "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
        "state, "
        "failure_reason, created_at, updated_at) VALUES ('{0}', 'acme', '{0}', '', 'u-1', 1, 'EUR', 'compensated', "
        "'PAYMENT_DECLINED', now(), '{1}')",
        order_id.ToString(), absl::FormatTime(at)));
  }
  testing::Sql& sql() { return database_.sql(); }

 private:
  waybill::testing::MigratedDatabase database_;
  Pool writes_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  Pool reads_{database_.url(), ReadConnectionOptions(), PoolOptions()};
  PostgresRiskStore store_{writes_, reads_};
};

INSTANTIATE_TEST_SUITE_P(Postgres, RiskStoreContract,
                         ::testing::Values([] { return std::make_unique<PostgresRiskHarness>(); }));

class PostgresRiskStoreTest : public ::testing::Test {
 protected:
  PostgresRiskStoreTest() {
    facts_.client = "acme";
    facts_.traits = {"u-1", "card-1", "", ""};
    facts_.amount_minor = 1;
    facts_.currency = "EUR";
    rules_.version = "v";
  }
  PostgresRiskHarness harness_;
  risk::Facts facts_;
  risk::Rules rules_;
};

TEST_F(PostgresRiskStoreTest, AnAssessmentIsNeverChanged) {
  ASSERT_TRUE(harness_.store().Assess({}, facts_, rules_).ok());
  EXPECT_EQ(harness_.sql().Run("UPDATE risk_assessments SET decision = 'deny'").sqlstate, "23514");
}

TEST_F(PostgresRiskStoreTest, AClockThatWasSetBackHidesNothing) {
  const absl::Time ahead = absl::Now() + absl::Hours(1);
  harness_.Put(Uuid{{1}}, facts_, ahead);
  const auto assessed = harness_.store().Assess({}, facts_, rules_);
  ASSERT_TRUE(assessed.ok()) << assessed.status();
  EXPECT_GT(assessed->kept.at, ahead - absl::Seconds(1));
}

TEST_F(PostgresRiskStoreTest, WindowsAreReadFromAnIndex) {
  harness_.sql().Exec(
      "INSERT INTO risk_assessments (order_id, client, user_id, card, amount_minor, currency, at, rules_version, "
      "decision, score, shadow_decision, shadow_score, reasons) SELECT gen_random_uuid(), 'acme', 'u-' || n % 5000, "
      "'card-' || n % 5000, 1, 'EUR', now() - n * interval '1 second', 'v', 'allow', 0, 'allow', 0, '[]' "
      "FROM generate_series(1, 20000) AS n");
  harness_.sql().Exec("VACUUM ANALYZE risk_assessments");
  harness_.sql().Exec("SELECT pg_stat_reset()");
  risk::Rule rule;
  rule.on = risk::Velocity{risk::Trait::kCard, absl::Hours(24), 1, std::nullopt};
  rules_.rules = {rule};
  const auto assessed = harness_.store().Assess({}, facts_, rules_);
  ASSERT_TRUE(assessed.ok()) << assessed.status();
  EXPECT_EQ(assessed->kept.assessment.reasons.at(0).detail, "5 orders of the card within 24h, more than 1");
  harness_.sql().Exec("SELECT pg_stat_force_next_flush()");
  EXPECT_EQ(harness_.sql().Value("SELECT seq_scan::text FROM pg_stat_user_tables WHERE relname = 'risk_assessments'"),
            "0");
}

}  // namespace
}  // namespace waybill::storage

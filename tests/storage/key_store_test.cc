#include "storage/testing/fake_key_store.h"
#include "tests/storage/key_store_contract.h"

namespace waybill::storage {
namespace {

class FakeKeyStoreHarness final : public KeyStoreHarness {
 public:
  KeyStore& store() override { return store_; }
  AuditLog& audit() override { return store_.audit; }

 private:
  testing::FakeKeyStore store_;
};

INSTANTIATE_TEST_SUITE_P(Fake, KeyStoreContract,
                         ::testing::Values([] { return std::make_unique<FakeKeyStoreHarness>(); }));

TEST(FakeKeyStore, AnswersTheErrorItWasGiven) {
  testing::FakeKeyStore store;
  store.set_error(absl::UnavailableError("down"));
  EXPECT_FALSE(store.Version().ok());
  EXPECT_FALSE(store.WriteUses({}).ok());
  store.set_error(absl::OkStatus());
  EXPECT_TRUE(store.Version().ok());
}

}  // namespace
}  // namespace waybill::storage

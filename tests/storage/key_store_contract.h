// What every KeyStore does; run against the fake and against Postgres.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "storage/audit_log.h"
#include "storage/key_store.h"

namespace waybill::storage {

class KeyStoreHarness {
 public:
  virtual ~KeyStoreHarness() = default;
  virtual KeyStore& store() = 0;  // empty
  virtual AuditLog& audit() = 0;  // of what is done to it
};

class KeyStoreContract : public ::testing::TestWithParam<std::function<std::unique_ptr<KeyStoreHarness>()>> {
 protected:
  KeyStore& store() { return harness_->store(); }

  static domain::Deed Deed(std::string action) { return {{"me", "k1", "ann"}, std::move(action), "key", "some"}; }
  // What was done, the oldest first.
  std::vector<std::string> Audited() {
    AuditQuery all;
    all.oldest_first = true;
    std::vector<std::string> actions;
    const auto entries = harness_->audit().List(all);
    for (const AuditEntry& entry : *entries) actions.push_back(entry.action);
    return actions;
  }

  AccessKey Key(const std::string& id) const {
    AccessKey key;
    key.id = id;
    key.name = "Name of " + id;
    key.client = "client-" + id;
    key.scopes = {domain::Scope::kLocationsWrite, domain::Scope::kOps};
    key.drivers = {"north-*", "ann"};
    key.secret_hash = std::string(31, '\0') + "\xff";
    key.created_at = now_;
    key.created_by = "admin";
    return key;
  }
  AccessKey Added(const std::string& id) {
    AccessKey key = Key(id);
    EXPECT_TRUE(store().Add(key, Deed("key.create")).ok());
    return key;
  }
  std::vector<std::string> Recent(absl::Time now, absl::Duration over_for = absl::Hours(1)) {
    std::vector<std::string> ids;
    auto found = store().Recent(now, over_for);
    EXPECT_TRUE(found.ok()) << found.status();
    for (const AccessKey& key : *found) ids.push_back(key.id);
    return ids;
  }
  static std::string ReasonOf(const absl::Status& status) { return GetErrorDetail(status).reason; }

  std::unique_ptr<KeyStoreHarness> harness_ = GetParam()();
  const absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
};

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_P(KeyStoreContract, KeepsAKeyAsItIs) {
  AccessKey key = Added("a");
  EXPECT_EQ(*store().Get("a"), key);
  AccessKey certificate = Key("b");
  certificate.secret_hash.clear();
  certificate.certificate = "b.internal";
  certificate.drivers.clear();
  certificate.scopes = domain::Scopes::All();
  certificate.expires_at = now_ + absl::Hours(1);
  ASSERT_TRUE(store().Add(certificate, Deed("key.create")).ok());
  EXPECT_EQ(*store().Get("b"), certificate);
  EXPECT_EQ(ReasonOf(store().Get("c").status()), "KEY_NOT_FOUND");
}

TEST_P(KeyStoreContract, TheVersionGrowsWithEachChangeAndWithNoUse) {
  int64_t version = *store().Version();
  const auto changed = [&] {
    const int64_t before = version;
    version = *store().Version();
    return version > before;
  };
  EXPECT_FALSE(changed());
  Added("a");
  EXPECT_TRUE(changed());
  ASSERT_TRUE(store().Rotate("a", Key("b"), now_, now_, Deed("key.rotate")).ok());
  EXPECT_TRUE(changed());
  ASSERT_TRUE(store().Revoke("a", now_, Deed("key.revoke")).ok());
  EXPECT_TRUE(changed());
  ASSERT_TRUE(store().WriteUses({{"b", now_}}).ok());
  ASSERT_TRUE(store().List("", 10).ok());
  EXPECT_FALSE(changed());
}

TEST_P(KeyStoreContract, RecentAreThoseThatAreNotOverForLong) {
  Added("lasting");
  AccessKey expiring = Key("expiring");
  expiring.expires_at = now_ + absl::Minutes(10);
  ASSERT_TRUE(store().Add(expiring, Deed("key.create")).ok());
  Added("revoked");
  ASSERT_TRUE(store().Revoke("revoked", now_ + absl::Minutes(20), Deed("key.revoke")).ok());
  EXPECT_THAT(Recent(now_), UnorderedElementsAre("lasting", "expiring", "revoked"));
  EXPECT_THAT(Recent(now_ + absl::Minutes(69)), UnorderedElementsAre("lasting", "expiring", "revoked"));
  EXPECT_THAT(Recent(now_ + absl::Minutes(70)), UnorderedElementsAre("lasting", "revoked"));
  EXPECT_THAT(Recent(now_ + absl::Minutes(80)), UnorderedElementsAre("lasting"));
}

TEST_P(KeyStoreContract, ListsPageByPage) {
  for (const char* id : {"c", "a", "b"}) Added(id);
  const auto page = [&](const std::string& after, int limit) {
    std::vector<std::string> ids;
    const auto found = store().List(after, limit);
    for (const AccessKey& key : *found) ids.push_back(key.id);
    return ids;
  };
  EXPECT_THAT(page("", 2), ElementsAre("a", "b"));
  EXPECT_THAT(page("b", 2), ElementsAre("c"));
  EXPECT_THAT(page("c", 2), IsEmpty());
}

TEST_P(KeyStoreContract, ACertificateIsOneClients) {
  AccessKey key = Key("a");
  key.secret_hash.clear();
  key.certificate = "a.internal";
  ASSERT_TRUE(store().Add(key, Deed("key.create")).ok());
  key.id = "b";
  const absl::Status in_use = store().Add(key, Deed("key.create"));
  EXPECT_EQ(in_use.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(in_use), "CERTIFICATE_IN_USE");
  ASSERT_TRUE(store().Revoke("a", now_, Deed("key.revoke")).ok());
  EXPECT_TRUE(store().Add(key, Deed("key.create")).ok());
}

TEST_P(KeyStoreContract, RotatesInOneStep) {
  const AccessKey old = Added("a");
  AccessKey fresh = Key("b");
  fresh.client = "counts for nothing";
  fresh.secret_hash = std::string(32, 'b');
  fresh.created_at = now_ + absl::Minutes(1);
  fresh.created_by = "ada";
  fresh.expires_at = now_ + absl::Hours(5);
  auto rotated = store().Rotate("a", fresh, now_, now_ + absl::Hours(1), Deed("key.rotate"));
  ASSERT_TRUE(rotated.ok()) << rotated.status();
  AccessKey expected = fresh;
  expected.name = old.name;
  expected.client = old.client;
  EXPECT_EQ(*rotated, expected);
  EXPECT_EQ(*store().Get("b"), expected);
  EXPECT_EQ(store().Get("a")->expires_at, now_ + absl::Hours(1));
  // Once more: the first one does not live longer than it did.
  fresh.id = "c";
  ASSERT_TRUE(store().Rotate("a", fresh, now_, now_ + absl::Hours(2), Deed("key.rotate")).ok());
  EXPECT_EQ(store().Get("a")->expires_at, now_ + absl::Hours(1));
}

TEST_P(KeyStoreContract, RotatingWithoutAnOverlapRevokesTheFirst) {
  Added("a");
  ASSERT_TRUE(store().Rotate("a", Key("b"), now_, now_, Deed("key.rotate")).ok());
  EXPECT_EQ(store().Get("a")->revoked_at, now_);
  EXPECT_EQ(store().Get("b")->revoked_at, absl::InfiniteFuture());
}

TEST_P(KeyStoreContract, RotatesOnlySecretsThatAreNotOver) {
  AccessKey certificate = Key("certificate");
  certificate.secret_hash.clear();
  certificate.certificate = "a.internal";
  ASSERT_TRUE(store().Add(certificate, Deed("key.create")).ok());
  AccessKey expired = Key("expired");
  expired.expires_at = now_;
  ASSERT_TRUE(store().Add(expired, Deed("key.create")).ok());
  Added("revoked");
  ASSERT_TRUE(store().Revoke("revoked", now_, Deed("key.revoke")).ok());
  for (const char* id : {"nobody", "certificate", "expired", "revoked"}) {
    EXPECT_EQ(ReasonOf(store().Rotate(id, Key("b"), now_, now_, Deed("key.rotate")).status()), "KEY_NOT_FOUND") << id;
  }
  EXPECT_EQ(ReasonOf(store().Get("b").status()), "KEY_NOT_FOUND");
}

TEST_P(KeyStoreContract, RevokesOnce) {
  Added("a");
  EXPECT_EQ(store().Revoke("a", now_, Deed("key.revoke"))->revoked_at, now_);
  EXPECT_EQ(store().Revoke("a", now_ + absl::Hours(1), Deed("key.revoke"))->revoked_at, now_);
  EXPECT_EQ(ReasonOf(store().Revoke("b", now_, Deed("key.revoke")).status()), "KEY_NOT_FOUND");
}

TEST_P(KeyStoreContract, TheLatestUseCounts) {
  Added("a");
  Added("b");
  ASSERT_TRUE(store().WriteUses({{"b", now_}, {"nobody", now_}, {"a", now_}}).ok());
  ASSERT_TRUE(store().WriteUses({{"a", now_ - absl::Hours(1)}, {"b", now_ + absl::Hours(1)}}).ok());
  EXPECT_EQ(store().Get("a")->used_at, now_);
  EXPECT_EQ(store().Get("b")->used_at, now_ + absl::Hours(1));
  EXPECT_TRUE(store().WriteUses({}).ok());
}

TEST_P(KeyStoreContract, TheAuditHasWhatWasChangedAndNothingElse) {
  Added("a");
  ASSERT_TRUE(store().Rotate("a", Key("b"), now_, now_ + absl::Hours(1), Deed("key.rotate")).ok());
  EXPECT_FALSE(store().Rotate("c", Key("d"), now_, now_ + absl::Hours(1), Deed("key.rotate")).ok());
  ASSERT_TRUE(store().Revoke("a", now_, Deed("key.revoke")).ok());
  ASSERT_TRUE(store().Revoke("a", now_ + absl::Hours(1), Deed("key.revoke")).ok()) << "changes nothing";
  EXPECT_FALSE(store().Revoke("c", now_, Deed("key.revoke")).ok());
  EXPECT_THAT(Audited(), ElementsAre("key.create", "key.rotate", "key.revoke"));
}

}  // namespace waybill::storage

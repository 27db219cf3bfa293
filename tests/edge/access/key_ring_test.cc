#include "edge/access/key_ring.h"

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "edge/access/key_admin.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_key_store.h"

namespace waybill::access {
namespace {

using domain::Scope;

std::string ReasonOf(const absl::Status& status) { return GetErrorDetail(status).reason; }

class KeyRingTest : public ::testing::Test {
 protected:
  KeyRingTest() {
    ring_.OnChange([this] { ++changes_; });
  }

  KeyAdmin::Made Make(const std::string& client, absl::Time expires_at = absl::InfiniteFuture()) {
    KeyAdmin::Wanted wanted;
    wanted.name = wanted.client = client;
    wanted.scopes = {"orders:read"};
    wanted.expires_at = expires_at;
    auto made = admin_.Create(wanted, {"admin"});
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  void MakeCertificate(const std::string& client, const std::string& name) {
    KeyAdmin::Wanted wanted;
    wanted.name = wanted.client = client;
    wanted.scopes = {"orders:read"};
    wanted.certificate = name;
    ASSERT_TRUE(admin_.Create(wanted, {"admin"}).ok());
  }
  std::string Why(const std::string& secret) { return ReasonOf(ring_.FindSecret("Bearer " + secret).status()); }
  void Refresh() { EXPECT_TRUE(ring_.Refresh().ok()); }

  testing::ManualTime time_;
  storage::testing::FakeKeyStore store_;
  const KeyHash hash_{std::string(32, 'k')};
  KeyRing ring_{store_, hash_, time_};
  KeyAdmin admin_{store_, hash_, SystemEntropy, time_, [] {}};
  int changes_ = 0;
};

TEST_F(KeyRingTest, AWriteOfUsesThatHangsHoldsUpNoRevocation) {
  const KeyAdmin::Made shop = Make("shop");
  Refresh();
  ASSERT_EQ(Why(shop.secret), "");
  std::promise<void> begun, let_go;
  store_.before_write_uses = [&] {
    begun.set_value();
    let_go.get_future().wait();
  };
  std::thread writing([&] { EXPECT_TRUE(ring_.WriteUses().ok()); });
  begun.get_future().wait();
  ASSERT_TRUE(admin_.Revoke(shop.key.id, {"admin"}).ok());
  std::future<void> refreshed = std::async(std::launch::async, [&] { Refresh(); });
  EXPECT_EQ(refreshed.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(Why(shop.secret), "KEY_REVOKED");
  let_go.set_value();
  writing.join();
}

TEST_F(KeyRingTest, KnowsWhenAClientIsLeftWithoutAKey) {
  EXPECT_EQ(ring_.NextLapse(), absl::InfiniteFuture());
  const absl::Time soon = time_.Now() + absl::Hours(1), later = time_.Now() + absl::Hours(5);
  Make("always");
  const KeyAdmin::Made shop = Make("shop", soon);
  Make("other", later);
  Refresh();
  EXPECT_EQ(ring_.NextLapse(), soon);
  ASSERT_TRUE(admin_.Rotate(shop.key.id, absl::Minutes(10), later + absl::Hours(1), {"admin"}).ok());
  Refresh();
  EXPECT_EQ(ring_.NextLapse(), later) << "shop has a second one";
  time_.Advance(absl::Hours(5));
  EXPECT_EQ(ring_.NextLapse(), later + absl::Hours(1)) << "what is over is over";
}

TEST_F(KeyRingTest, KnowsWhoHasTheSecretOnceItHasReadTheKeys) {
  const KeyAdmin::Made made = Make("shop");
  EXPECT_EQ(Why(made.secret), "STORE_UNAVAILABLE") << "nothing was read yet";
  Refresh();
  absl::StatusOr<CallerPtr> caller = ring_.FindSecret("Bearer " + made.secret);
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ((*caller)->client, "shop");
  EXPECT_EQ((*caller)->scopes, domain::Scopes{Scope::kOrdersRead});
  EXPECT_EQ((*caller)->key_id, made.key.id);
  EXPECT_TRUE(ring_.Check(**caller).ok());
}

TEST_F(KeyRingTest, RefusesWhatIsNoKeyOfIts) {
  const KeyAdmin::Made made = Make("shop");
  Refresh();
  EXPECT_EQ(ReasonOf(ring_.FindSecret("Basic " + made.secret).status()), "NO_IDENTITY");
  EXPECT_EQ(ReasonOf(ring_.FindSecret("").status()), "NO_IDENTITY");
  EXPECT_EQ(Why(MakeSecret("nobody", SystemEntropy)), "KEY_UNKNOWN");
  // Who guesses learns nothing of the key whose id it is.
  const absl::Status guessed = ring_.FindSecret("Bearer " + MakeSecret(made.key.id, SystemEntropy)).status();
  EXPECT_EQ(guessed, ring_.FindSecret("Bearer " + MakeSecret("nobody", SystemEntropy)).status());
}

TEST_F(KeyRingTest, AKeyEndsAtItsTime) {
  const KeyAdmin::Made made = Make("shop", time_.Now() + absl::Minutes(1));
  Refresh();
  const CallerPtr caller = *ring_.FindSecret("Bearer " + made.secret);
  time_.Advance(absl::Seconds(59));
  Refresh();
  EXPECT_EQ(Why(made.secret), "");
  const int before = changes_;
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(Why(made.secret), "KEY_EXPIRED") << "at once";
  EXPECT_EQ(ReasonOf(ring_.Check(*caller)), "KEY_EXPIRED");
  Refresh();
  EXPECT_EQ(changes_, before + 1) << "open calls are looked at";
  Refresh();
  EXPECT_EQ(changes_, before + 1) << "once";
}

TEST_F(KeyRingTest, ARevokedKeyIsRefusedAfterTheNextLook) {
  const KeyAdmin::Made made = Make("shop"), other = Make("other");
  Refresh();
  const CallerPtr caller = *ring_.FindSecret("Bearer " + made.secret);
  const CallerPtr unaffected = *ring_.FindSecret("Bearer " + other.secret);
  const int before = changes_;
  ASSERT_TRUE(admin_.Revoke(made.key.id, {"admin"}).ok());
  Refresh();
  EXPECT_EQ(Why(made.secret), "KEY_REVOKED");
  EXPECT_EQ(ReasonOf(ring_.Check(*caller)), "KEY_REVOKED");
  EXPECT_EQ(changes_, before + 1);
  EXPECT_EQ(Why(other.secret), "");
  EXPECT_TRUE(ring_.Check(*unaffected).ok());
  // Only who has the secret is told.
  EXPECT_EQ(Why(MakeSecret(made.key.id, SystemEntropy)), "KEY_UNKNOWN");
  // In the end it is forgotten.
  time_.Advance(KeyRing::kRemembered + absl::Seconds(1));
  Make("another");
  Refresh();
  EXPECT_EQ(Why(made.secret), "KEY_UNKNOWN");
}

TEST_F(KeyRingTest, ReadsKeysOnlyWhenOneHasChanged) {
  const KeyAdmin::Made made = Make("shop");
  Refresh();
  const CallerPtr caller = *ring_.FindSecret("Bearer " + made.secret);
  const int before = changes_;
  for (int i = 0; i < 10; ++i) Refresh();
  EXPECT_EQ(changes_, before);
  Make("other");
  Refresh();
  EXPECT_EQ(*ring_.FindSecret("Bearer " + made.secret), caller) << "one that has not changed is the same caller";
}

TEST_F(KeyRingTest, ARevokedKeyIsRefusedWhateverTheClockSays) {
  const KeyAdmin::Made made = Make("shop");
  ASSERT_TRUE(store_.Revoke(made.key.id, time_.Now() + absl::Minutes(1), {}).ok())
      << "by a process whose clock is ahead";
  Refresh();
  EXPECT_EQ(Why(made.secret), "KEY_REVOKED");
  const KeyAdmin::Made other = Make("other");
  ASSERT_TRUE(admin_.Rotate(other.key.id, absl::ZeroDuration(), absl::InfiniteFuture(), {"admin"}).ok());
  Refresh();
  time_.SetWall(time_.Now() - absl::Minutes(1));
  EXPECT_EQ(Why(other.secret), "KEY_REVOKED");
}

TEST_F(KeyRingTest, AChangeThatNobodyCountedIsSeenAfterAWhile) {
  const KeyAdmin::Made made = Make("shop");
  Refresh();
  storage::AccessKey key = *store_.Get(made.key.id);
  key.revoked_at = time_.Now();
  store_.Change(key, /*counted=*/false);
  Refresh();
  EXPECT_EQ(Why(made.secret), "");
  time_.Advance(KeyRing::kReread + absl::Milliseconds(1));
  Refresh();
  EXPECT_EQ(Why(made.secret), "KEY_REVOKED");
}

TEST_F(KeyRingTest, AnOpenCallOfAChangedKeyEnds) {
  const KeyAdmin::Made made = Make("shop");
  Refresh();
  const CallerPtr caller = *ring_.FindSecret("Bearer " + made.secret);
  storage::AccessKey key = *store_.Get(made.key.id);
  key.scopes = domain::Scopes({domain::Scope::kOrdersRead, domain::Scope::kLocationsRead});
  store_.Change(key, /*counted=*/true);
  const int before = changes_;
  Refresh();
  EXPECT_EQ(changes_, before + 1);
  EXPECT_EQ(ReasonOf(ring_.Check(*caller)), "KEY_UNKNOWN");
  EXPECT_EQ(Why(made.secret), "");
  EXPECT_TRUE(ring_.Check(**ring_.FindSecret("Bearer " + made.secret)).ok());
}

TEST_F(KeyRingTest, RotatedSecretsGoOnBesideEachOther) {
  const KeyAdmin::Made first = Make("shop");
  auto second = admin_.Rotate(first.key.id, absl::Hours(1), absl::InfiniteFuture(), {"admin"});
  ASSERT_TRUE(second.ok()) << second.status();
  Refresh();
  EXPECT_EQ((*ring_.FindSecret("Bearer " + first.secret))->client, "shop");
  EXPECT_EQ((*ring_.FindSecret("Bearer " + second->secret))->client, "shop");
  time_.Advance(absl::Hours(1));
  Refresh();
  EXPECT_EQ(Why(first.secret), "KEY_EXPIRED");
  EXPECT_EQ(Why(second->secret), "");
}

TEST_F(KeyRingTest, KnowsTheNamesOfCertificates) {
  MakeCertificate("billing", "billing.internal");
  Refresh();
  const auto find = [&](std::vector<std::string> names) { return ring_.FindCertificate(names); };
  EXPECT_EQ((*find({"other.internal", "billing.internal"}))->client, "billing");
  EXPECT_EQ(ReasonOf(find({"other.internal"}).status()), "KEY_UNKNOWN");
  const std::string id = (*find({"billing.internal"}))->key_id;
  EXPECT_EQ(Why("wb_" + id + "_" + std::string(52, 'a')), "KEY_UNKNOWN") << "it has no secret";
  ASSERT_TRUE(admin_.Revoke(id, {"admin"}).ok());
  Refresh();
  EXPECT_EQ(ReasonOf(find({"billing.internal"}).status()), "KEY_REVOKED");
  MakeCertificate("accounting", "billing.internal");
  Refresh();
  EXPECT_EQ((*find({"billing.internal"}))->client, "accounting") << "the one that is not revoked";
}

TEST_F(KeyRingTest, TrustsNoKeyThatItCouldNotReadForTooLong) {
  const KeyAdmin::Made made = Make("shop");
  ring_.SetAdmin("wb_admin_" + std::string(40, 'a'));
  Refresh();
  const CallerPtr caller = *ring_.FindSecret("Bearer " + made.secret);
  store_.set_error(absl::UnavailableError("down"));
  time_.Advance(KeyRing::kTrust);
  EXPECT_FALSE(ring_.Refresh().ok());
  EXPECT_EQ(Why(made.secret), "");
  const int before = changes_;
  time_.Advance(absl::Seconds(1));
  EXPECT_FALSE(ring_.Refresh().ok());
  EXPECT_EQ(Why(made.secret), "STORE_UNAVAILABLE");
  EXPECT_EQ(ReasonOf(ring_.Check(*caller)), "STORE_UNAVAILABLE");
  EXPECT_EQ(ReasonOf(ring_.FindCertificate(std::vector<std::string>{"x"}).status()), "STORE_UNAVAILABLE");
  EXPECT_EQ(changes_, before + 1);
  EXPECT_EQ(Why("wb_admin_" + std::string(40, 'a')), "") << "it is in no store";
  store_.set_error(absl::OkStatus());
  Refresh();
  EXPECT_EQ(Why(made.secret), "");
}

TEST_F(KeyRingTest, TheAdministratorsKeyIsTheFilesWhileItIsThere) {
  Refresh();
  const std::string secret = "wb_admin_" + std::string(40, 'a');
  EXPECT_EQ(Why(secret), "KEY_UNKNOWN");
  ring_.SetAdmin(secret);
  const CallerPtr admin = *ring_.FindSecret("Bearer " + secret);
  EXPECT_EQ(admin->client, "admin");
  for (const Scope scope : domain::kScopes) EXPECT_TRUE(admin->scopes.Has(scope));
  EXPECT_EQ(Why("wb_admin_" + std::string(40, 'b')), "KEY_UNKNOWN");
  const int before = changes_;
  ring_.SetAdmin(secret);
  EXPECT_EQ(changes_, before) << "nothing has changed";
  EXPECT_TRUE(ring_.Check(*admin).ok());
  ring_.SetAdmin("wb_admin_" + std::string(40, 'b'));
  EXPECT_EQ(changes_, before + 1);
  EXPECT_FALSE(ring_.Check(*admin).ok());
  EXPECT_EQ(Why(secret), "KEY_UNKNOWN");
  ring_.SetAdmin(std::nullopt);
  EXPECT_EQ(Why("wb_admin_" + std::string(40, 'b')), "KEY_UNKNOWN");
}

TEST_F(KeyRingTest, WritesDownWhenKeysWereLastUsed) {
  const KeyAdmin::Made made = Make("shop"), idle = Make("idle");
  Refresh();
  EXPECT_EQ(Why(made.secret), "");
  const absl::Time first = time_.Now();
  EXPECT_TRUE(ring_.WriteUses().ok());
  EXPECT_EQ(store_.Get(made.key.id)->used_at, first);
  EXPECT_EQ(store_.Get(idle.key.id)->used_at, std::nullopt);
  time_.Advance(absl::Seconds(10));
  EXPECT_EQ(Why("wb_" + made.key.id + "_" + std::string(52, 'a')), "KEY_UNKNOWN");
  Make("other");  // the keys are read again
  Refresh();
  store_.set_error(absl::UnavailableError("down"));
  EXPECT_TRUE(ring_.WriteUses().ok()) << "there is nothing to write: a guess is no use";
  EXPECT_EQ(Why(made.secret), "");
  EXPECT_FALSE(ring_.WriteUses().ok());
  store_.set_error(absl::OkStatus());
  EXPECT_TRUE(ring_.WriteUses().ok());
  EXPECT_EQ(store_.Get(made.key.id)->used_at, first + absl::Seconds(10));
}

}  // namespace
}  // namespace waybill::access

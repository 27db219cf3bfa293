#include "edge/access/key_admin.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_key_store.h"

namespace waybill::access {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class KeyAdminTest : public ::testing::Test {
 protected:
  KeyAdmin::Wanted Fleet() {
    KeyAdmin::Wanted wanted;
    wanted.name = "Fleet north";
    wanted.client = "north";
    wanted.scopes = {"locations:write", "locations:read"};
    wanted.drivers = {"north-*", "ann"};
    wanted.expires_at = time_.Now() + absl::Hours(1);
    return wanted;
  }
  std::vector<std::string> Wrong(const KeyAdmin::Wanted& wanted) {
    std::vector<std::string> fields;
    const absl::Status status = admin_.Create(wanted, {"admin"}).status();
    for (const auto& [field, what] : GetErrorDetail(status).violations) fields.push_back(field);
    return fields;
  }

  testing::ManualTime time_;
  storage::testing::FakeKeyStore store_;
  const KeyHash hash_{std::string(32, 'k')};
  int changes_ = 0;
  KeyAdmin admin_{store_, hash_, SystemEntropy, time_, [this] { ++changes_; }};
};

TEST_F(KeyAdminTest, MakesAKeyOfWhichOnlyAHashIsKept) {
  auto made = admin_.Create(Fleet(), {"admin"});
  ASSERT_TRUE(made.ok()) << made.status();
  const storage::AccessKey kept = *store_.Get(made->key.id);
  EXPECT_EQ(kept, made->key);
  EXPECT_EQ(kept.name, "Fleet north");
  EXPECT_EQ(kept.client, "north");
  EXPECT_THAT(kept.scopes.Names(), ElementsAre("locations:write", "locations:read"));
  EXPECT_THAT(kept.drivers, ElementsAre("north-*", "ann"));
  EXPECT_EQ(kept.created_by, "admin");
  EXPECT_EQ(kept.created_at, time_.Now());
  EXPECT_EQ(kept.expires_at, time_.Now() + absl::Hours(1));
  const KeyHash::Digest digest = hash_.Of(made->secret);
  EXPECT_EQ(kept.secret_hash, std::string(digest.data(), digest.size()));
  EXPECT_EQ(ParseSecret(made->secret)->id, made->key.id);
  EXPECT_EQ(changes_, 1);
}

TEST_F(KeyAdminTest, NamesEachFieldThatIsWrong) {
  EXPECT_THAT(Wrong({}), ElementsAre("name", "client", "scopes"));
  const auto with = [&](auto change) {
    KeyAdmin::Wanted wanted = Fleet();
    change(wanted);
    return Wrong(wanted);
  };
  using Wanted = KeyAdmin::Wanted;
  EXPECT_THAT(with([](Wanted& w) { w.name = "two\nlines"; }), ElementsAre("name"));
  EXPECT_THAT(with([](Wanted& w) { w.client = "two words"; }), ElementsAre("client"));
  EXPECT_THAT(with([](Wanted& w) { w.client = "admin"; }), ElementsAre("client"));
  EXPECT_THAT(with([](Wanted& w) { w.client = "(waybill)"; }), ElementsAre("client"));
  EXPECT_THAT(with([](Wanted& w) { w.client = std::string(129, 'a'); }), ElementsAre("client"));
  EXPECT_THAT(with([](Wanted& w) { w.scopes.emplace_back("orders"); }), ElementsAre("scopes[2]"));
  EXPECT_THAT(with([](Wanted& w) { w.drivers.emplace_back("a*b"); }), ElementsAre("drivers[2]"));
  EXPECT_THAT(with([](Wanted& w) { w.drivers.clear(); }), ElementsAre("drivers")) << "whose, has to be said";
  EXPECT_THAT(with([](Wanted& w) { w.scopes = {"ops"}; }), ElementsAre("drivers"));
  EXPECT_THAT(with([](Wanted& w) { w.drivers.assign(1'001, "a"); }), ElementsAre("drivers"));
  EXPECT_THAT(with([](Wanted& w) { w.certificate = "two words"; }), ElementsAre("certificate"));
  EXPECT_THAT(with([&](Wanted& w) { w.expires_at = time_.Now(); }), ElementsAre("expire_time"));
  EXPECT_EQ(changes_, 0);
  EXPECT_THAT(*store_.List("", 10), IsEmpty());
}

TEST_F(KeyAdminTest, ACertificateHasNoSecretAndBelongsToOne) {
  KeyAdmin::Wanted wanted = Fleet();
  wanted.certificate = "north.internal";
  auto made = admin_.Create(wanted, {"admin"});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->secret, "");
  EXPECT_EQ(GetErrorDetail(admin_.Create(wanted, {"admin"}).status()).reason, "CERTIFICATE_IN_USE");
  const absl::Status rotated = admin_.Rotate(made->key.id, absl::Hours(1), absl::InfiniteFuture(), {"admin"}).status();
  EXPECT_EQ(GetErrorDetail(rotated).violations.at(0).first, "key_id");
}

TEST_F(KeyAdminTest, RotatesWithAnOverlap) {
  const KeyAdmin::Made first = *admin_.Create(Fleet(), {"admin"});
  auto second = admin_.Rotate(first.key.id, absl::Minutes(10), time_.Now() + absl::Hours(2), {"ops"});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE(second->secret, first.secret);
  EXPECT_EQ(second->key.client, "north");
  EXPECT_EQ(second->key.drivers, first.key.drivers);
  EXPECT_EQ(second->key.created_by, "ops");
  EXPECT_EQ(second->key.expires_at, time_.Now() + absl::Hours(2));
  EXPECT_EQ(store_.Get(first.key.id)->expires_at, time_.Now() + absl::Minutes(10));
  // Not longer than it would have lived anyway.
  ASSERT_TRUE(admin_.Rotate(first.key.id, absl::Hours(1), absl::InfiniteFuture(), {"ops"}).ok());
  EXPECT_EQ(store_.Get(first.key.id)->expires_at, time_.Now() + absl::Minutes(10));
  EXPECT_EQ(changes_, 3);
}

TEST_F(KeyAdminTest, RotatesNothingThatIsOverOrNotThere) {
  const auto why = [&](const std::string& id, absl::Duration overlap = absl::Hours(1)) {
    return GetErrorDetail(admin_.Rotate(id, overlap, absl::InfiniteFuture(), {"admin"}).status()).reason;
  };
  const KeyAdmin::Made made = *admin_.Create(Fleet(), {"admin"});
  EXPECT_EQ(why("nobody"), "KEY_NOT_FOUND");
  EXPECT_EQ(why(std::string("no\0id", 5)), "KEY_NOT_FOUND");
  EXPECT_EQ(why(made.key.id, absl::Seconds(-1)), "BAD_REQUEST");
  EXPECT_EQ(why(made.key.id, absl::Hours(24 * 31)), "BAD_REQUEST");
  ASSERT_TRUE(admin_.Revoke(made.key.id, {"admin"}).ok());
  EXPECT_EQ(why(made.key.id), "KEY_NOT_FOUND");
}

TEST_F(KeyAdminTest, RevokesOnce) {
  const KeyAdmin::Made made = *admin_.Create(Fleet(), {"admin"});
  const absl::Time at = time_.Now();
  EXPECT_EQ(admin_.Revoke(made.key.id, {"admin"})->revoked_at, at);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(admin_.Revoke(made.key.id, {"admin"})->revoked_at, at);
  EXPECT_EQ(GetErrorDetail(admin_.Revoke("nobody", {"admin"}).status()).reason, "KEY_NOT_FOUND");
  EXPECT_EQ(GetErrorDetail(admin_.Revoke("No Id", {"admin"}).status()).reason, "KEY_NOT_FOUND");
  EXPECT_EQ(admin_.List("", 10)->size(), 1u);
  EXPECT_EQ(GetErrorDetail(admin_.List("No Id", 10).status()).reason, "BAD_REQUEST");
}

}  // namespace
}  // namespace waybill::access

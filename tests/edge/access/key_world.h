// Keys in memory, and a gate that wants them.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "edge/access/gate.h"
#include "edge/access/key_admin.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_key_store.h"

namespace waybill::access {

struct KeyWorld {
  KeyWorld() {
    ring.SetAdmin(admin_secret);
    EXPECT_TRUE(ring.Refresh().ok());
  }

  // Drivers are * where a scope wants some.
  KeyAdmin::Made Make(const std::string& client, std::vector<std::string> scopes, std::vector<std::string> drivers = {},
                      absl::Time expires_at = absl::InfiniteFuture(), const std::string& certificate = "") {
    KeyAdmin::Wanted wanted;
    wanted.name = wanted.client = client;
    const bool some = std::any_of(scopes.begin(), scopes.end(), [](const std::string& scope) {
      return scope == "locations:write" || scope == "admin";
    });
    if (some && drivers.empty()) drivers = {"*"};
    wanted.scopes = std::move(scopes);
    wanted.drivers = std::move(drivers);
    wanted.expires_at = expires_at;
    wanted.certificate = certificate;
    absl::StatusOr<KeyAdmin::Made> made = admin.Create(wanted, {"test"});
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  // The header's value.
  static std::string Bearer(const std::string& secret) { return "Bearer " + secret; }

  const std::string admin_secret = "wb_admin_" + std::string(40, 'a');
  waybill::testing::ManualTime time;
  storage::testing::FakeKeyStore store;
  const KeyHash hash{std::string(32, 'k')};
  KeyRing ring{store, hash, time};
  KeyAdmin admin{store, hash, SystemEntropy, time, [this] { EXPECT_TRUE(ring.Refresh().ok()); }};
  const Gate required{Identity::kRequired, &ring};
  const Gate open{Identity::kOpen, &ring};
};

}  // namespace waybill::access

// The keys of callers in memory: read again whenever one has changed, and asked at every call. Knows no gRPC.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/access.h"
#include "domain/deed.h"
#include "edge/access/key.h"
#include "runtime/clock.h"
#include "storage/key_store.h"

namespace waybill::access {

// Who calls, and what they may do.
struct Caller {
  std::string client;
  domain::Scopes scopes;
  domain::DriverPatterns drivers;  // whose positions it may write
  std::string key_id;              // empty: taken at its word

  // Orders are their client's; who has ops sees everybody's.
  bool SeesAllOrders() const { return scopes.Has(domain::Scope::kOps); }
};
using CallerPtr = std::shared_ptr<const Caller>;

// For the audit. `operator_name`: who the request says does it, where it says so.
inline domain::Actor ActorOf(const Caller& caller, std::string operator_name = "") {
  return {caller.client, caller.key_id, std::move(operator_name)};
}

class KeyRing {
 public:
  // Keys that could not be read for so long are not trusted any more: STORE_UNAVAILABLE.
  static constexpr absl::Duration kTrust = absl::Seconds(60);
  // So long it is said of a key that it is over; later it is unknown.
  static constexpr absl::Duration kRemembered = absl::Hours(24 * 30);
  // How often they are read although none seems to have changed.
  static constexpr absl::Duration kReread = absl::Minutes(1);
  static constexpr char kAdmin[] = "admin";  // id and client of the administrator's key

  // `store` and `clock` outlive this.
  KeyRing(storage::KeyStore& store, KeyHash hash, const Clock& clock)
      : store_(store), hash_(std::move(hash)), clock_(clock) {}

  // The administrator's key, which stands in a file and not in the store: needed for the first key, and of use when the
  // store is away. nullopt: there is none. Its id counts for nothing.
  void SetAdmin(const std::optional<std::string>& secret);

  // Asks the store whether a key has changed, and reads them then. May block. To be called several times a second.
  absl::Status Refresh();
  // Writes down when keys were last used, those that were since the last time. May block.
  absl::Status WriteUses();
  // Set before the first Refresh. Called by Refresh and SetAdmin when a caller that was found before may no longer be
  // one.
  void OnChange(std::function<void()> on_change) { on_change_ = std::move(on_change); }

  // NO_IDENTITY, KEY_UNKNOWN, KEY_EXPIRED, KEY_REVOKED, STORE_UNAVAILABLE. That a key is over is told to those who have
  // its secret. `authorization` is the header's value.
  absl::StatusOr<CallerPtr> FindSecret(std::string_view authorization) const;
  // By the names in a client's certificate: the first that is a key.
  absl::StatusOr<CallerPtr> FindCertificate(std::span<const std::string> names) const;
  // When the first client is left without a key of one name, unless it gets another; InfiniteFuture: never. A key that
  // was rotated has another beside it.
  absl::Time NextLapse() const;
  // Whether one that was found still is a caller; the same errors.
  absl::Status Check(const Caller& caller) const;

 private:
  struct LastUse {
    std::atomic<int64_t> at_us{0};  // Unix time; 0: not used since the start
    int64_t written_us = 0;         // under writing_
  };
  struct Entry {
    storage::AccessKey key;
    CallerPtr caller;
    std::shared_ptr<LastUse> use;
  };
  struct Keys {
    int64_t version = 0;
    absl::flat_hash_map<std::string, Entry> by_id;
    absl::flat_hash_map<std::string, std::string> by_certificate;  // ids
    absl::Time next_over;                                          // of those that were not when they were read
  };
  struct Admin {
    KeyHash::Digest digest;
    CallerPtr caller;
  };

  std::shared_ptr<const Keys> Read(int64_t version, std::vector<storage::AccessKey> found) const;
  std::shared_ptr<const Keys> keys() const;
  std::shared_ptr<const Admin> admin() const;
  bool Stale() const;
  absl::Status CheckFresh() const;
  absl::Status CheckEntry(const Entry& entry) const;
  absl::StatusOr<CallerPtr> Use(const Entry& entry) const;
  void Changed() const {
    if (on_change_) on_change_();
  }

  storage::KeyStore& store_;
  const KeyHash hash_;
  const Clock& clock_;
  std::function<void()> on_change_;

  std::mutex writing_;     // of uses, one at a time; never held up by it: a refresh
  std::mutex refreshing_;  // one at a time
  bool told_stale_ = false;
  absl::Time looked_at_ = absl::InfinitePast();
  SteadyTime read_at_ = SteadyTime::InfinitePast();

  mutable std::mutex mutex_;  // over these, which are swapped
  std::shared_ptr<const Keys> keys_ = std::make_shared<Keys>();
  std::shared_ptr<const Admin> admin_;
  SteadyTime fresh_at_ = SteadyTime::InfinitePast();
};

}  // namespace waybill::access

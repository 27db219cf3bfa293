// How a service knows its callers: its settings, the keys in memory, and what keeps these fresh.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "edge/access/gate.h"
#include "edge/access/key.h"
#include "edge/access/key_ring.h"
#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "storage/postgres/key_store.h"
#include "storage/postgres/pool.h"

namespace waybill::process {

struct IdentityOptions {
  bool required = false;
  bool said = false;           // --identity was given
  std::string key_hash_file;   // empty: the service knows no keys
  std::string admin_key_file;  // empty: there is no key but those in the store
};

// --identity, --key-hash-file and --admin-key-file.
void AddIdentityFlags(CLI::App& app, IdentityOptions& options);
// INVALID_ARGUMENT when one lacks that another needs, or when other machines reach `listen` or `side_listen` and nobody
// has said whether strangers are let in.
absl::Status CheckIdentity(const IdentityOptions& options, const std::string& listen, const std::string& side_listen);

class CallerIdentity {
 public:
  // Reads the files, and warns that the service runs open. Nothing connects yet. INVALID_ARGUMENT names a file that is
  // wrong.
  static absl::StatusOr<std::unique_ptr<CallerIdentity>> Open(const IdentityOptions& options,
                                                              const std::string& database_url, const Clock& clock,
                                                              const Logger& log);
  ~CallerIdentity() { Stop(); }
  CallerIdentity(const CallerIdentity&) = delete;
  CallerIdentity& operator=(const CallerIdentity&) = delete;

  const access::Gate& gate() const { return gate_; }

  // This outlives the use of `metrics`.
  void AddMetrics(Metrics& metrics) const;

  // Before callers come. STORE_UNAVAILABLE.
  absl::Status ReadKeys();
  // Called when callers that were let in may not be any longer. Before Start.
  void OnChange(std::function<void()> on_change);
  // Keeps the keys fresh from now on. After the server's: whom it has let in by keys that were read before, is looked
  // at again.
  void Start(const Loops& loops);
  void Stop();  // joins

  // For those who administer keys; null: the service knows no keys.
  storage::KeyStore* store() { return keys_ ? &keys_->store : nullptr; }
  const access::KeyHash& hash() const { return *hash_; }
  void Refresh();  // at once

 private:
  struct Keys {
    Keys(const std::string& database_url, const access::KeyHash& hash, const Clock& clock);

    storage::Pool pool;
    storage::PostgresKeyStore store;
    access::KeyRing ring;
  };

  CallerIdentity(const IdentityOptions& options, std::optional<access::KeyHash> hash, const std::string& database_url,
                 const Clock& clock, const Logger& log);
  absl::Status ReadAdminKey();

  const IdentityOptions options_;
  const std::optional<access::KeyHash> hash_;
  const std::unique_ptr<Keys> keys_;  // null: no hash
  const access::Gate gate_;
  Chores chores_;        // what a revocation waits for
  Chores writing_uses_;  // beside it, for a statement that waits for a lock of another replica's
};

}  // namespace waybill::process

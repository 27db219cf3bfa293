#include "services/process/identity.h"

#include <utility>
#include <vector>

#include "fmt/format.h"
#include "runtime/local_address.h"

namespace waybill::process {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(250);  // a key that was revoked is refused within a second
constexpr absl::Duration kReadFile = absl::Seconds(1);
constexpr absl::Duration kWriteUses = absl::Minutes(1);
constexpr size_t kConnections = 4;  // one to read, one to write uses, and for two administrators

storage::ConnectionOptions KeyConnectionOptions() {
  storage::ConnectionOptions options = storage::WriteConnectionOptions();
  options.statement_timeout = absl::Seconds(3);  // one that hangs must not hold up the next look for long
  return options;
}

}  // namespace

void AddIdentityFlags(CLI::App& app, IdentityOptions& options) {
  app.add_option_function<std::string>(
         "--identity",
         [&options](const std::string& text) {
           options.required = text == "required";
           options.said = true;
         },
         "Whether a caller has to show a key or a certificate; open: whoever reaches the port is let in and taken at "
         "their word. Has to be said where other machines reach it")
      ->envname("WAYBILL_IDENTITY")
      ->check(CLI::IsMember({"open", "required"}))
      ->default_str("open");
  app.add_option("--key-hash-file", options.key_hash_file,
                 "File of 32 bytes or more, the same for every service: under it the hashes of keys are made")
      ->envname("WAYBILL_KEY_HASH_FILE");
  app.add_option("--admin-key-file", options.admin_key_file,
                 "File with the administrator's key, wb_admin_ and 32 letters and digits or more; read again when it "
                 "changes")
      ->envname("WAYBILL_ADMIN_KEY_FILE");
}

absl::Status CheckIdentity(const IdentityOptions& options, const std::string& listen, const std::string& side_listen) {
  for (const auto& [setting, address] : {std::pair("--listen", &listen), std::pair("--side-listen", &side_listen)}) {
    if (options.said || IsLocal(*address)) continue;
    return absl::InvalidArgumentError(fmt::format(
        "{} {} can be reached from other machines: say --identity required, or --identity open where somebody "
        "else keeps strangers away",
        setting, *address));
  }
  if (!options.key_hash_file.empty()) return absl::OkStatus();
  if (options.required) return absl::InvalidArgumentError("--identity required needs --key-hash-file");
  if (!options.admin_key_file.empty()) return absl::InvalidArgumentError("--admin-key-file needs --key-hash-file");
  return absl::OkStatus();
}

CallerIdentity::Keys::Keys(const std::string& database_url, const access::KeyHash& hash, const Clock& clock)
    : pool(database_url, KeyConnectionOptions(), storage::PoolOptions{kConnections}),
      store(pool),
      ring(store, hash, clock) {}

CallerIdentity::CallerIdentity(const IdentityOptions& options, std::optional<access::KeyHash> hash,
                               const std::string& database_url, const Clock& clock, const Logger& log)
    : options_(options),
      hash_(std::move(hash)),
      keys_(hash_ ? std::make_unique<Keys>(database_url, *hash_, clock) : nullptr),
      gate_(options.required ? access::Identity::kRequired : access::Identity::kOpen, keys_ ? &keys_->ring : nullptr),
      chores_(
          [this] {
            std::vector<Chore> chores;
            if (keys_ == nullptr) return chores;
            chores.push_back(EveryChore(kPoll, "reading keys", [this] { return keys_->ring.Refresh(); }));
            if (!options_.admin_key_file.empty()) {
              chores.push_back(
                  EveryChore(kReadFile, "reading the administrator's key", [this] { return ReadAdminKey(); }));
            }
            return chores;
          }(),
          clock, log),
      writing_uses_(
          [this] {
            std::vector<Chore> chores;
            if (keys_ == nullptr) return chores;
            chores.push_back(
                EveryChore(kWriteUses, "writing uses of keys", [this] { return keys_->ring.WriteUses(); }));
            return chores;
          }(),
          clock, log) {}

absl::StatusOr<std::unique_ptr<CallerIdentity>> CallerIdentity::Open(const IdentityOptions& options,
                                                                     const std::string& database_url,
                                                                     const Clock& clock, const Logger& log) {
  std::optional<access::KeyHash> hash;
  if (!options.key_hash_file.empty()) {
    absl::StatusOr<access::KeyHash> read = access::KeyHash::FromFile(options.key_hash_file);
    if (!read.ok()) {
      return absl::InvalidArgumentError(fmt::format("--key-hash-file: {}", std::string(read.status().message())));
    }
    hash = *std::move(read);
  }
  std::unique_ptr<CallerIdentity> identity(new CallerIdentity(options, std::move(hash), database_url, clock, log));
  if (absl::Status read = identity->ReadAdminKey(); !read.ok()) return read;
  if (!options.required) {
    log.Warn("open: whoever reaches the port is let in and taken at their word", {{"identity", "open"}});
  }
  return identity;
}

void CallerIdentity::AddMetrics(Metrics& metrics) const {
  metrics.AddCallbackGauge("waybill_access_keys_lapse_timestamp_seconds",
                           "When the first client is left without a key of one name, in Unix time; +Inf: never.",
                           [this] {
                             const absl::Time next = keys_ ? keys_->ring.NextLapse() : absl::InfiniteFuture();
                             return absl::ToDoubleSeconds(next - absl::UnixEpoch());
                           });
}

absl::Status CallerIdentity::ReadKeys() { return keys_ != nullptr ? keys_->ring.Refresh() : absl::OkStatus(); }

// A file that is gone, or wrong, is a key that is ended.
absl::Status CallerIdentity::ReadAdminKey() {
  if (options_.admin_key_file.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> secret = access::ReadSecretFile(options_.admin_key_file);
  keys_->ring.SetAdmin(secret.ok() ? std::optional(*secret) : std::nullopt);
  if (secret.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("--admin-key-file: {}", std::string(secret.status().message())));
}

void CallerIdentity::OnChange(std::function<void()> on_change) {
  if (keys_ != nullptr) keys_->ring.OnChange(std::move(on_change));
}

void CallerIdentity::Start(const Loops& loops) {
  if (keys_ == nullptr) return;
  chores_.Start(loops);
  writing_uses_.Start(loops);
}

void CallerIdentity::Stop() {
  chores_.Stop();
  writing_uses_.Stop();
}

void CallerIdentity::Refresh() {
  if (keys_ != nullptr) (void)keys_->ring.Refresh();  // else the next look finds it
}

}  // namespace waybill::process

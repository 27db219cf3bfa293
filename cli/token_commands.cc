// waybill token issue | make-key
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "cli/context.h"
#include "cli/values.h"
#include "domain/reasons.h"
#include "edge/access/key.h"
#include "edge/tokens/token.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/file.h"

namespace waybill::cli {
namespace {

constexpr size_t kSecretBytes = 32;

struct IssueArgs {
  std::string keys_file, key_id, ttl = "10m";
  tokens::Claims claims;
};

ExitCode Issue(const Context& context, IssueArgs args) {
  const absl::StatusOr<absl::Duration> ttl = ParseDuration(args.ttl);
  if (!ttl.ok()) return context.Fail(domain::BadField("--ttl", std::string(ttl.status().message())));
  if (*ttl < absl::Seconds(1) || *ttl > tokens::kLifeMax) {
    return context.Fail(domain::BadField("--ttl", fmt::format("{} is not between 1s and 24h", args.ttl)));
  }
  const absl::StatusOr<tokens::Keys> keys = tokens::Keys::Read(args.keys_file);
  if (!keys.ok()) return context.Fail(keys.status());
  const absl::Time now = context.clock.Now();
  args.claims.expires = absl::FromUnixSeconds(absl::ToUnixSeconds(now + *ttl));
  const absl::StatusOr<std::string> token = keys->Issue(args.claims, args.key_id, now);
  if (!token.ok()) return context.Fail(token.status());
  context.PrintLine(context.json ? nlohmann::json{{"token", *token}}.dump() : *token);
  return ExitCode::kOk;
}

struct MakeKeyArgs {
  std::string id, file;
};

// For its owner alone where it is new; what is there stays as it is.
absl::Status AppendTo(const std::string& path, const std::string& text) {
  const auto failed = [&] { return absl::InvalidArgumentError(fmt::format("--file: {}: {}", path, strerror(errno))); };
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return failed();
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = write(file, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    done += static_cast<size_t>(written);
  }
  absl::Status status = done == text.size() && fsync(file) == 0 ? absl::OkStatus() : failed();
  close(file);
  return status;
}

ExitCode MakeKey(const Context& context, const MakeKeyArgs& args) {
  const std::string& id = args.id;
  const std::string text = fmt::format("[[key]]\nid = \"{}\"\nalgorithm = \"HS256\"\nsecret = \"{}\"", id,
                                       absl::Base64Escape(access::SystemEntropy(kSecretBytes)));
  if (const auto readable = tokens::Keys::Parse(text, "--id"); !readable.ok()) return context.Fail(readable.status());
  if (args.file.empty()) {
    context.PrintLine(text);
  } else {
    std::string before;
    if (std::error_code ignored; std::filesystem::exists(args.file, ignored)) {
      absl::StatusOr<std::string> read = ReadFile(args.file);
      if (!read.ok()) return context.Fail(read.status());
      before = *std::move(read);
    }
    const std::string added = (before.empty() ? "" : before.ends_with('\n') ? "\n" : "\n\n") + text + "\n";
    if (const auto all = tokens::Keys::Parse(before + added, args.file); !all.ok()) return context.Fail(all.status());
    if (absl::Status status = AppendTo(args.file, added); !status.ok()) return context.Fail(status);
    context.Note(fmt::format("key \"{}\" is the last of {} now", id, args.file));
  }
  context.Note(
      "It is secret, and has no public half: who has it signs for everybody. It goes to waybill-realtime "
      "(--token-keys-file) and to the backend that signs, and nowhere else.");
  return ExitCode::kOk;
}

}  // namespace

void AddTokenCommands(CLI::App& app, Context& context) {
  CLI::App* token = app.add_subcommand("token", "Tokens of apps, for waybill-realtime");
  token->require_subcommand(1);
  token->footer("`waybill token COMMAND --help` explains each command with examples.");

  CLI::App* issue = token->add_subcommand("issue", "Sign a token, as a tenant's backend does for its users");
  auto args = std::make_shared<IssueArgs>();
  issue->add_option("--token-keys-file", args->keys_file, "File with the keys, as waybill-realtime has it")
      ->required()
      ->type_name("FILE");
  issue->add_option("--key", args->key_id, "The id of the key that signs (default: the last of the file)")
      ->type_name("ID");
  issue->add_option("--tenant", args->claims.tenant, "Whose orders: the client that creates them")->required();
  issue->add_option("--user", args->claims.user, "The user_id of the orders (default: all of the tenant's)");
  issue->add_option("--device", args->claims.device, "Which device of the user's");
  issue->add_option("--topic", args->claims.topics, "What may be followed: order:ID, or order:* for all; repeatable")
      ->required()
      ->type_name("TOPIC");
  issue->add_option("--ttl", args->ttl, "How long it is good, a day at most")
      ->capture_default_str()
      ->type_name("DURATION");
  issue->footer(
      "Example:\n  waybill token issue --token-keys-file keys.toml --tenant shop --user u-1 --topic 'order:*'");
  issue->callback([&context, args] { context.run = [&context, args] { return Issue(context, *args); }; });

  CLI::App* make_key = token->add_subcommand("make-key", "Make a fresh key, and add it to the file");
  auto made = std::make_shared<MakeKeyArgs>();
  make_key->add_option("--id", made->id, "Its id: 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.'")->required();
  make_key->add_option("--file", made->file, "Add it here; a new file is its owner's alone, 0600 (default: print it)")
      ->type_name("FILE");
  make_key->footer("Example:\n  waybill token make-key --id 2026-11 --file keys.toml");
  make_key->callback([&context, made] { context.run = [&context, made] { return MakeKey(context, *made); }; });
}

}  // namespace waybill::cli

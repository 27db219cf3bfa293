// waybill key create | list | rotate | revoke
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "services/process/flags.h"
#include "waybill/access/v1/access.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace access_v1 = waybill::access::v1;
using Keys = access_v1::AccessAdmin::StubInterface;

bool IsOver(const access_v1::Key& key, absl::Time now) {
  return key.has_revoke_time() || (key.has_expire_time() && ToTime(key.expire_time()) <= now);
}

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& words) {
  return fmt::format("{}", fmt::join(words.begin(), words.end(), " "));
}

std::string State(const access_v1::Key& key, absl::Time now) {
  if (key.has_revoke_time()) return "revoked " + ShowTime(ToTime(key.revoke_time()));
  if (!key.has_expire_time()) return "active";
  const std::string when = ShowTime(ToTime(key.expire_time()));
  return (IsOver(key, now) ? "expired " : "active until ") + when;
}

// What was made: for people the secret alone on standard output, so that it can go into a file, and the rest beside.
template <typename Response>
ExitCode ShowMade(const Context& context, const Response& made) {
  if (context.json) {
    context.PrintLine(ToJson(made));
    return ExitCode::kOk;
  }
  const access_v1::Key& key = made.key();
  if (made.secret().empty()) {
    context.Note(
        fmt::format("key {} of client {}: the certificate of {}", key.key_id(), key.client(), key.certificate()));
    return ExitCode::kOk;
  }
  context.PrintLine(made.secret());
  context.Note(fmt::format("key {} of client {}; nobody can read this secret again", key.key_id(), key.client()));
  return ExitCode::kOk;
}

// "90d" from now.
absl::Status TakeExpiry(const Context& context, const std::string& expires_in, google::protobuf::Timestamp& out) {
  absl::StatusOr<absl::Duration> after = ForOption("--expires-in", ParseDuration(expires_in));
  if (!after.ok()) return after.status();
  out = FromTime(context.clock.Now() + *after);
  return absl::OkStatus();
}

ExitCode FailKeys(const Context& context, const absl::Status& status) {
  if (status.code() != absl::StatusCode::kUnimplemented) return FailServer(context, status);
  return context.Fail(status, fmt::format("{} knows no keys: start it with --key-hash-file.", context.server));
}

ExitCode FailMade(const Context& context, const absl::Status& status) {
  const ExitCode code = FailKeys(context, status);
  if (IsRetryable(status) || status.code() == absl::StatusCode::kDeadlineExceeded) {
    context.Note(
        "Whether it was done is not known: `waybill key list` says. A key whose secret nobody has seen can be "
        "revoked.");
  }
  return code;
}

struct CreateKeyArgs {
  std::string name, client, certificate, expires_in;
  std::vector<std::string> scopes, drivers;
};

ExitCode CreateKey(const Context& context, const CreateKeyArgs& args) {
  access_v1::CreateKeyRequest request;
  request.set_name(args.name.empty() ? args.client : args.name);
  request.set_client(args.client);
  request.set_certificate(args.certificate);
  for (const std::string& scope : args.scopes) request.add_scopes(scope);
  for (const std::string& driver : args.drivers) request.add_drivers(driver);
  if (!args.expires_in.empty()) {
    absl::Status taken = TakeExpiry(context, args.expires_in, *request.mutable_expire_time());
    if (!taken.ok()) return context.Fail(taken);
  }
  absl::StatusOr<access_v1::CreateKeyResponse> made =
      Call<access_v1::AccessAdmin>(context.Once(), context.server, &Keys::CreateKey, request);
  return made.ok() ? ShowMade(context, *made) : FailMade(context, made.status());
}

ExitCode ListKeys(const Context& context, bool all) {
  bool more = false;
  absl::StatusOr<std::vector<access_v1::Key>> found = CallPages<access_v1::Key>(
      access_v1::ListKeysRequest(), 0, more,
      [&](const access_v1::ListKeysRequest& page, std::vector<access_v1::Key>& items, std::string& next) {
        absl::StatusOr<access_v1::ListKeysResponse> response =
            Call<access_v1::AccessAdmin>(context, context.server, &Keys::ListKeys, page);
        if (!response.ok()) return response.status();
        for (access_v1::Key& key : *response->mutable_keys()) items.push_back(std::move(key));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailKeys(context, found.status());
  const absl::Time now = context.clock.Now();
  if (!all) std::erase_if(*found, [&](const access_v1::Key& key) { return IsOver(key, now); });
  std::sort(found->begin(), found->end(), [](const access_v1::Key& a, const access_v1::Key& b) {
    return ToTime(a.create_time()) < ToTime(b.create_time());
  });
  using Overflow = Column::Overflow;
  Table table({{"KEY"},
               {"CLIENT"},
               {"NAME", Column::Align::kLeft, Overflow::kCut},
               {"SCOPES", Column::Align::kLeft, Overflow::kWrap},
               {"DRIVERS", Column::Align::kLeft, Overflow::kCut},
               {"CERTIFICATE"},
               {"STATE"},
               {"LAST USE"}});
  for (const access_v1::Key& key : *found) {
    if (context.json) {
      context.PrintLine(ToJson(key));
    } else {
      table.Add({key.key_id(), key.client(), key.name(), Joined(key.scopes()), Joined(key.drivers()), key.certificate(),
                 State(key, now),
                 key.has_last_use_time() ? ShowTime(ToTime(key.last_use_time())) : std::string("never")});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (found->empty()) context.Note(all ? "there are no keys" : "there are no keys that are not over");
  return ExitCode::kOk;
}

struct RotateKeyArgs {
  std::string id, overlap = "1d", expires_in;
};

ExitCode RotateKey(const Context& context, const RotateKeyArgs& args) {
  access_v1::RotateKeyRequest request;
  request.set_key_id(args.id);
  // "0" has no unit, and says what it means all the same.
  absl::StatusOr<absl::Duration> overlap =
      args.overlap == "0" ? absl::ZeroDuration() : ForOption("--overlap", ParseDuration(args.overlap));
  if (!overlap.ok()) return context.Fail(overlap.status());
  request.mutable_overlap()->set_seconds(absl::ToInt64Seconds(*overlap));
  request.mutable_overlap()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(*overlap % absl::Seconds(1))));
  if (!args.expires_in.empty()) {
    absl::Status taken = TakeExpiry(context, args.expires_in, *request.mutable_expire_time());
    if (!taken.ok()) return context.Fail(taken);
  }
  absl::StatusOr<access_v1::RotateKeyResponse> made =
      Call<access_v1::AccessAdmin>(context.Once(), context.server, &Keys::RotateKey, request);
  return made.ok() ? ShowMade(context, *made) : FailMade(context, made.status());
}

ExitCode RevokeKey(const Context& context, const std::string& id) {
  access_v1::RevokeKeyRequest request;
  request.set_key_id(id);
  absl::StatusOr<access_v1::Key> revoked =
      Call<access_v1::AccessAdmin>(context, context.server, &Keys::RevokeKey, request);
  if (!revoked.ok()) return FailKeys(context, revoked.status());
  context.PrintLine(context.json ? ToJson(*revoked)
                                 : Printable(fmt::format("{} of client {}: {}", revoked->key_id(), revoked->client(),
                                                         State(*revoked, context.clock.Now()))));
  return ExitCode::kOk;
}

void AddCreateKey(CLI::App& group, Context& context) {
  auto args = std::make_shared<CreateKeyArgs>();
  CLI::App* command = group.add_subcommand("create", "Make a key; its secret is printed once");
  command->add_option("--for", args->client, "The client that it is for: who owns orders and idempotency keys")
      ->required()
      ->type_name("CLIENT");
  command->add_option("--name", args->name, "For people (default: the client)")->type_name("TEXT");
  command->add_option("--scope", args->scopes, "What it may do; may be given many times")
      ->required()
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"orders:write", "orders:read", "locations:write", "locations:read", "ledger:write",
                             "ledger:read", "payouts:write", "payouts:read", "ops", "admin"}));
  command
      ->add_option("--driver", args->drivers,
                   "Whose positions it may write: an id, a beginning with * behind it, or *; may be given many times")
      ->allow_extra_args(false)
      ->type_name("PATTERN");
  command->add_option("--certificate", args->certificate, "Instead of a secret: a name in the client's certificate")
      ->type_name("NAME");
  command->add_option("--expires-in", args->expires_in, "When it ends by itself (default: never)")
      ->type_name("DURATION");
  command->footer(
      "Examples:\n"
      "  waybill key create --for shop --scope orders:write --scope orders:read --expires-in 90d >shop.key\n"
      "  waybill key create --for north --scope locations:write --driver 'north-*' >north.key\n"
      "  waybill key create --for billing --scope orders:read --certificate billing.internal\n"
      "\n"
      "The secret alone is on standard output. It counts in every process within a second.");
  command->callback([&context, args] { context.run = [&context, args] { return CreateKey(context, *args); }; });
}

void AddRotateKey(CLI::App& group, Context& context) {
  auto args = std::make_shared<RotateKeyArgs>();
  CLI::App* command =
      group.add_subcommand("rotate", "Make a second secret for a key's client, and let the first expire");
  command->add_option("id", args->id, "The key whose secret is to end")->required()->type_name("KEY");
  command->add_option("--overlap", args->overlap, "How long the first one goes on, up to 30d; 0: it ends at once")
      ->capture_default_str()
      ->type_name("DURATION");
  command->add_option("--expires-in", args->expires_in, "When the new one ends by itself (default: never)")
      ->type_name("DURATION");
  command->footer("Example:\n  waybill key rotate k3jx2m7qaaaa --overlap 7d >shop.key.new && mv shop.key.new shop.key");
  command->callback([&context, args] { context.run = [&context, args] { return RotateKey(context, *args); }; });
}

}  // namespace

void AddKeyCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("key", "For administrators: keys of callers");
  group->require_subcommand(1);
  group->footer(
      "Needs a key with the scope admin: the first one is the file of the service's --admin-key-file.\n"
      "`waybill key COMMAND --help` explains each command with examples.");
  AddCreateKey(*group, context);
  auto all = std::make_shared<bool>(false);
  CLI::App* list = group->add_subcommand("list", "List keys, oldest first");
  list->add_flag("--all", *all, "Those that have expired or were revoked, too");
  list->footer("Example:\n  waybill key list --all --json | jq -r 'select(.last_use_time == null).key_id'");
  list->callback([&context, all] { context.run = [&context, all] { return ListKeys(context, *all); }; });
  AddRotateKey(*group, context);
  auto id = std::make_shared<std::string>();
  CLI::App* revoke = group->add_subcommand("revoke", "End a key, and the calls that it has open");
  revoke->add_option("id", *id, "The key")->required()->type_name("KEY");
  revoke->footer("Example:\n  waybill key revoke k3jx2m7qaaaa\n\nIt is refused everywhere within a second.");
  revoke->callback([&context, id] { context.run = [&context, id] { return RevokeKey(context, *id); }; });
}

}  // namespace waybill::cli

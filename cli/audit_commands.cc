// waybill audit list | verify
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "services/process/flags.h"
#include "storage/audit_log.h"
#include "waybill/ops/v1/ops.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace audit_v1 = waybill::ops::v1;
using Audit = audit_v1::AuditAdmin::StubInterface;

absl::StatusOr<audit_v1::ListEntriesResponse> ListPage(const Context& context,
                                                       const audit_v1::ListEntriesRequest& page) {
  return Call<audit_v1::AuditAdmin>(context, context.server, &Audit::ListEntries, page);
}

// "shop (k3jx2m7qaaaa): ann"
std::string ShowActor(const audit_v1::AuditEntry& entry) {
  std::string who = entry.client().empty() ? "(anybody)" : entry.client();
  if (!entry.key_id().empty() && entry.key_id() != entry.client()) who += fmt::format(" ({})", entry.key_id());
  if (!entry.operator_().empty()) who += ": " + entry.operator_();
  return who;
}

struct ListAuditArgs {
  std::string client, action, kind, subject, from, to;
  size_t limit = 50;
};

ExitCode ListAudit(const Context& context, const ListAuditArgs& args) {
  audit_v1::ListEntriesRequest request;
  request.set_client(args.client);
  request.set_action(args.action);
  request.set_subject_kind(args.kind);
  request.set_subject(args.subject);
  const absl::Time now = context.clock.Now();
  for (const auto& [text, name, out] :
       {std::tuple(&args.from, "--from", request.mutable_from()), std::tuple(&args.to, "--to", request.mutable_to())}) {
    if (text->empty()) continue;
    absl::StatusOr<absl::Time> moment = ForOption(name, ParseMoment(*text, now));
    if (!moment.ok()) return context.Fail(moment.status());
    *out = FromTime(*moment);
  }
  if (args.from.empty()) request.clear_from();
  if (args.to.empty()) request.clear_to();
  bool more = false;
  absl::StatusOr<std::vector<audit_v1::AuditEntry>> found = CallPages<audit_v1::AuditEntry>(
      request, args.limit, more,
      [&](const audit_v1::ListEntriesRequest& page, std::vector<audit_v1::AuditEntry>& items, std::string& next) {
        absl::StatusOr<audit_v1::ListEntriesResponse> response = ListPage(context, page);
        if (!response.ok()) return response.status();
        for (audit_v1::AuditEntry& entry : *response->mutable_entries()) items.push_back(std::move(entry));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailServer(context, found.status());
  using Overflow = Column::Overflow;
  Table table({{"NO", Column::Align::kRight},
               {"TIME"},
               {"WHO", Column::Align::kLeft, Overflow::kWrap},
               {"ACTION"},
               {"SUBJECT"},
               {"DETAIL", Column::Align::kLeft, Overflow::kWrap}});
  for (const audit_v1::AuditEntry& entry : *found) {
    if (context.json) {
      context.PrintLine(ToJson(entry));
    } else {
      table.Add({fmt::format("{}", entry.sequence()), ShowTime(ToTime(entry.time())), ShowActor(entry), entry.action(),
                 entry.subject().empty() ? entry.subject_kind() + "s" : entry.subject(), entry.detail()});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (found->empty()) context.Note("no such entries");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

storage::AuditEntry FromWire(const audit_v1::AuditEntry& from) {
  storage::AuditEntry entry;
  entry.sequence = from.sequence();
  entry.at = ToTime(from.time());
  entry.by = {from.client(), from.key_id(), from.operator_()};
  entry.action = from.action();
  entry.subject_kind = from.subject_kind();
  entry.subject = from.subject();
  entry.detail = from.detail();
  entry.previous_hash = from.previous_hash();
  entry.hash = from.hash();
  return entry;
}

// What is known of the chain from elsewhere, each to be met on the way.
std::string Contradicts(const std::vector<storage::AuditHead>& known, const storage::AuditHead& reached) {
  const bool differs = std::any_of(known.begin(), known.end(), [&](const storage::AuditHead& head) {
    return head.sequence == reached.sequence && head.hash != reached.hash;
  });
  return differs ? fmt::format("entry {} is another than was remembered: the chain was written anew", reached.sequence)
                 : "";
}

// Every entry is read and hashed here: nothing is taken from the service but what it has stored.
ExitCode VerifyAudit(const Context& context, const std::string& remembered) {
  std::vector<storage::AuditHead> known;
  if (!remembered.empty()) {
    absl::StatusOr<storage::AuditHead> head = ForOption("--head", storage::ParseHead(remembered));
    if (!head.ok()) return context.Fail(head.status());
    known.push_back(*std::move(head));
  }
  audit_v1::ListEntriesRequest request;
  request.set_oldest_first(true);
  storage::AuditChain chain;
  std::string fault;
  bool first_page = true, more = false;
  const auto check_page = [&](const audit_v1::ListEntriesRequest& page, std::vector<audit_v1::AuditEntry>&,
                              std::string& next) {
    absl::StatusOr<audit_v1::ListEntriesResponse> response = ListPage(context, page);
    if (!response.ok()) return response.status();
    // What the store says is its newest entry, said before any was read: the list has to come that far.
    if (std::exchange(first_page, false)) known.push_back({response->head_sequence(), response->head_hash()});
    for (const audit_v1::AuditEntry& entry : response->entries()) {
      if (fault = chain.Add(FromWire(entry)); !fault.empty()) return absl::OkStatus();
      if (fault = Contradicts(known, chain.head()); !fault.empty()) return absl::OkStatus();
    }
    next = response->next_page_token();
    return absl::OkStatus();
  };
  absl::StatusOr<std::vector<audit_v1::AuditEntry>> read =
      CallPages<audit_v1::AuditEntry>(request, 0, more, check_page);
  if (!read.ok()) return FailServer(context, read.status());
  for (const storage::AuditHead& head : known) {
    if (!fault.empty() || head.sequence <= chain.head().sequence) continue;
    fault = fmt::format("entries {} to {} are missing: the end was cut off", chain.head().sequence + 1, head.sequence);
  }
  const std::string head = storage::ShowHead(chain.head());
  if (context.json) {
    context.PrintLine(fmt::format(R"({{"unbroken":{},"entries":"{}","head":"{}","fault":"{}"}})", fault.empty(),
                                  chain.head().sequence, head, fault));
  } else if (fault.empty()) {
    context.PrintLine(head);
    context.Note(
        fmt::format("{} entries, none missing or changed. Keep the line above elsewhere: with --head it shows "
                    "next time whether the chain was cut or written anew",
                    chain.head().sequence));
  }
  if (fault.empty()) return ExitCode::kOk;
  return context.Fail(absl::DataLossError(fault), fmt::format("Unbroken up to {}.", head));
}

}  // namespace

void AddAuditCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("audit", "Who did what to which saga, order, key, driver, gateway or setting");
  group->require_subcommand(1);
  group->footer("`waybill audit COMMAND --help` explains each command with examples.");

  auto args = std::make_shared<ListAuditArgs>();
  CLI::App* list = group->add_subcommand("list", "List entries, newest first");
  list->add_option("--of", args->client, "Only what this client did")->type_name("CLIENT");
  list->add_option("--action", args->action,
                   "Only this, such as key.revoke, or with a dot at the end all that begin so: key.")
      ->check(CLI::Validator(
          [](const std::string& text) {
            return text.find('.') == std::string::npos ? "is no action, such as key.revoke, nor a group, such as key."
                                                       : "";
          },
          ""))
      ->type_name("ACTION");
  list->add_option("--kind", args->kind, "Only what was done to such a thing")
      ->check(CLI::IsMember({"saga", "order", "key", "driver", "gateway", "settlement", "case", "setting", "process"}));
  list->add_option("--subject", args->subject, "Only what was done to this one: the id of an order, a key, …")
      ->type_name("ID");
  list->add_option("--from", args->from, "Only since then: a time, a date, or 2h for two hours ago")->type_name("TIME");
  list->add_option("--to", args->to, "Only before then")->type_name("TIME");
  process::AddInteger(*list, "--limit", args->limit, "At most so many; 0: all")->capture_default_str()->type_name("N");
  list->footer(
      "Examples:\n"
      "  waybill audit list --from 2h\n"
      "  waybill audit list --action key. --of shop\n"
      "  waybill audit list --subject 01938f2e-7d4b-7c1a-9a55-3f0c2b7f6a11 --json | jq -r .detail");
  list->callback([&context, args] { context.run = [&context, args] { return ListAudit(context, *args); }; });

  auto head = std::make_shared<std::string>();
  CLI::App* verify = group->add_subcommand("verify", "Read all entries, and check that none is missing or changed");
  verify->add_option("--head", *head, "What it printed an earlier time, which the chain still has to have")
      ->check(CLI::Validator(
          [](const std::string& text) {
            return storage::ParseHead(text).ok() ? "" : "is not NO:HASH, as it was printed";
          },
          ""))
      ->type_name("NO:HASH");
  verify->footer(
      "Examples:\n"
      "  waybill audit verify >audit.head\n"
      "  waybill --timeout 10m audit verify --head \"$(cat audit.head)\" >audit.head.new && mv audit.head.new "
      "audit.head\n"
      "\n"
      "Prints the newest entry as NO:HASH. Exit code 1 names the first entry that is missing or changed.");
  verify->callback([&context, head] { context.run = [&context, head] { return VerifyAudit(context, *head); }; });
}

}  // namespace waybill::cli

// waybill ledger account | transfer | balance | statement | trial-balance | verify | batches
#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "cli/context.h"
#include "cli/fields.h"
#include "cli/interrupts.h"
#include "cli/ledger_report.h"
#include "cli/money.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/transfer_file.h"
#include "cli/values.h"
#include "domain/reasons.h"
#include "ledger/result.h"
#include "runtime/file.h"
#include "runtime/ids.h"
#include "services/process/flags.h"
#include "waybill/ledger/v1/ledger.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace pb = waybill::ledger::v1;
using Service = pb::LedgerService;
using Stub = Service::StubInterface;
using Admin = pb::LedgerAdmin;
constexpr Column::Align kRight = Column::Align::kRight;
constexpr int64_t kFileRequest = 1'000;  // transfers

// --- Shared.

// Scripts have the contract's names of fields, people those of the options.
ExitCode FailLedger(const Context& context, const absl::Status& status, OptionsOfFields options = {}) {
  return context.Fail(context.json ? status : NameOptions(status, options),
                      HintFor(status, context.ledger, "--ledger or WAYBILL_LEDGER"));
}

std::string Lower(const std::string& name) { return absl::AsciiStrToLower(name); }

absl::StatusOr<google::protobuf::Timestamp> TakeMoment(const Context& context, const std::string& option,
                                                       const std::string& text) {
  absl::StatusOr<absl::Time> time = ForOption(option, ParseMoment(text, context.clock.Now()));
  if (!time.ok()) return time.status();
  return FromTime(*time);
}

void AddOf(CLI::App& command, std::string& of) {
  command.add_option("--of", of, "For operators: this client's, not one's own")->type_name("CLIENT");
}

void AddFormat(CLI::App& command, std::string& format) {
  CLI::App* root = &command;
  while (root->get_parent() != nullptr) root = root->get_parent();
  command.add_option("--format", format, "For people, spreadsheets, or as a page")
      ->check(CLI::IsMember({"text", "csv", "html"}))
      ->capture_default_str()
      ->excludes(root->get_option("--json"));
}

template <typename View>
void Render(const Context& context, const std::string& format, const View& view) {
  if (format == "csv") {
    context.Print(RenderCsv(view));
  } else if (format == "html") {
    context.Print(RenderHtml(view));
  } else {
    context.Print(RenderText(view, context.out));
  }
}

// --- Accounts.

std::string FlagsOf(const pb::AccountFlags& flags) {
  std::string text;
  for (const auto& [set, name] : {std::pair(flags.debits_must_not_exceed_credits(), "debits must not exceed credits"),
                                  std::pair(flags.credits_must_not_exceed_debits(), "credits must not exceed debits"),
                                  std::pair(flags.history(), "history is kept"), std::pair(flags.closed(), "closed")}) {
    if (set) text += (text.empty() ? "" : ", ") + std::string(name);
  }
  return text;
}

void ShowAccount(const Context& context, const pb::Account& account) {
  if (context.json) {
    context.PrintLine(ToJson(account));
    return;
  }
  const auto money = [&](int64_t minor) { return ShowMoney(minor, account.currency()); };
  std::string metadata;
  for (const auto& [key, value] : account.metadata()) {
    metadata += fmt::format("{}{}={}", metadata.empty() ? "" : ", ", key, value);
  }
  const pb::Balance& balance = account.balance();
  const auto unless_zero = [&](int64_t minor) { return minor == 0 ? "" : money(minor); };
  ShowFields(context, {{"account", account.account_id()},
                       {"client", account.client()},
                       {"owner", account.owner()},
                       {"kind", fmt::format("{}, code {}", account.kind(), account.code())},
                       {"belongs to", account.parent_id()},
                       {"flags", FlagsOf(account.flags())},
                       {"metadata", metadata},
                       {"opened", ShowTime(ToTime(account.create_time()))},
                       {"available", money(account.available_minor())},
                       {"debits", money(balance.debits_posted())},
                       {"credits", money(balance.credits_posted())},
                       {"debits held", unless_zero(balance.debits_pending())},
                       {"credits held", unless_zero(balance.credits_pending())}});
}

struct AccountArgs {
  std::string id, owner, currency, kind, parent;
  int32_t code = 1;
  bool debits_within_credits = false, credits_within_debits = false, history = false;
  std::vector<std::string> metadata;
};

ExitCode CreateAccount(const Context& context, const AccountArgs& args) {
  pb::NewAccount request;
  request.set_account_id(args.id);
  request.set_owner(args.owner);
  request.set_currency(args.currency);
  request.set_kind(args.kind);
  request.set_code(args.code);
  request.set_parent_id(args.parent);
  request.mutable_flags()->set_debits_must_not_exceed_credits(args.debits_within_credits);
  request.mutable_flags()->set_credits_must_not_exceed_debits(args.credits_within_debits);
  request.mutable_flags()->set_history(args.history);
  for (const std::string& text : args.metadata) {
    absl::StatusOr<std::pair<std::string, std::string>> pair = ForOption("--metadata", ParsePair(text));
    if (!pair.ok()) {
      return context.Fail(pair.status());
    }
    (*request.mutable_metadata())[pair->first] = pair->second;
  }
  absl::StatusOr<pb::Account> account = Call<Service>(context, context.ledger, &Stub::CreateAccount, request);
  if (!account.ok()) {
    return FailLedger(context, account.status(),
                      {{"account_id", "ACCOUNT"},
                       {"owner", "--owner"},
                       {"currency", "--currency"},
                       {"kind", "--kind"},
                       {"code", "--code"},
                       {"flags", "--no-overdraft, --no-surplus, --history"},
                       {"metadata", "--metadata"},
                       {"parent_id", "--parent"}});
  }
  ShowAccount(context, *account);
  return ExitCode::kOk;
}

struct GetArgs {
  std::string id, of;
};

ExitCode GetAccount(const Context& context, const GetArgs& args) {
  pb::GetAccountRequest request;
  request.set_account_id(args.id);
  request.set_client(args.of);
  absl::StatusOr<pb::Account> account = Call<Service>(context, context.ledger, &Stub::GetAccount, request);
  if (!account.ok()) return FailLedger(context, account.status());
  ShowAccount(context, *account);
  return ExitCode::kOk;
}

struct ListArgs {
  std::string owner, currency, kind, parent, of;
  int32_t code = 0;
  bool all_clients = false;
  size_t limit = 50;
};

ExitCode ListAccounts(const Context& context, const ListArgs& args) {
  pb::ListAccountsRequest request;
  request.set_owner(args.owner);
  request.set_currency(args.currency);
  request.set_kind(args.kind);
  request.set_code(args.code);
  request.set_parent_id(args.parent);
  request.set_client(args.of);
  request.set_all_clients(args.all_clients);
  bool more = false;
  absl::StatusOr<std::vector<pb::Account>> found = CallPages<pb::Account>(
      request, args.limit, more,
      [&](const pb::ListAccountsRequest& page, std::vector<pb::Account>& items, std::string& next) {
        absl::StatusOr<pb::ListAccountsResponse> response =
            Call<Service>(context, context.ledger, &Stub::ListAccounts, page);
        if (!response.ok()) return response.status();
        for (pb::Account& one : *response->mutable_accounts()) items.push_back(std::move(one));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailLedger(context, found.status());
  std::vector<Column> columns = {{"ACCOUNT"}, {"OWNER", Column::Align::kLeft, Column::Overflow::kCut},
                                 {"KIND"},    {"CODE", kRight},
                                 {"PARENT"},  {"AVAILABLE", kRight},
                                 {"FLAGS"}};
  if (args.all_clients) columns.insert(columns.begin(), Column{"CLIENT"});
  Table table(std::move(columns));
  for (const pb::Account& one : *found) {
    if (context.json) {
      context.PrintLine(ToJson(one));
      continue;
    }
    std::vector<Cell> row = {one.account_id(),    one.owner(),
                             one.kind(),          fmt::format("{}", one.code()),
                             one.parent_id(),     ShowMoney(one.available_minor(), one.currency()),
                             FlagsOf(one.flags())};
    if (args.all_clients) row.insert(row.begin(), Cell(one.client()));
    table.Add(std::move(row));
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (found->empty()) context.Note("no such accounts");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

template <typename Request>
ExitCode SetClosed(const Context& context, const std::string& id,
                   grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, pb::Account*)) {
  Request request;
  request.set_account_id(id);
  absl::StatusOr<pb::Account> account = Call<Service>(context, context.ledger, method, request);
  if (!account.ok()) return FailLedger(context, account.status());
  ShowAccount(context, *account);
  return ExitCode::kOk;
}

// --- Transfers.

// In a person's words, for errors: "26.00 EUR from ida to jan", "24.80 EUR of ride-1 posted".
std::string WhatOf(const pb::NewTransfer& transfer) {
  std::string what = transfer.amount_minor() > 0 ? ShowMoney(transfer.amount_minor(), transfer.currency()) : "";
  if (transfer.pending_id().empty()) {
    what += fmt::format("{}from {} to {}", what.empty() ? "" : " ", transfer.debit_account_id(),
                        transfer.credit_account_id());
  } else {
    what += fmt::format("{}{} {}", what.empty() ? "" : " of ", transfer.pending_id(),
                        transfer.phase() == pb::POST ? "posted" : "voided");
  }
  return what;
}
std::string WhichTransfer(const pb::NewTransfer& transfer) {
  return fmt::format("{} ({})", transfer.transfer_id(), WhatOf(transfer));
}

// As an error of the service's, with the result's own words.
absl::Status StatusOf(const pb::NewTransfer& transfer, const pb::TransferOutcome& outcome) {
  const std::string name = Lower(pb::TransferOutcome::Result_Name(outcome.result()));
  const std::optional<ledger::TransferResult> result = ledger::ParseTransferResult(name);
  if (!result) return absl::UnknownError(fmt::format("transfer {}: {}", transfer.transfer_id(), name));
  const ledger::ResultRow& row = Row(*result);
  ErrorDetail detail;
  detail.metadata.emplace_back("result", name);
  switch (row.of) {
    case ledger::ResultClass::kDone:
      return absl::OkStatus();
    case ledger::ResultClass::kMalformed:
      detail.violations.emplace_back(outcome.field(), row.meaning);
      return domain::ReasonError("BAD_REQUEST", fmt::format("transfer {}", WhichTransfer(transfer)), std::move(detail));
    case ledger::ResultClass::kConflict:
    case ledger::ResultClass::kRefused:
      detail.metadata.emplace_back("field", outcome.field());
      break;
  }
  return domain::ReasonError(row.of == ledger::ResultClass::kConflict ? "TRANSFER_ID_REUSED" : "TRANSFER_REFUSED",
                             fmt::format("transfer {}: {}", WhichTransfer(transfer), row.meaning), std::move(detail));
}

absl::StatusOr<pb::CreateTransfersResponse> Create(const Context& context, const pb::CreateTransfersRequest& request) {
  absl::StatusOr<pb::CreateTransfersResponse> response =
      Call<Service>(context, context.ledger, &Stub::CreateTransfers, request);
  if (response.ok() && response->outcomes_size() != request.transfers_size()) {
    return absl::InternalError("the service answered for another number of transfers");
  }
  return response;
}

void ShowTransfer(const Context& context, const pb::Transfer& transfer) {
  if (context.json) {
    context.PrintLine(ToJson(transfer));
    return;
  }
  const auto money = [&](int64_t minor) { return ShowMoney(minor, transfer.currency()); };
  std::string state = Lower(pb::Phase_Name(transfer.phase()));
  if (transfer.resolution() != pb::Transfer::RESOLUTION_UNSPECIFIED) {
    state += fmt::format(", {}", Lower(pb::Transfer::Resolution_Name(transfer.resolution())));
    if (!transfer.resolved_by().empty()) state += fmt::format(" by {}", transfer.resolved_by());
  }
  ShowFields(context,
             {{"transfer", transfer.transfer_id()},
              {"phase", state},
              {"from", transfer.debit_account_id()},
              {"to", transfer.credit_account_id()},
              {"amount", money(transfer.amount_minor())},
              {"asked for", transfer.requested_minor() == transfer.amount_minor() || transfer.requested_minor() == 0
                                ? ""
                                : money(transfer.requested_minor())},
              {"ends", transfer.pending_id()},
              // Of what was held, what this did not move.
              {"set free", transfer.released_minor() <= transfer.amount_minor()
                               ? ""
                               : money(transfer.released_minor() - transfer.amount_minor())},
              {"corrects", transfer.corrects_id()},
              {"code", fmt::format("{}", transfer.code())},
              {"user data", transfer.user_data()},
              {"held until", transfer.has_expire_time() ? ShowTime(ToTime(transfer.expire_time())) : ""},
              {"made", fmt::format("{}, number {}", ShowTime(ToTime(transfer.create_time())), transfer.number())}});
}

ExitCode GetTransfer(const Context& context, const GetArgs& args) {
  pb::GetTransferRequest request;
  request.set_transfer_id(args.id);
  request.set_client(args.of);
  absl::StatusOr<pb::Transfer> transfer = Call<Service>(context, context.ledger, &Stub::GetTransfer, request);
  if (!transfer.ok()) return FailLedger(context, transfer.status());
  ShowTransfer(context, *transfer);
  return ExitCode::kOk;
}

// Makes one, and shows it: as it stands, or, to who may not read or when it cannot be read, what it was answered with.
ExitCode Make(const Context& context, pb::NewTransfer transfer, OptionsOfFields options) {
  std::string again;
  if (transfer.transfer_id().empty()) {
    transfer.set_transfer_id(IdGenerator(context.clock, context.random).Next().ToString());
    again = fmt::format("repeating with --id {} makes nothing twice", transfer.transfer_id());
  }
  const LastWords last_words(again);
  pb::CreateTransfersRequest request;
  *request.add_transfers() = transfer;
  absl::StatusOr<pb::CreateTransfersResponse> response = Create(context, request);
  if (!response.ok()) {
    if (!again.empty() && MayBeDone(response.status())) context.Note(again);
    return FailLedger(context, response.status(), options);
  }
  if (absl::Status refused = StatusOf(transfer, response->outcomes(0)); !refused.ok()) {
    return FailLedger(context, refused, options);
  }
  const pb::TransferOutcome& outcome = response->outcomes(0);
  if (outcome.result() == pb::TransferOutcome::EXISTS) context.Note("it had been made before");
  pb::GetTransferRequest made;
  made.set_transfer_id(transfer.transfer_id());
  if (absl::StatusOr<pb::Transfer> shown = Call<Service>(context, context.ledger, &Stub::GetTransfer, made);
      shown.ok()) {
    ShowTransfer(context, *shown);
    return ExitCode::kOk;
  }
  if (context.json) {
    context.PrintLine(ToJson(outcome));
    return ExitCode::kOk;
  }
  context.Note("it is made, and cannot be shown as it stands");
  ShowFields(context,
             {{"transfer", transfer.transfer_id()},
              {"made", fmt::format("{}, number {}", ShowTime(ToTime(outcome.create_time())), outcome.number())}});
  return ExitCode::kOk;
}

struct TransferArgs {
  std::string file, id, from, to, amount, currency, user_data, expires_in, corrects;
  int32_t code = 1;
  bool pending = false, balancing_debit = false, balancing_credit = false;
};

void FillTransfer(const ledger::NewTransfer& line, pb::NewTransfer& out) {
  out.set_transfer_id(line.id);
  out.set_phase(static_cast<pb::Phase>(static_cast<int>(line.phase) + 1));
  out.set_debit_account_id(line.debit_account);
  out.set_credit_account_id(line.credit_account);
  out.set_currency(line.currency);
  out.set_code(line.code);
  out.set_user_data(line.user_data);
  out.set_amount_minor(line.amount_minor);
  out.set_pending_id(line.pending_id);
  out.set_timeout_seconds(line.timeout_seconds);
  out.set_linked(line.linked);
  out.set_balancing_debit(line.balancing_debit);
  out.set_balancing_credit(line.balancing_credit);
  out.set_corrects_id(line.corrects);
}

void ShowOutcome(const Context& context, int line, const pb::NewTransfer& transfer,
                 const pb::TransferOutcome& outcome) {
  const std::string name = Lower(pb::TransferOutcome::Result_Name(outcome.result()));
  if (context.json) {
    std::string json = ToJson(outcome);
    json.insert(1, fmt::format("\"line\":{},\"transfer_id\":\"{}\",", line, transfer.transfer_id()));
    context.PrintLine(json);
    return;
  }
  const std::optional<ledger::TransferResult> result = ledger::ParseTransferResult(name);
  const bool done = result && Done(*result);
  std::string what = done ? (transfer.currency().empty() ? "" : ShowMoney(outcome.amount_minor(), transfer.currency()))
                          : fmt::format("{}: {} ({})", ColumnOf(outcome.field()), result ? Row(*result).meaning : "",
                                        WhatOf(transfer));
  context.PrintLine(Printable(fmt::format("{} {} {} {}", line, transfer.transfer_id(), name, what)));
}

ExitCode CreateFromFile(const Context& context, const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return context.Fail(text.status(), "Nothing was sent.");
  std::istringstream in(*std::move(text));
  absl::StatusOr<std::vector<TransferLine>> lines = ReadTransfers(in, path);
  if (!lines.ok()) return context.Fail(lines.status(), "Nothing was sent.");
  size_t done = 0;
  for (size_t sent = 0; sent < lines->size();) {
    const size_t size = NextRequest(*lines, sent, kFileRequest);
    pb::CreateTransfersRequest request;
    for (size_t i = sent; i < sent + size; ++i) FillTransfer((*lines)[i].transfer, *request.add_transfers());
    absl::StatusOr<pb::CreateTransfersResponse> response = Create(context, request);
    if (!response.ok()) {
      context.Note(fmt::format("from line {} on nothing is known: send the same file again, which makes nothing twice",
                               (*lines)[sent].line));
      return FailLedger(context, response.status());
    }
    for (size_t i = 0; i < size; ++i) {
      const pb::TransferOutcome& outcome = response->outcomes(static_cast<int>(i));
      const pb::NewTransfer& transfer = request.transfers(static_cast<int>(i));
      ShowOutcome(context, (*lines)[sent + i].line, transfer, outcome);
      if (StatusOf(transfer, outcome).ok()) ++done;
    }
    sent += size;
  }
  context.Note(fmt::format("{} of {} transfers are made", done, lines->size()));
  return done == lines->size() ? ExitCode::kOk : ExitCode::kPartly;
}

ExitCode CreateTransfer(const Context& context, const TransferArgs& args) {
  if (!args.file.empty()) return CreateFromFile(context, args.file);
  const bool balances = args.balancing_debit || args.balancing_credit;
  for (const auto& [given, option] : {std::pair(!args.from.empty(), "--from: which account is debited?"),
                                      std::pair(!args.to.empty(), "--to: which account is credited?"),
                                      std::pair(!args.amount.empty() || balances, "--amount: how much?")}) {
    if (!given) return context.Fail(absl::InvalidArgumentError(option));
  }
  pb::NewTransfer transfer;
  transfer.set_transfer_id(args.id);
  transfer.set_phase(args.pending ? pb::PENDING : pb::SINGLE);
  transfer.set_debit_account_id(args.from);
  transfer.set_credit_account_id(args.to);
  transfer.set_code(args.code);
  transfer.set_user_data(args.user_data);
  transfer.set_balancing_debit(args.balancing_debit);
  transfer.set_balancing_credit(args.balancing_credit);
  transfer.set_corrects_id(args.corrects);
  transfer.set_currency(args.currency);
  if (!args.amount.empty()) {
    absl::StatusOr<Amount> amount = ParseAmount(args.amount, args.currency);
    if (!amount.ok()) return context.Fail(amount.status());
    transfer.set_amount_minor(amount->minor);
    transfer.set_currency(amount->currency);
  }
  if (!args.expires_in.empty()) {
    absl::StatusOr<absl::Duration> timeout = ParseDuration(args.expires_in);
    if (!timeout.ok() || *timeout < absl::Seconds(1)) {
      return context.Fail(absl::InvalidArgumentError("--expires-in: write it like 90s, 15m or 7d; a second at least"));
    }
    transfer.set_timeout_seconds(absl::ToInt64Seconds(*timeout));
  }
  return Make(context, std::move(transfer),
              {{"transfer_id", "--id"},
               {"debit_account_id", "--from"},
               {"credit_account_id", "--to"},
               {"amount_minor", "--amount"},
               {"currency", "--currency"},
               {"code", "--code"},
               {"user_data", "--user-data"},
               {"timeout_seconds", "--expires-in"},
               {"balancing_debit", "--balancing-debit, --balancing-credit"},
               {"corrects_id", "--corrects"}});
}

struct EndArgs {
  std::string pending, id, amount, currency;
};

ExitCode EndTransfer(const Context& context, const EndArgs& args, pb::Phase phase) {
  pb::NewTransfer transfer;
  transfer.set_transfer_id(args.id);
  transfer.set_phase(phase);
  transfer.set_pending_id(args.pending);
  if (!args.amount.empty()) {
    std::string currency = args.currency;
    if (currency.empty() && std::none_of(args.amount.begin(), args.amount.end(), absl::ascii_isalpha)) {
      pb::GetTransferRequest request;
      request.set_transfer_id(args.pending);
      absl::StatusOr<pb::Transfer> pending = Call<Service>(context, context.ledger, &Stub::GetTransfer, request);
      if (!pending.ok()) return FailLedger(context, pending.status());
      currency = pending->currency();
    }
    absl::StatusOr<Amount> amount = ParseAmount(args.amount, currency);
    if (!amount.ok()) return context.Fail(amount.status());
    transfer.set_amount_minor(amount->minor);
    transfer.set_currency(amount->currency);
  }
  return Make(
      context, std::move(transfer),
      {{"transfer_id", "--id"}, {"pending_id", "TRANSFER"}, {"amount_minor", "--amount"}, {"currency", "--currency"}});
}

// --- Balances.

struct BalanceArgs {
  std::string id, of, at;
};

ExitCode ShowBalance(const Context& context, const BalanceArgs& args) {
  pb::GetBalanceRequest request;
  request.set_account_id(args.id);
  request.set_client(args.of);
  if (!args.at.empty()) {
    absl::StatusOr<google::protobuf::Timestamp> at = TakeMoment(context, "--at", args.at);
    if (!at.ok()) return context.Fail(at.status());
    *request.mutable_at() = *at;
  }
  absl::StatusOr<pb::GetBalanceResponse> balance = Call<Service>(context, context.ledger, &Stub::GetBalance, request);
  if (!balance.ok()) return FailLedger(context, balance.status());
  if (context.json) {
    context.PrintLine(ToJson(*balance));
    return ExitCode::kOk;
  }
  const auto money = [&](int64_t minor) { return ShowMoney(minor, balance->currency()); };
  ShowFields(context, {{"available", money(balance->available_minor())},
                       {"debits", money(balance->balance().debits_posted())},
                       {"credits", money(balance->balance().credits_posted())},
                       {"debits held", money(balance->balance().debits_pending())},
                       {"credits held", money(balance->balance().credits_pending())},
                       {"since", balance->has_since() ? ShowTime(ToTime(balance->since())) : ""},
                       {"settled", args.at.empty()      ? ""
                                   : balance->settled() ? "yes"
                                                        : "not yet: it may still change"}});
  return ExitCode::kOk;
}

struct StatementArgs {
  std::string id, of, from, to, side, format = "text";
  size_t limit = 50;
};

StatementView::Line LineOf(const pb::Transfer& transfer, const std::string& account) {
  StatementView::Line line;
  line.at = ToTime(transfer.create_time());
  line.transfer = transfer.transfer_id();
  line.phase = Lower(pb::Phase_Name(transfer.phase()));
  line.debit = transfer.debit_account_id() == account;
  line.counterpart = line.debit ? transfer.credit_account_id() : transfer.debit_account_id();
  line.minor = transfer.amount_minor();
  if (transfer.phase() == pb::PENDING) {
    const bool open = transfer.resolution() == pb::Transfer::OPEN;
    line.hold = open ? "held" : Lower(pb::Transfer::Resolution_Name(transfer.resolution()));
  }
  std::vector<std::string> notes;
  if (!transfer.user_data().empty()) notes.push_back(transfer.user_data());
  if (!transfer.pending_id().empty()) notes.push_back("ends " + transfer.pending_id());
  if (!transfer.corrects_id().empty()) notes.push_back("corrects " + transfer.corrects_id());
  line.note = fmt::format("{}", fmt::join(notes, "; "));
  return line;
}

ExitCode Statement(const Context& context, const StatementArgs& args) {
  pb::ListTransfersRequest request;
  request.set_account_id(args.id);
  request.set_client(args.of);
  if (!args.side.empty()) {
    request.set_side(args.side == "debits" ? pb::ListTransfersRequest::DEBITS : pb::ListTransfersRequest::CREDITS);
  }
  for (const auto& [option, text, time] :
       {std::tuple("--from", &args.from, request.mutable_from()), std::tuple("--to", &args.to, request.mutable_to())}) {
    if (text->empty()) continue;
    absl::StatusOr<google::protobuf::Timestamp> taken = TakeMoment(context, option, *text);
    if (!taken.ok()) return context.Fail(taken.status());
    *time = *taken;
  }
  if (args.from.empty()) request.clear_from();
  if (args.to.empty()) request.clear_to();
  pb::GetAccountRequest of;
  of.set_account_id(args.id);
  of.set_client(args.of);
  absl::StatusOr<pb::Account> account = Call<Service>(context, context.ledger, &Stub::GetAccount, of);
  if (!account.ok()) return FailLedger(context, account.status());
  StatementView view;
  view.as_of = context.clock.Now();
  bool more = false;
  absl::StatusOr<std::vector<pb::Transfer>> found = CallPages<pb::Transfer>(
      request, args.limit, more,
      [&](const pb::ListTransfersRequest& page, std::vector<pb::Transfer>& items, std::string& next) {
        absl::StatusOr<pb::ListTransfersResponse> response =
            Call<Service>(context, context.ledger, &Stub::ListTransfers, page);
        if (!response.ok()) return response.status();
        for (pb::Transfer& one : *response->mutable_transfers()) items.push_back(std::move(one));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailLedger(context, found.status());
  if (context.json) {
    for (const pb::Transfer& one : *found) context.PrintLine(ToJson(one));
  } else {
    view.account = account->account_id();
    view.owner = account->owner();
    view.currency = account->currency();
    view.kind = account->kind();
    view.span = fmt::format("{} to {}", request.has_from() ? ShowTime(ToTime(request.from())) : "the beginning",
                            request.has_to() ? ShowTime(ToTime(request.to())) : "now");
    view.available_minor = account->available_minor();
    view.more = more;
    for (const pb::Transfer& one : *found) view.lines.push_back(LineOf(one, args.id));
    Render(context, args.format, view);
  }
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", args.limit));
  return ExitCode::kOk;
}

// --- For operators.

struct TrialArgs {
  std::string of, format = "text";
};

ExitCode TrialBalance(const Context& context, const TrialArgs& args) {
  pb::TrialBalanceRequest request;
  request.set_client(args.of);
  absl::StatusOr<pb::TrialBalanceResponse> response =
      Call<Admin>(context, context.ledger, &Admin::StubInterface::TrialBalance, request);
  if (!response.ok()) return FailLedger(context, response.status());
  TrialBalanceView view;
  view.as_of = ToTime(response->time());
  for (const pb::TrialBalanceLine& line : response->lines()) {
    if (context.json) context.PrintLine(ToJson(line));
    view.lines.push_back({line.client(), line.currency(), line.kind(), line.accounts(), line.debits_posted(),
                          line.credits_posted(), line.debits_pending(), line.credits_pending()});
  }
  if (!context.json) Render(context, args.format, view);
  // A client alone need not balance: payouts move money from its accounts to Waybill's own.
  const std::vector<std::string> wrong = args.of.empty() ? view.unbalanced() : std::vector<std::string>();
  for (const std::string& one : wrong) context.Note("debits and credits differ: " + one);
  return wrong.empty() ? ExitCode::kOk : ExitCode::kFailed;
}

ExitCode Verify(const Context& context) {
  absl::StatusOr<Retrier> retrier = context.MakeRetrier(absl::InfiniteDuration());
  if (!retrier.ok()) return context.Fail(retrier.status());
  const SteadyTime deadline =
      context.bounded() ? context.clock.Steady() + retrier->timeout() : SteadyTime::InfiniteFuture();
  std::optional<pb::VerifyReport> report;
  const absl::Status status = retrier->RunStream([&](StreamTry& stream) {
    std::unique_ptr<Admin::StubInterface> stub =
        Admin::NewStub(rpc::MakeChannel(context.ledger, rpc::Pings::kOften, context.credentials()));
    grpc::ClientContext call;
    Prepare(call, context, deadline);
    const auto reader = stub->Verify(&call, {});
    pb::VerifyResponse message;
    while (reader->Read(&message)) {
      stream.moved = true;
      if (message.has_report()) {
        report = message.report();
      } else if (!context.json) {
        const pb::VerifyProgress& progress = message.progress();
        context.Note(fmt::format("{}: {} of about {}", progress.stage(), progress.done(), progress.of()));
      }
    }
    return rpc::FromGrpcStatus(reader->Finish());
  });
  if (!status.ok()) return FailLedger(context, status);
  if (!report) return context.Fail(absl::InternalError("the service ended without a report"));
  if (context.json) {
    context.PrintLine(ToJson(*report));
    return report->sound() ? ExitCode::kOk : ExitCode::kFailed;
  }
  context.PrintLine(fmt::format("{} transfers on {} accounts, {} batches; {} transfers are not sealed yet",
                                report->transfers(), report->accounts(), report->batches(), report->unsealed()));
  context.PrintLine(report->cached() < 0 ? "the cache of balances does not answer"
                                         : fmt::format("{} balances in the cache", report->cached()));
  if (!report->last_hash().empty()) context.PrintLine(fmt::format("the last batch's hash: {}", report->last_hash()));
  for (const std::string& fault : report->faults()) {
    context.PrintLine(Paint(Printable("fault: " + fault), Style::kBad, context.out));
  }
  if (report->more_faults()) context.PrintLine("and there are more");
  context.PrintLine(report->sound() ? "the ledger is sound" : "the ledger is NOT sound");
  return report->sound() ? ExitCode::kOk : ExitCode::kFailed;
}

ExitCode ListBatches(const Context& context, size_t limit) {
  bool more = false;
  absl::StatusOr<std::vector<pb::Batch>> found =
      CallPages<pb::Batch>(pb::ListBatchesRequest(), limit, more,
                           [&](const pb::ListBatchesRequest& page, std::vector<pb::Batch>& items, std::string& next) {
                             absl::StatusOr<pb::ListBatchesResponse> response =
                                 Call<Admin>(context, context.ledger, &Admin::StubInterface::ListBatches, page);
                             if (!response.ok()) return response.status();
                             for (pb::Batch& one : *response->mutable_batches()) items.push_back(std::move(one));
                             next = response->next_page_token();
                             return absl::OkStatus();
                           });
  if (!found.ok()) return FailLedger(context, found.status());
  Table table({{"BATCH", kRight}, {"SEALED"}, {"TRANSFERS", kRight}, {"FIRST", kRight}, {"LAST", kRight}, {"HASH"}});
  for (const pb::Batch& one : *found) {
    if (context.json) {
      context.PrintLine(ToJson(one));
    } else {
      table.Add({fmt::format("{}", one.number()), ShowTime(ToTime(one.seal_time())), fmt::format("{}", one.transfers()),
                 fmt::format("{}", one.first_transfer()), fmt::format("{}", one.last_transfer()), one.hash()});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (found->empty()) context.Note("nothing is sealed yet");
  if (more) context.Note(fmt::format("there are more than {}: --limit N shows more, --limit 0 all", limit));
  return ExitCode::kOk;
}

// --- The command line.

void AddLimit(CLI::App& command, size_t& limit) {
  process::AddInteger(command, "--limit", limit, "How many at most; 0: all")->capture_default_str()->type_name("N");
}

void AddAccountCommands(CLI::App& ledger, Context& context) {
  CLI::App* group = ledger.add_subcommand("account", "Open, show, list and close accounts");
  group->require_subcommand(1);
  group->footer("`waybill ledger account COMMAND --help` explains each command with examples.");

  auto made = std::make_shared<AccountArgs>();
  CLI::App* create = group->add_subcommand("create", "Open an account");
  create->add_option("id", made->id, "Its id: 1 to 64 of A-Z a-z 0-9 . _ : -")->required()->type_name("ACCOUNT");
  create->add_option("--currency", made->currency, "Like EUR")->required()->type_name("CODE");
  create->add_option("--kind", made->kind, "What it is, in one word: wallet, card, platform")
      ->required()
      ->type_name("WORD");
  process::AddInteger(*create, "--code", made->code, "Of your chart of accounts")
      ->capture_default_str()
      ->type_name("N");
  create->add_option("--owner", made->owner, "Whose it is, in your words")->type_name("TEXT");
  create->add_option("--parent", made->parent, "The account that it belongs to, and counts in")->type_name("ACCOUNT");
  create->add_flag("--no-overdraft", made->debits_within_credits,
                   "What is debited, held or not, is never more than what was credited");
  create->add_flag("--no-surplus", made->credits_within_debits, "The reverse, for accounts on the other side")
      ->excludes("--no-overdraft");
  create->add_flag("--history", made->history, "Keep its balances at all times past");
  create->add_option("--metadata", made->metadata, "May be given many times")->type_name("KEY=VALUE");
  create->footer(
      "To repeat it is harmless; with other words under the same id it is refused.\n"
      "\n"
      "Examples:\n"
      "  waybill ledger account create bank --currency EUR --kind gateway\n"
      "  waybill ledger account create alice --currency EUR --kind wallet --owner Alice --no-overdraft --history\n"
      "  waybill ledger account create alice:card --currency EUR --kind card --parent alice --no-overdraft");
  create->callback([&context, made] { context.run = [&context, made] { return CreateAccount(context, *made); }; });

  auto shown = std::make_shared<GetArgs>();
  CLI::App* get = group->add_subcommand("get", "Show an account with its balance");
  get->add_option("id", shown->id, "The account")->required()->type_name("ACCOUNT");
  AddOf(*get, shown->of);
  get->footer("Example:\n  waybill ledger account get alice");
  get->callback([&context, shown] { context.run = [&context, shown] { return GetAccount(context, *shown); }; });

  auto listed = std::make_shared<ListArgs>();
  CLI::App* list = group->add_subcommand("list", "List accounts by their ids");
  list->add_option("--owner", listed->owner, "Only this owner's")->type_name("TEXT");
  list->add_option("--currency", listed->currency, "Only in this currency")->type_name("CODE");
  list->add_option("--kind", listed->kind, "Only of this kind")->type_name("WORD");
  process::AddInteger(*list, "--code", listed->code, "Only with this code")->type_name("N");
  list->add_option("--parent", listed->parent, "Only what belongs to this one")->type_name("ACCOUNT");
  AddOf(*list, listed->of);
  list->add_flag("--all-clients", listed->all_clients, "For operators: of every client")->excludes("--of");
  AddLimit(*list, listed->limit);
  list->footer("Example:\n  waybill ledger account list --kind wallet --currency EUR");
  list->callback([&context, listed] { context.run = [&context, listed] { return ListAccounts(context, *listed); }; });

  auto closed = std::make_shared<std::string>();
  CLI::App* close = group->add_subcommand("close", "Let an account take no more transfers");
  close->add_option("id", *closed, "The account")->required()->type_name("ACCOUNT");
  close->footer("What is held stays so, and can be voided.\n\nExample:\n  waybill ledger account close alice");
  close->callback([&context, closed] {
    context.run = [&context, closed] {
      return SetClosed<pb::CloseAccountRequest>(context, *closed, &Stub::CloseAccount);
    };
  });
  auto opened = std::make_shared<std::string>();
  CLI::App* reopen = group->add_subcommand("reopen", "Let a closed account take transfers again");
  reopen->add_option("id", *opened, "The account")->required()->type_name("ACCOUNT");
  reopen->footer("Example:\n  waybill ledger account reopen alice");
  reopen->callback([&context, opened] {
    context.run = [&context, opened] {
      return SetClosed<pb::ReopenAccountRequest>(context, *opened, &Stub::ReopenAccount);
    };
  });
}

void AddEnd(CLI::App& group, Context& context, const std::string& name, const std::string& what, pb::Phase phase,
            const std::string& footer) {
  auto args = std::make_shared<EndArgs>();
  CLI::App* command = group.add_subcommand(name, what);
  command->add_option("pending", args->pending, "The pending transfer")->required()->type_name("TRANSFER");
  command->add_option("--id", args->id, "Of the transfer that does it (default: one is made up)")
      ->type_name("TRANSFER");
  if (phase == pb::POST) {
    command->add_option("--amount", args->amount, "How much of it, like \"5.00 EUR\" (default: all)")
        ->type_name("AMOUNT");
    command->add_option("--currency", args->currency, "Where the amount does not say")
        ->needs("--amount")
        ->type_name("CODE");
  }
  command->footer(footer);
  command->callback([&context, args, phase] {
    context.run = [&context, args, phase] { return EndTransfer(context, *args, phase); };
  });
}

void AddTransferCommands(CLI::App& ledger, Context& context) {
  CLI::App* group = ledger.add_subcommand("transfer", "Make and show transfers; hold, post and void");
  group->require_subcommand(1);
  group->footer("`waybill ledger transfer COMMAND --help` explains each command with examples.");

  auto args = std::make_shared<TransferArgs>();
  CLI::App* create = group->add_subcommand("create", "Move money, or hold it");
  create->add_option("--from", args->from, "The account that is debited")->type_name("ACCOUNT");
  create->add_option("--to", args->to, "The account that is credited")->type_name("ACCOUNT");
  create->add_option("--amount", args->amount, "Like \"12.50 EUR\"")->type_name("AMOUNT");
  create->add_option("--currency", args->currency, "Where the amount does not say")->type_name("CODE");
  create->add_option("--id", args->id, "The transfer's; the same again does nothing twice (default: one is made up)")
      ->type_name("TRANSFER");
  process::AddInteger(*create, "--code", args->code, "Your reason for it")->capture_default_str()->type_name("N");
  create->add_option("--user-data", args->user_data, "Your words on it")->type_name("TEXT");
  create->add_flag("--pending", args->pending, "Hold it only, until `post` or `void`");
  create->add_option("--expires-in", args->expires_in, "With --pending: how long at most (default: no end)")
      ->needs("--pending")
      ->type_name("DURATION");
  create->add_flag("--balancing-debit", args->balancing_debit,
                   "At most what the debited account has; without --amount, all of it");
  create->add_flag("--balancing-credit", args->balancing_credit,
                   "At most what the credited account lacks; without --amount, all of it");
  create->add_option("--corrects", args->corrects, "The transfer that this one corrects")->type_name("TRANSFER");
  CLI::Option* file = create->add_option("--file", args->file, "Make those of this file, and say what became of each")
                          ->type_name("FILE");
  for (CLI::Option* option : create->get_options()) {
    if (option != file && option != create->get_help_ptr()) file->excludes(option);
  }
  create->footer(
      "A file is comma-separated values with a header: id, from, to, amount and currency; and where needed code,\n"
      "user_data, phase (single, pending, post, void), pending_id, timeout_seconds, linked (yes, no), "
      "balancing_debit,\n"
      "balancing_credit and corrects. To send one again is harmless. Exit code 7: some were not made.\n"
      "\n"
      "Examples:\n"
      "  waybill ledger transfer create --from alice --to shop --amount \"12.50 EUR\" --id order-17\n"
      "  waybill ledger transfer create --from alice --to shop --amount \"80 EUR\" --pending --expires-in 15m\n"
      "  waybill ledger transfer create --file wages.csv");
  create->callback([&context, args] { context.run = [&context, args] { return CreateTransfer(context, *args); }; });

  auto shown = std::make_shared<GetArgs>();
  CLI::App* get = group->add_subcommand("get", "Show a transfer");
  get->add_option("id", shown->id, "The transfer")->required()->type_name("TRANSFER");
  AddOf(*get, shown->of);
  get->footer("Example:\n  waybill ledger transfer get order-17");
  get->callback([&context, shown] { context.run = [&context, shown] { return GetTransfer(context, *shown); }; });

  AddEnd(*group, context, "post", "Move what is held, all or a part; the rest is free again", pb::POST,
         "Example:\n  waybill ledger transfer post hold-17 --amount \"65.40 EUR\"");
  AddEnd(*group, context, "void", "Set free what is held", pb::VOID,
         "Example:\n  waybill ledger transfer void hold-17");
}

}  // namespace

void AddLedgerCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("ledger", "Accounts, transfers, balances, and their proof");
  group->require_subcommand(1);
  group->footer(
      "Calls waybill-ledger (--ledger, WAYBILL_LEDGER). `waybill ledger COMMAND --help` explains each command with\n"
      "examples; docs/ledger.md tells how it all goes together.");
  AddAccountCommands(*group, context);
  AddTransferCommands(*group, context);

  auto asked = std::make_shared<BalanceArgs>();
  CLI::App* balance = group->add_subcommand("balance", "Show what an account holds, or held");
  balance->add_option("id", asked->id, "The account")->required()->type_name("ACCOUNT");
  balance->add_option("--at", asked->at, "At this time, of an account that keeps its history (default: now)")
      ->type_name("TIME");
  AddOf(*balance, asked->of);
  balance->footer(
      "TIME is like 2026-01-31, 2026-01-31T12:00:00Z, or 2h for two hours ago.\n"
      "\n"
      "Example:\n"
      "  waybill ledger balance alice --at 2026-01-31");
  balance->callback([&context, asked] { context.run = [&context, asked] { return ShowBalance(context, *asked); }; });

  auto paged = std::make_shared<StatementArgs>();
  CLI::App* statement = group->add_subcommand("statement", "List an account's transfers, newest first");
  statement->add_option("id", paged->id, "The account")->required()->type_name("ACCOUNT");
  statement->add_option("--from", paged->from, "Only from this time on")->type_name("TIME");
  statement->add_option("--to", paged->to, "Only before this time")->type_name("TIME");
  statement->add_option("--side", paged->side, "Only what went out, or came in")
      ->check(CLI::IsMember({"debits", "credits"}));
  AddFormat(*statement, paged->format);
  AddOf(*statement, paged->of);
  AddLimit(*statement, paged->limit);
  statement->footer(
      "Those of accounts that belong to it are not among them.\n"
      "\n"
      "Examples:\n"
      "  waybill ledger statement alice --from 30d\n"
      "  waybill ledger statement alice --from 2026-01-01 --to 2026-02-01 --limit 0 --format html >alice.html");
  statement->callback([&context, paged] { context.run = [&context, paged] { return Statement(context, *paged); }; });

  auto drawn = std::make_shared<TrialArgs>();
  CLI::App* trial = group->add_subcommand("trial-balance", "For operators: the sums over all accounts");
  AddOf(*trial, drawn->of);
  AddFormat(*trial, drawn->format);
  trial->footer(
      "By client, currency and kind. Exit code 1: over all clients, debits and credits of a currency differ.\n"
      "\n"
      "Example:\n"
      "  waybill ledger trial-balance --format csv >trial.csv");
  trial->callback([&context, drawn] { context.run = [&context, drawn] { return TrialBalance(context, *drawn); }; });

  CLI::App* verify = group->add_subcommand("verify", "For operators: prove that the ledger is whole");
  verify->footer(
      "Recomputes all balances, holds and history, and the chain of hashes, from the transfers; writes go on "
      "meanwhile.\n"
      "Exit code 1: it is not sound, and each fault is named. Keep the last hash elsewhere: whoever changes what lies\n"
      "before it cannot have the same again.\n"
      "\n"
      "Example:\n"
      "  waybill ledger verify");
  verify->callback([&context] { context.run = [&context] { return Verify(context); }; });

  auto limit = std::make_shared<size_t>(50);
  CLI::App* batches = group->add_subcommand("batches", "For operators: the chain of hashes, oldest first");
  AddLimit(*batches, *limit);
  batches->footer("Example:\n  waybill ledger batches --limit 0 --json | tail -n 1");
  batches->callback([&context, limit] { context.run = [&context, limit] { return ListBatches(context, *limit); }; });
}

}  // namespace waybill::cli

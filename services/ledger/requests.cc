#include "services/ledger/requests.h"

#include <array>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "domain/client.h"
#include "domain/currency.h"
#include "domain/reasons.h"
#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "runtime/sha256.h"
#include "runtime/text.h"
#include "services/ledger/results.h"

namespace waybill::ledger {
namespace {

using domain::Violations;

constexpr char kNoId[] = "has to be 1 to 64 of A-Z a-z 0-9 . _ : -";

int TakePageSize(int size, Violations& violations) {
  if (size < 0 || size > kPageSizeMax) {
    violations.Add("page_size",
                   fmt::format("is {}; must be 1 to {}, or 0 for {}", size, kPageSizeMax, kPageSizeDefault));
  }
  return size == 0 ? kPageSizeDefault : size;
}

// What a page is of: a token goes on with the same list only.
template <typename Request>
std::string FilterOf(Request request) {
  request.clear_page_size();
  request.clear_page_token();
  return request.GetTypeName() + request.SerializeAsString();
}

constexpr size_t kFilterHashSize = 8;

std::string FilterHash(std::string_view filter) { return Sha256(filter).substr(0, kFilterHashSize); }

// Opaque to callers: where the page before has ended, bound to its filter.
template <typename Request>
std::string PageToken(const std::string& position, const Request& request) {
  return absl::WebSafeBase64Escape(FilterHash(FilterOf(request)) + position);
}

// Nothing without a token, and with one that is wrong.
template <typename Request>
std::optional<std::string> PagePosition(const Request& request, Violations& violations) {
  constexpr size_t kTokenMax = 512;
  const std::string& token = request.page_token();
  if (token.empty()) return std::nullopt;
  std::string bytes;
  if (token.size() > kTokenMax || !absl::WebSafeBase64Unescape(token, &bytes) || bytes.size() <= kFilterHashSize) {
    violations.Add("page_token", "is not a token of an earlier page");
    return std::nullopt;
  }
  if (bytes.substr(0, kFilterHashSize) != FilterHash(FilterOf(request))) {
    violations.Add("page_token", "belongs to a list with another filter");
    return std::nullopt;
  }
  return bytes.substr(kFilterHashSize);
}

template <typename Request>
std::optional<int64_t> NumberPosition(const Request& request, Violations& violations) {
  const std::optional<std::string> position = PagePosition(request, violations);
  if (!position) return std::nullopt;
  int64_t number = 0;
  if (!absl::SimpleAtoi(*position, &number)) violations.Add("page_token", "is not a token of an earlier page");
  return number;
}

// In the client's words, as an account's owner is.
void CheckWords(std::string_view text, size_t bytes_max, std::string_view field, Violations& violations) {
  const Utf8 read = ReadUtf8(text);
  if (text.size() > bytes_max) {
    violations.Add(std::string(field), fmt::format("has {} bytes; at most {} are allowed", text.size(), bytes_max));
  } else if (!read.valid || read.has_control) {
    violations.Add(std::string(field), "is no UTF-8, or has control characters");
  }
}

void TakeClient(const access::Caller& caller, const std::string& named, std::string& out, absl::Status& refused) {
  absl::StatusOr<std::string> client = ClientToRead(caller, named);
  if (client.ok()) {
    out = *std::move(client);
  } else {
    refused = client.status();
  }
}

template <typename Request>
absl::StatusOr<std::string> TransferId(Request& request, std::string_view key) {
  if (!request.transfer_id().empty()) return std::move(*request.mutable_transfer_id());
  if (key.empty()) return domain::BadField("transfer_id", "is required, here or as the header idempotency-key");
  return std::string(key);
}

template <typename Request>
NewTransfer TakeWords(Request& request, std::string id) {
  NewTransfer transfer;
  transfer.id = std::move(id);
  transfer.amount_minor = request.amount_minor();
  transfer.currency = std::move(*request.mutable_currency());
  transfer.code = request.code() == 0 ? 1 : request.code();
  transfer.user_data = std::move(*request.mutable_user_data());
  return transfer;
}

// Of Credit and Debit: the account and its counterpart.
template <typename Request>
absl::StatusOr<Verb> TakeSide(Request& request, std::string_view key, bool credit) {
  absl::StatusOr<std::string> id = TransferId(request, key);
  if (!id.ok()) return id.status();
  Verb verb;
  verb.transfer = TakeWords(request, *std::move(id));
  std::string counterpart = std::move(*request.mutable_counterpart_id());
  if (counterpart.empty()) {
    // Nothing is opened for a currency that there is not.
    if (!domain::CurrencyExponent(verb.transfer.currency)) {
      return StatusOf(TransferResult::kCurrencyUnknown, verb.transfer.id);
    }
    counterpart = verb.counterpart = "external:" + verb.transfer.currency;
  }
  (credit ? verb.transfer.credit_account : verb.transfer.debit_account) = std::move(*request.mutable_account_id());
  (credit ? verb.transfer.debit_account : verb.transfer.credit_account) = std::move(counterpart);
  verb.debit_field = credit ? "counterpart_id" : "account_id";
  verb.credit_field = credit ? "account_id" : "counterpart_id";
  return verb;
}

// The values of the wire's enum by the results' places in their table, found by their names.
template <typename WireResult, size_t kCount>
std::array<WireResult, kCount> WireResults(const ResultRow (&rows)[kCount],
                                           const google::protobuf::EnumDescriptor& descriptor) {
  std::array<WireResult, kCount> results{};
  for (size_t i = 0; i < kCount; ++i) {
    const auto* value = descriptor.FindValueByName(absl::AsciiStrToUpper(std::string(rows[i].name)));
    if (value != nullptr) results[i] = static_cast<WireResult>(value->number());
  }
  return results;
}

}  // namespace

std::string ClientOf(const access::Caller& caller) { return std::string(domain::ClientNamed(caller.client)); }

absl::StatusOr<std::string> ClientToWrite(const access::Caller& caller) {
  if (!domain::IsReservedClient(caller.client)) return ClientOf(caller);
  return domain::ReasonError(
      "CLIENT_RESERVED",
      fmt::format("the accounts of {} are Waybill's own, and written by its orders alone", caller.client));
}

absl::StatusOr<std::string> ClientToRead(const access::Caller& caller, const std::string& named) {
  std::string own = ClientOf(caller);
  if (named.empty() || named == own) return own;
  if (caller.scopes.Has(domain::Scope::kOps)) return named;
  ErrorDetail detail;
  detail.metadata.emplace_back("scope", domain::Name(domain::Scope::kOps));
  return domain::ReasonError("SCOPE_MISSING", "only who has the scope ops reads what is another client's",
                             std::move(detail));
}

NewAccount TakeAccount(v1::NewAccount& account) {
  NewAccount taken;
  taken.id = std::move(*account.mutable_account_id());
  taken.owner = std::move(*account.mutable_owner());
  taken.currency = std::move(*account.mutable_currency());
  taken.kind = std::move(*account.mutable_kind());
  taken.code = account.code();
  taken.flags.debits_must_not_exceed_credits = account.flags().debits_must_not_exceed_credits();
  taken.flags.credits_must_not_exceed_debits = account.flags().credits_must_not_exceed_debits();
  taken.flags.history = account.flags().history();
  taken.flags.closed = account.flags().closed();
  taken.parent = std::move(*account.mutable_parent_id());
  for (auto& [key, value] : *account.mutable_metadata()) taken.metadata.emplace(key, std::move(value));
  return taken;
}

absl::StatusOr<std::vector<NewAccount>> TakeAccounts(v1::CreateAccountsRequest& request) {
  const size_t size = static_cast<size_t>(request.accounts_size());
  if (size == 0 || size > kBatchMax) {
    return domain::BadField("accounts", fmt::format("are {}; must be 1 to {}", size, kBatchMax));
  }
  std::vector<NewAccount> accounts;
  accounts.reserve(size);
  for (v1::NewAccount& account : *request.mutable_accounts()) accounts.push_back(TakeAccount(account));
  return accounts;
}

absl::StatusOr<std::vector<NewTransfer>> TakeTransfers(v1::CreateTransfersRequest& request) {
  const size_t size = static_cast<size_t>(request.transfers_size());
  if (size == 0 || size > kBatchMax) {
    return domain::BadField("transfers", fmt::format("are {}; must be 1 to {}", size, kBatchMax));
  }
  std::vector<NewTransfer> transfers;
  transfers.reserve(size);
  Violations violations;
  for (v1::NewTransfer& transfer : *request.mutable_transfers()) {
    NewTransfer& taken = transfers.emplace_back();
    if (!v1::Phase_IsValid(transfer.phase())) {
      violations.Add(fmt::format("transfers[{}].phase", transfers.size() - 1), "is not a known value");
    } else if (transfer.phase() != v1::PHASE_UNSPECIFIED) {
      taken.phase = static_cast<Phase>(transfer.phase() - 1);
    }
    taken.id = std::move(*transfer.mutable_transfer_id());
    taken.debit_account = std::move(*transfer.mutable_debit_account_id());
    taken.credit_account = std::move(*transfer.mutable_credit_account_id());
    taken.currency = std::move(*transfer.mutable_currency());
    taken.code = transfer.code();
    taken.amount_minor = transfer.amount_minor();
    taken.user_data = std::move(*transfer.mutable_user_data());
    taken.pending_id = std::move(*transfer.mutable_pending_id());
    taken.timeout_seconds = transfer.timeout_seconds();
    taken.linked = transfer.linked();
    taken.balancing_debit = transfer.balancing_debit();
    taken.balancing_credit = transfer.balancing_credit();
    taken.corrects = std::move(*transfer.mutable_corrects_id());
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return transfers;
}

absl::StatusOr<Verb> TakeVerb(v1::CreditRequest& request, std::string_view key) { return TakeSide(request, key, true); }

absl::StatusOr<Verb> TakeVerb(v1::DebitRequest& request, std::string_view key) { return TakeSide(request, key, false); }

absl::StatusOr<Verb> TakeVerb(v1::TransferRequest& request, std::string_view key) {
  absl::StatusOr<std::string> id = TransferId(request, key);
  if (!id.ok()) return id.status();
  Verb verb;
  verb.transfer = TakeWords(request, *std::move(id));
  verb.transfer.debit_account = std::move(*request.mutable_from_id());
  verb.transfer.credit_account = std::move(*request.mutable_to_id());
  verb.debit_field = "from_id";
  verb.credit_field = "to_id";
  return verb;
}

NewAccount Counterpart(std::string id, std::string currency) {
  NewAccount account;
  account.id = std::move(id);
  account.currency = std::move(currency);
  account.kind = "external";
  account.code = 1;
  return account;
}

absl::Status CheckId(std::string_view id, std::string_view field) {
  return IsId(id) ? absl::OkStatus() : domain::BadField(std::string(field), kNoId);
}

absl::StatusOr<storage::AccountQuery> TakeQuery(const v1::ListAccountsRequest& request, const access::Caller& caller) {
  Violations violations;
  storage::AccountQuery query;
  std::string client;
  absl::Status refused;
  TakeClient(caller, request.client(), client, refused);
  if (request.all_clients()) {
    // As though it had named another one.
    if (!caller.scopes.Has(domain::Scope::kOps)) refused = ClientToRead(caller, client + " and all others").status();
    if (!request.parent_id().empty()) violations.Add("all_clients", "goes not with parent_id, which is of one client");
  } else {
    query.client = client;
  }
  if (!refused.ok()) return refused;
  query.limit = TakePageSize(request.page_size(), violations) + 1;
  CheckWords(request.owner(), kOwnerMax, "owner", violations);
  query.owner = request.owner();
  if (!request.currency().empty() && !domain::CurrencyExponent(request.currency())) {
    violations.Add("currency", "is none of ISO 4217");
  }
  query.currency = request.currency();
  if (!request.kind().empty() && !IsKind(request.kind())) {
    violations.Add("kind", "has to be 1 to 32 of a-z 0-9 _, a letter first");
  }
  query.kind = request.kind();
  if (request.code() < 0) violations.Add("code", "is less than 0");
  if (request.code() != 0) query.code = request.code();
  if (!request.parent_id().empty() && !IsId(request.parent_id())) violations.Add("parent_id", kNoId);
  query.parent = request.parent_id();
  if (const std::optional<std::string> position = PagePosition(request, violations)) {
    const size_t slash = position->rfind('/');  // an id has none
    if (slash == std::string::npos) {
      violations.Add("page_token", "is not a token of an earlier page");
    } else {
      query.after = {position->substr(0, slash), position->substr(slash + 1)};
    }
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return query;
}

absl::StatusOr<storage::StatementQuery> TakeQuery(const v1::ListTransfersRequest& request,
                                                  const access::Caller& caller) {
  Violations violations;
  storage::StatementQuery query;
  absl::Status refused;
  TakeClient(caller, request.client(), query.client, refused);
  if (!refused.ok()) return refused;
  if (!IsId(request.account_id())) violations.Add("account_id", kNoId);
  query.account = request.account_id();
  rpc::TakeTimeField(request.has_from(), request.from(), "from", query.from, violations);
  rpc::TakeTimeField(request.has_to(), request.to(), "to", query.to, violations);
  rpc::CheckSpan(query.from, query.to, "from", "to", violations);
  switch (request.side()) {
    case v1::ListTransfersRequest::SIDE_UNSPECIFIED:
      break;
    case v1::ListTransfersRequest::DEBITS:
      query.side = storage::StatementQuery::Side::kDebits;
      break;
    case v1::ListTransfersRequest::CREDITS:
      query.side = storage::StatementQuery::Side::kCredits;
      break;
    default:
      violations.Add("side", "is not a known value");
  }
  query.before = NumberPosition(request, violations);
  query.limit = TakePageSize(request.page_size(), violations) + 1;
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return query;
}

absl::StatusOr<storage::HistoryQuery> TakeQuery(const v1::ListBalancesRequest& request, const access::Caller& caller) {
  Violations violations;
  storage::HistoryQuery query;
  absl::Status refused;
  TakeClient(caller, request.client(), query.client, refused);
  if (!refused.ok()) return refused;
  if (!IsId(request.account_id())) violations.Add("account_id", kNoId);
  query.account = request.account_id();
  query.before = NumberPosition(request, violations);
  query.limit = TakePageSize(request.page_size(), violations) + 1;
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return query;
}

absl::StatusOr<BatchQuery> TakeQuery(const v1::ListBatchesRequest& request) {
  Violations violations;
  BatchQuery query;
  query.after = NumberPosition(request, violations).value_or(0);
  query.limit = TakePageSize(request.page_size(), violations) + 1;
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return query;
}

std::string MakeToken(const Account& last, const v1::ListAccountsRequest& request) {
  return PageToken(fmt::format("{}/{}", last.client, last.id), request);
}

std::string MakeToken(const Transfer& last, const v1::ListTransfersRequest& request) {
  return PageToken(fmt::format("{}", last.number), request);
}

std::string MakeToken(const storage::BalanceMoment& last, const v1::ListBalancesRequest& request) {
  return PageToken(fmt::format("{}", last.balance.version), request);
}

std::string MakeToken(const storage::SealedBatch& last, const v1::ListBatchesRequest& request) {
  return PageToken(fmt::format("{}", last.number), request);
}

absl::StatusOr<BalanceRequest> TakeBalance(const v1::GetBalanceRequest& request, const access::Caller& caller,
                                           absl::Time now) {
  Violations violations;
  BalanceRequest taken;
  absl::Status refused;
  TakeClient(caller, request.client(), taken.client, refused);
  if (!refused.ok()) return refused;
  if (!IsId(request.account_id())) violations.Add("account_id", kNoId);
  taken.account = request.account_id();
  if (request.has_at()) {
    taken.at = now;
    rpc::TakeTimeField(true, request.at(), "at", *taken.at, violations);
    if (*taken.at > now) violations.Add("at", "has not passed yet");
  }
  if (request.has_max_staleness()) {
    const auto& staleness = request.max_staleness();
    constexpr int64_t kSecondsMax = 86'400;
    if (staleness.seconds() < 0 || staleness.seconds() > kSecondsMax || staleness.nanos() < 0 ||
        staleness.nanos() > 999'999'999) {
      violations.Add("max_staleness", "is not a duration of 0 to a day");
    }
    if (request.has_at()) violations.Add("max_staleness", "goes not with `at`");
    taken.max_staleness = absl::Seconds(staleness.seconds()) + absl::Nanoseconds(staleness.nanos());
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return taken;
}

v1::AccountOutcome::Result ToWire(AccountResult result) {
  static const auto results =
      WireResults<v1::AccountOutcome::Result>(kAccountResults, *v1::AccountOutcome::Result_descriptor());
  return results.at(static_cast<size_t>(result));
}

v1::TransferOutcome::Result ToWire(TransferResult result) {
  static const auto results =
      WireResults<v1::TransferOutcome::Result>(kTransferResults, *v1::TransferOutcome::Result_descriptor());
  return results.at(static_cast<size_t>(result));
}

void Fill(const Balance& balance, v1::Balance& out) {
  out.set_debits_posted(balance.debits_posted);
  out.set_credits_posted(balance.credits_posted);
  out.set_debits_pending(balance.debits_pending);
  out.set_credits_pending(balance.credits_pending);
  out.set_version(balance.version);
}

void Fill(const Account& account, v1::Account& out) {
  out.set_account_id(account.id);
  out.set_client(account.client);
  out.set_owner(account.owner);
  out.set_currency(account.currency);
  out.set_kind(account.kind);
  out.set_code(account.code);
  v1::AccountFlags& flags = *out.mutable_flags();
  flags.set_debits_must_not_exceed_credits(account.flags.debits_must_not_exceed_credits);
  flags.set_credits_must_not_exceed_debits(account.flags.credits_must_not_exceed_debits);
  flags.set_history(account.flags.history);
  flags.set_closed(account.flags.closed);
  out.set_parent_id(account.parent);
  for (const auto& [key, value] : account.metadata) (*out.mutable_metadata())[key] = value;
  rpc::SetTime(account.created_at, *out.mutable_create_time());
  Fill(account.balance, *out.mutable_balance());
  out.set_available_minor(Available(account.balance));
}

void Fill(const Outcome& outcome, v1::TransferOutcome& out) {
  out.set_result(ToWire(outcome.result));
  if (!Done(outcome.result)) {
    out.set_field(std::string(FieldOf(outcome.result)));
    return;
  }
  out.set_amount_minor(outcome.amount_minor);
  out.set_number(outcome.number);
  rpc::SetTime(outcome.created_at, *out.mutable_create_time());
}

void Fill(const storage::TransferRecord& transfer, v1::Transfer& out) {
  out.set_transfer_id(transfer.id);
  out.set_client(transfer.client);
  out.set_phase(static_cast<v1::Phase>(static_cast<int>(transfer.phase) + 1));
  out.set_debit_account_id(transfer.debit_account);
  out.set_credit_account_id(transfer.credit_account);
  out.set_currency(transfer.currency);
  out.set_code(transfer.code);
  out.set_user_data(transfer.user_data);
  out.set_amount_minor(transfer.amount_minor);
  out.set_requested_minor(transfer.requested_minor);
  out.set_released_minor(transfer.released_minor);
  out.set_pending_id(transfer.pending_id);
  out.set_timeout_seconds(transfer.timeout_seconds);
  out.set_linked(transfer.linked);
  out.set_balancing_debit(transfer.balancing_debit);
  out.set_balancing_credit(transfer.balancing_credit);
  out.set_corrects_id(transfer.corrects);
  out.set_number(transfer.number);
  rpc::SetTime(transfer.created_at, *out.mutable_create_time());
  if (const absl::Time expires = ExpiresAt(transfer); expires != absl::InfiniteFuture()) {
    rpc::SetTime(expires, *out.mutable_expire_time());
  }
  out.set_resolution(static_cast<v1::Transfer::Resolution>(transfer.resolution));
  out.set_resolved_by(transfer.resolved_by);
}

void Fill(const storage::TrialBalanceLine& line, v1::TrialBalanceLine& out) {
  out.set_client(line.client);
  out.set_currency(line.currency);
  out.set_kind(line.kind);
  out.set_accounts(line.accounts);
  out.set_debits_posted(line.debits_posted);
  out.set_credits_posted(line.credits_posted);
  out.set_debits_pending(line.debits_pending);
  out.set_credits_pending(line.credits_pending);
}

void Fill(const storage::VerifyProgress& progress, v1::VerifyProgress& out) {
  out.set_stage(std::string(progress.stage));
  out.set_done(progress.done);
  out.set_of(progress.of);
}

void Fill(const storage::VerifyReport& report, v1::VerifyReport& out) {
  out.set_cached(report.cached);
  out.set_sound(report.sound());
  out.set_accounts(report.accounts);
  out.set_transfers(report.transfers);
  out.set_batches(report.batches);
  out.set_unsealed(report.unsealed);
  out.set_last_hash(report.last_hash);
  for (const std::string& fault : report.faults) out.add_faults(fault);
  out.set_more_faults(report.more_faults);
}

void Fill(const storage::SealedBatch& batch, v1::Batch& out) {
  out.set_number(batch.number);
  out.set_first_transfer(batch.first_transfer);
  out.set_last_transfer(batch.last_transfer);
  out.set_transfers(batch.transfers);
  out.set_previous_hash(batch.previous_hash);
  out.set_hash(batch.hash);
  rpc::SetTime(batch.sealed_at, *out.mutable_seal_time());
}

}  // namespace waybill::ledger

#include "services/ledger/wallet_gateway.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "domain/client.h"
#include "domain/reasons.h"
#include "domain/visible_ascii.h"
#include "edge/rpc/on_worker.h"
#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "runtime/sha256.h"
#include "runtime/text.h"

namespace waybill::ledger {
namespace {

namespace pb = ::waybill::payment::v1;
using domain::Violations;
using storage::Resolution;
using storage::TransferRecord;

constexpr char kKeyClosed[] = "KEY_CLOSED";
constexpr size_t kKeyMax = 255, kRefundIdMax = 128;
// What a transfer is, by its code.
constexpr int32_t kPays = 1, kGivesBackPart = 3, kGivesBackAll = 4;
constexpr int64_t kRefundsAtOnce = 16;

// A key is whatever its caller says; the transfer's id is as long for each, and another one for each.
std::string IdOf(std::string_view key) {
  constexpr size_t kBytes = 20;
  return "wallet:" + absl::BytesToHexString(Sha256(key).substr(0, kBytes));
}
std::string CaptureOf(const std::string& id) { return id + ":capture"; }
std::string VoidOf(const std::string& id) { return id + ":void"; }
std::string RefundOf(const std::string& id, int64_t number) { return fmt::format("{}:refund:{}", id, number); }

absl::Status CheckKey(const std::string& key) {
  Violations violations;
  domain::CheckVisibleAscii(key, kKeyMax, "idempotency_key", violations);
  return std::move(violations).ToStatus();
}

// A key that is used for another charge.
absl::Status Misused(std::string_view what) {
  return absl::FailedPreconditionError(fmt::format("the key was used for {}", what));
}

pb::ChargeResponse Declined(std::string reason, bool retryable) {
  pb::ChargeResponse response;
  response.mutable_declined()->set_reason(std::move(reason));
  response.mutable_declined()->set_retryable(retryable);
  return response;
}

// Of a charge that the ledger refuses for ever.
pb::ChargeResponse DeclinedFor(TransferResult refusal) {
  switch (refusal) {
    case TransferResult::kPendingTransferNotFound:  // what closes a key is refused so
      return Declined(kKeyClosed, false);
    case TransferResult::kExceedsCredits:
      return Declined("INSUFFICIENT_FUNDS", true);
    case TransferResult::kDebitAccountNotFound:
      return Declined("NO_WALLET", true);
    case TransferResult::kDebitAccountClosed:
      return Declined("WALLET_CLOSED", true);
    case TransferResult::kDebitAccountHasDifferentCurrency:
      return Declined("OTHER_CURRENCY", true);
    default:
      return Declined("WALLET_REFUSED", true);
  }
}

pb::ChargeResponse Approved(const Transfer& charge) {
  pb::ChargeResponse response;
  response.mutable_approved()->set_reference(charge.id);
  if (charge.phase == Phase::kPending) rpc::SetTime(ExpiresAt(charge), *response.mutable_approved()->mutable_expires());
  return response;
}

pb::CaptureResponse Refused(std::string reason) {
  pb::CaptureResponse response;
  response.mutable_refused()->set_reason(std::move(reason));
  return response;
}

pb::RefundPartResponse PartRefused(std::string reason) {
  pb::RefundPartResponse response;
  response.mutable_refused()->set_reason(std::move(reason));
  return response;
}

pb::RefundPartResponse PartDone(std::string reference) {
  pb::RefundPartResponse response;
  response.mutable_refunded()->set_reference(std::move(reference));
  return response;
}

absl::Status CheckPattern(const std::string& option, const std::string& pattern, const std::string& word,
                          const std::string& example) {
  if (pattern.find(word) == std::string::npos) {
    return absl::InvalidArgumentError(fmt::format("{}: there is no {} in it", option, word));
  }
  if (!IsId(absl::StrReplaceAll(pattern, {{word, example}}))) {
    return absl::InvalidArgumentError(
        fmt::format("{}: with {} in it, it is no id: 1 to 64 of A-Z a-z 0-9 . _ : -", option, example));
  }
  return absl::OkStatus();
}

template <typename Request, typename Response>
void Add(rpc::Server& server, const std::string& method, Executor& workers, WalletGateway& wallets,
         absl::StatusOr<Response> (WalletGateway::*answer)(const Request&)) {
  rpc::UnaryOnWorker<Request, Response>(server, "waybill.payment.v1.PaymentGateway/" + method,
                                        domain::Scope::kLedgerWrite, workers, [&wallets, answer](auto& call) {
                                          absl::Status denied = wallets.CheckCaller(*call.caller());
                                          if (!denied.ok()) return denied;
                                          absl::StatusOr<Response> answered = (wallets.*answer)(call.request());
                                          if (!answered.ok()) return answered.status();
                                          call.response() = *std::move(answered);
                                          return absl::OkStatus();
                                        });
}

}  // namespace

absl::Status CheckWallets(const WalletOptions& options) {
  if (options.client.empty()) return absl::OkStatus();
  if (domain::IsReservedClient(options.client)) {
    return absl::InvalidArgumentError("--wallet-client: names that begin with a parenthesis are Waybill's own");
  }
  if (absl::Status user = CheckPattern("--wallet-account", options.wallet, "{user}", "u"); !user.ok()) return user;
  if (absl::Status orders = CheckPattern("--wallet-orders", options.orders, "{currency}", "EUR"); !orders.ok()) {
    return orders;
  }
  if (options.hold < absl::Seconds(1) || options.hold > absl::Seconds(kTimeoutMax)) {
    return absl::InvalidArgumentError("--wallet-hold: has to be a second at least, and ten years at most");
  }
  return absl::OkStatus();
}

absl::Status WalletGateway::CheckCaller(const access::Caller& caller) const {
  if (caller.key_id.empty() || caller.client == options_.client) return absl::OkStatus();
  return domain::ReasonError("CLIENT_MISMATCH", fmt::format("the wallets are those of {}", options_.client));
}

int64_t WalletGateway::Standing::RefundedMinor() const {
  int64_t sum = 0;
  for (const TransferRecord& refund : refunds) sum += refund.amount_minor;
  return sum;
}

absl::StatusOr<Outcome> WalletGateway::Post(NewTransfer transfer) {
  absl::StatusOr<std::vector<Outcome>> outcomes = store_.PostAndWait(options_.client, {std::move(transfer)});
  if (!outcomes.ok()) return outcomes.status();
  return outcomes->front();
}

absl::StatusOr<WalletGateway::Standing> WalletGateway::Find(const std::string& id) const {
  Standing standing;
  absl::StatusOr<TransferRecord> charge = store_.GetTransfer(options_.client, id);
  if (absl::IsNotFound(charge.status())) {
    absl::StatusOr<std::optional<TransferResult>> refusal = store_.GetRefusal(options_.client, id);
    if (!refusal.ok()) return refusal.status();
    standing.refusal = *refusal;
    return standing;
  }
  if (!charge.ok()) return charge.status();
  standing.charge = *std::move(charge);
  if (standing.charge->phase == Phase::kSingle) {
    standing.posted = standing.charge;
  } else if (standing.charge->resolution == Resolution::kPosted) {
    absl::StatusOr<TransferRecord> posted = store_.GetTransfer(options_.client, standing.charge->resolved_by);
    if (!posted.ok()) return posted.status();
    standing.posted = *std::move(posted);
  }
  if (!standing.posted) {
    standing.voided = standing.charge->resolution == Resolution::kVoided;
    if (standing.voided) return standing;
    // Of one whose time was over: the void was refused.
    absl::StatusOr<std::optional<TransferResult>> refusal = store_.GetRefusal(options_.client, VoidOf(id));
    if (!refusal.ok()) return refusal.status();
    standing.voided = refusal->has_value();
    return standing;
  }
  // Their numbers have no gaps, but for those under which the ledger has refused one.
  while (true) {
    std::vector<std::string> ids;
    for (int64_t n = 0; n < kRefundsAtOnce; ++n) ids.push_back(RefundOf(id, standing.next_refund + n));
    absl::StatusOr<std::vector<TransferRecord>> found = store_.GetTransfers(options_.client, ids);
    if (!found.ok()) return found.status();
    for (const std::string& one : ids) {
      const auto at = std::find_if(found->begin(), found->end(), [&](const auto& refund) { return refund.id == one; });
      if (at != found->end()) {
        standing.refunds.push_back(*at);
      } else {
        absl::StatusOr<std::optional<TransferResult>> refusal = store_.GetRefusal(options_.client, one);
        if (!refusal.ok()) return refusal.status();
        if (!refusal->has_value()) return standing;
      }
      ++standing.next_refund;
    }
  }
}

absl::Status WalletGateway::CheckAccounts(const std::string& from, const std::string& to, int64_t amount_minor) const {
  std::vector<std::string> ids = {from, to};
  while (!ids.empty()) {
    absl::StatusOr<std::vector<Account>> accounts = store_.GetAccounts(options_.client, ids);
    if (!accounts.ok()) return accounts.status();
    ids.clear();
    for (const Account& account : *accounts) {
      if (account.flags.closed) {
        return absl::FailedPreconditionError(fmt::format("account {} is closed", account.id));
      }
      const Balance& has = account.balance;
      if (account.id == from && account.flags.debits_must_not_exceed_credits &&
          has.credits_posted - has.debits_posted - has.debits_pending < amount_minor) {
        return absl::FailedPreconditionError(fmt::format("account {} has not so much", account.id));
      }
      if (!account.parent.empty()) ids.push_back(account.parent);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<pb::ChargeResponse> WalletGateway::Charge(const pb::ChargeRequest& request) {
  return Ask(request, Phase::kSingle);
}

absl::StatusOr<pb::ChargeResponse> WalletGateway::Authorize(const pb::ChargeRequest& request) {
  return Ask(request, Phase::kPending);
}

absl::StatusOr<pb::ChargeResponse> WalletGateway::Ask(const pb::ChargeRequest& request, Phase phase) {
  if (absl::Status wrong = CheckKey(request.idempotency_key()); !wrong.ok()) return wrong;
  NewTransfer charge;
  charge.id = IdOf(request.idempotency_key());
  charge.phase = phase;
  charge.debit_account = absl::StrReplaceAll(options_.wallet, {{"{user}", request.user_id()}});
  charge.credit_account = absl::StrReplaceAll(options_.orders, {{"{currency}", request.currency()}});
  charge.currency = request.currency();
  charge.code = kPays;
  charge.amount_minor = request.amount_minor();
  charge.user_data = request.order_id();
  if (phase == Phase::kPending) charge.timeout_seconds = absl::ToInt64Seconds(options_.hold);
  // Nobody else has such a wallet, so it is answered the same each time, and a key that was closed stays so.
  if (!IsId(charge.debit_account)) return Declined("NO_WALLET", true);
  if (!IsId(charge.credit_account)) return Declined("OTHER_CURRENCY", true);
  if (charge.debit_account == charge.credit_account) return Declined("NO_WALLET", true);
  absl::Status opened = counterparts_.Open(options_.client, charge.credit_account, charge.currency);
  if (!opened.ok()) return opened;
  const std::string id = charge.id;
  absl::StatusOr<Outcome> outcome = Post(charge);
  if (!outcome.ok()) return outcome.status();
  const ResultRow& row = Row(outcome->result);
  if (row.of == ResultClass::kRefused) return DeclinedFor(outcome->result);
  if (row.of == ResultClass::kMalformed) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", row.name, row.meaning));
  }
  if (outcome->result == TransferResult::kCreated) {
    Transfer made;
    static_cast<NewTransfer&>(made) = std::move(charge);
    made.created_at = outcome->created_at;
    return Approved(made);
  }
  absl::StatusOr<Standing> standing = Find(id);
  if (!standing.ok()) return standing.status();
  if (!standing->charge) return absl::InternalError("the charge is not there");
  if (standing->voided) return Declined(kKeyClosed, false);
  if (outcome->result == TransferResult::kExistsWithDifferentTimeout) {
    // How long one is held has been set anew since: is it the same but for that?
    charge.timeout_seconds = standing->charge->timeout_seconds;
    outcome = Post(charge);
    if (!outcome.ok()) return outcome.status();
  }
  if (outcome->result != TransferResult::kExists) {
    return Misused(fmt::format("another charge ({})", Row(outcome->result).name));
  }
  return Approved(*standing->charge);
}

absl::StatusOr<pb::CaptureResponse> WalletGateway::Capture(const pb::CaptureRequest& request) {
  if (absl::Status wrong = CheckKey(request.idempotency_key()); !wrong.ok()) return wrong;
  if (request.amount_minor() <= 0) return absl::InvalidArgumentError("amount_minor has to be more than 0");
  const std::string id = IdOf(request.idempotency_key());
  absl::StatusOr<TransferRecord> held = store_.GetTransfer(options_.client, id);
  if (!held.ok() && !absl::IsNotFound(held.status())) return held.status();
  if (held.ok() && held->resolution == Resolution::kOpen) {
    absl::Status open = CheckAccounts(held->debit_account, held->credit_account, 0);
    if (!open.ok()) return open;
  }
  NewTransfer capture;
  capture.id = CaptureOf(id);
  capture.phase = Phase::kPost;
  capture.pending_id = id;
  capture.currency = request.currency();
  capture.amount_minor = request.amount_minor();
  capture.user_data = request.order_id();
  absl::StatusOr<Outcome> outcome = Post(capture);
  if (!outcome.ok()) return outcome.status();
  const ResultRow& row = Row(outcome->result);
  switch (row.of) {
    case ResultClass::kDone: {
      pb::CaptureResponse response;
      response.mutable_captured()->set_reference(capture.id);
      return response;
    }
    case ResultClass::kConflict:
      return Misused(fmt::format("another capture ({})", row.name));
    case ResultClass::kMalformed:
      return absl::InvalidArgumentError(fmt::format("{}: {}", row.name, row.meaning));
    case ResultClass::kRefused:
      break;
  }
  switch (outcome->result) {
    case TransferResult::kPendingTransferAlreadyVoided:
      return Refused(kKeyClosed);
    case TransferResult::kPendingTransferExpired: {
      absl::StatusOr<Standing> standing = Find(id);
      if (!standing.ok()) return standing.status();
      return Refused(standing->voided ? kKeyClosed : "EXPIRED");
    }
    case TransferResult::kPendingTransferNotFound:
    case TransferResult::kPendingTransferNotPending:
      return Refused("NOT_AUTHORIZED");
    case TransferResult::kExceedsPendingTransferAmount:
      return Refused("BEYOND_HOLD");
    default:
      return Refused("WALLET_REFUSED");
  }
}

absl::StatusOr<pb::RefundResponse> WalletGateway::Refund(const pb::RefundRequest& request) {
  if (absl::Status wrong = CheckKey(request.idempotency_key()); !wrong.ok()) return wrong;
  const std::string id = IdOf(request.idempotency_key());
  // Takes the id, if it is free, for what is certainly refused, and so closes the key.
  NewTransfer closing;
  closing.id = id;
  closing.phase = Phase::kVoid;
  closing.pending_id = id + ":none";
  absl::StatusOr<Outcome> closed = Post(closing);
  if (!closed.ok()) return closed.status();
  pb::RefundResponse response;
  if (Row(closed->result).of == ResultClass::kRefused) return response;  // by this one, or before

  absl::StatusOr<Standing> standing = Find(id);
  if (!standing.ok()) return standing.status();
  if (standing->charge && !standing->posted && !standing->voided) {
    NewTransfer release;
    release.id = VoidOf(id);
    release.phase = Phase::kVoid;
    release.pending_id = id;
    absl::StatusOr<Outcome> voided = Post(release);
    if (!voided.ok()) return voided.status();
    if (Row(voided->result).of == ResultClass::kDone) return response;
    standing = Find(id);  // a capture, or its time, came first
    if (!standing.ok()) return standing.status();
  }
  if (!standing->posted) {
    // By another process's clock its time may not be over yet, and it may still be captured.
    if (standing->charge->resolution == Resolution::kOpen)
      return absl::AbortedError("the hold's time is over, and it has not ended yet");
    return response;
  }
  response.set_refunded_minor(standing->posted->amount_minor);
  response.set_charge_reference(standing->posted->id);
  if (standing->all_refunded()) {
    response.set_reference(standing->refunds.empty() ? "" : standing->refunds.back().id);
    return response;
  }
  absl::StatusOr<std::string> reference = GiveBack(
      id, *standing, standing->posted->amount_minor - standing->RefundedMinor(), kGivesBackAll, request.order_id());
  if (!reference.ok()) return reference.status();
  response.set_reference(*std::move(reference));
  return response;
}

absl::StatusOr<pb::RefundPartResponse> WalletGateway::RefundPart(const pb::RefundPartRequest& request) {
  if (absl::Status wrong = CheckKey(request.idempotency_key()); !wrong.ok()) return wrong;
  Violations violations;
  domain::CheckVisibleAscii(request.refund_id(), kRefundIdMax, "refund_id", violations);
  if (request.amount_minor() <= 0) violations.Add("amount_minor", "has to be more than 0");
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  const std::string id = IdOf(request.idempotency_key());
  absl::StatusOr<Standing> standing = Find(id);
  if (!standing.ok()) return standing.status();
  if (!standing->posted) {
    if (standing->voided || standing->refusal == TransferResult::kPendingTransferNotFound) {
      return PartRefused(kKeyClosed);
    }
    return PartRefused("NOT_CHARGED");
  }
  for (const TransferRecord& refund : standing->refunds) {
    if (refund.code != kGivesBackPart || refund.user_data != request.refund_id()) continue;
    if (refund.amount_minor != request.amount_minor() || refund.currency != request.currency()) {
      return Misused("another part under this refund_id");
    }
    return PartDone(refund.id);
  }
  if (request.currency() != standing->posted->currency) return PartRefused("OTHER_CURRENCY");
  // What is left becomes less and less: who was refused once is refused for ever.
  if (standing->all_refunded()) return PartRefused("TOO_LATE");
  if (request.amount_minor() > standing->posted->amount_minor - standing->RefundedMinor()) {
    return PartRefused("BEYOND_CHARGE");
  }
  absl::StatusOr<std::string> reference =
      GiveBack(id, *standing, request.amount_minor(), kGivesBackPart, request.refund_id());
  if (!reference.ok()) return reference.status();
  return PartDone(*std::move(reference));
}

absl::StatusOr<std::string> WalletGateway::GiveBack(const std::string& id, const Standing& standing,
                                                    int64_t amount_minor, int32_t code, const std::string& user_data) {
  NewTransfer refund;
  refund.id = RefundOf(id, standing.next_refund);
  refund.debit_account = standing.charge->credit_account;
  refund.credit_account = standing.charge->debit_account;
  refund.currency = standing.charge->currency;
  refund.code = code;
  refund.amount_minor = amount_minor;
  refund.user_data = user_data;
  refund.corrects = standing.posted->id;
  if (absl::Status takes = CheckAccounts(refund.debit_account, refund.credit_account, amount_minor); !takes.ok()) {
    return takes;
  }
  absl::StatusOr<Outcome> outcome = Post(refund);
  if (!outcome.ok()) return outcome.status();
  const ResultRow& row = Row(outcome->result);
  if (row.of == ResultClass::kDone) return refund.id;
  if (row.of == ResultClass::kConflict) return absl::AbortedError("another refund of the charge came first");
  return absl::FailedPreconditionError(fmt::format("the wallet takes nothing back ({})", row.name));
}

absl::StatusOr<pb::Payment> WalletGateway::GetPayment(const pb::GetPaymentRequest& request) {
  if (absl::Status wrong = CheckKey(request.idempotency_key()); !wrong.ok()) return wrong;
  absl::StatusOr<Standing> standing = Find(IdOf(request.idempotency_key()));
  if (!standing.ok()) return standing.status();
  if (!standing->charge && !standing->refusal) return absl::NotFoundError("the key is not known");
  pb::Payment payment;
  payment.set_idempotency_key(request.idempotency_key());
  if (!standing->charge) {
    const bool closed = standing->refusal == TransferResult::kPendingTransferNotFound;
    payment.set_state(closed ? pb::Payment::CLOSED : pb::Payment::DECLINED);
    return payment;
  }
  const TransferRecord& charge = *standing->charge;
  payment.set_currency(charge.currency);
  payment.set_reference(charge.id);
  rpc::SetTime(charge.created_at, *payment.mutable_time());
  if (standing->posted) {
    payment.set_state(standing->all_refunded() ? pb::Payment::REFUNDED : pb::Payment::CHARGED);
    payment.set_charged_minor(standing->posted->amount_minor);
    payment.set_refunded_minor(standing->RefundedMinor());
    payment.set_reference(standing->posted->id);
  } else if (standing->voided) {
    payment.set_state(pb::Payment::CLOSED);
  } else {
    payment.set_state(pb::Payment::AUTHORIZED);
    payment.set_authorized_minor(charge.amount_minor);
    rpc::SetTime(ExpiresAt(charge), *payment.mutable_expires());
  }
  return payment;
}

void AddWalletGateway(rpc::Server& server, WalletGateway& wallets, Executor& workers) {
  Add(server, "Charge", workers, wallets, &WalletGateway::Charge);
  Add(server, "Authorize", workers, wallets, &WalletGateway::Authorize);
  Add(server, "Capture", workers, wallets, &WalletGateway::Capture);
  Add(server, "Refund", workers, wallets, &WalletGateway::Refund);
  Add(server, "RefundPart", workers, wallets, &WalletGateway::RefundPart);
  Add(server, "GetPayment", workers, wallets, &WalletGateway::GetPayment);
}

}  // namespace waybill::ledger

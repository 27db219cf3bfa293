// What may become of each account and each transfer that is asked for, with the name that callers see, in one table
// each. The order is that of the checks: what has several faults is answered the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

namespace waybill::ledger {

enum class ResultClass : uint8_t {
  kDone,       // it is there, now or since before
  kConflict,   // the id belongs to another one; nothing was done
  kMalformed,  // the request itself is wrong, whatever the ledger holds. Nothing is kept: the id may be used again
  kRefused,    // by what the ledger holds. Kept for transfers: the id is answered the same for ever
};

enum class AccountResult : uint8_t {
  kCreated,
  kIdMalformed,
  kOwnerMalformed,
  kCurrencyUnknown,
  kKindMalformed,
  kCodeMustBePositive,
  kFlagsAreMutuallyExclusive,
  kMetadataMalformed,
  kParentMalformed,
  kParentMustBeDifferent,
  kExistsWithDifferentFlags,
  kExistsWithDifferentOwner,
  kExistsWithDifferentCurrency,
  kExistsWithDifferentKind,
  kExistsWithDifferentCode,
  kExistsWithDifferentParent,
  kExistsWithDifferentMetadata,
  kExists,
  kParentNotFound,
  kParentHasParent,
  kParentHasDifferentCurrency,
  kParentClosed,
};

enum class TransferResult : uint8_t {
  kCreated,
  kLinkedTransferFailed,
  kLinkedChainOpen,
  kLinkedIdRepeated,
  kIdMalformed,
  kExistsWithDifferentPhase,
  kExistsWithDifferentPendingId,
  kExistsWithDifferentTimeout,
  kExistsWithDifferentDebitAccount,
  kExistsWithDifferentCreditAccount,
  kExistsWithDifferentAmount,
  kExistsWithDifferentUserData,
  kExistsWithDifferentCurrency,
  kExistsWithDifferentCode,
  kExistsWithDifferentBalancing,
  kExistsWithDifferentCorrects,
  kExists,
  // Here what was refused before is answered, with the refusal it had.
  kPhaseReserved,
  kBalancingReserved,
  kDebitAccountMalformed,
  kCreditAccountMalformed,
  kAccountsMustBeDifferent,
  kPendingIdMustBeEmpty,
  kPendingIdMalformed,
  kPendingIdMustBeDifferent,
  kTimeoutReserved,
  kTimeoutOutOfRange,
  kAmountMustBePositive,
  kCurrencyUnknown,
  kCodeMustBePositive,
  kUserDataMalformed,
  kCorrectsMalformed,
  kCorrectsMustBeDifferent,
  kPendingTransferNotFound,
  kPendingTransferNotPending,
  kDebitAccountNotFound,
  kCreditAccountNotFound,
  kDebitAccountHasDifferentCurrency,
  kCreditAccountHasDifferentCurrency,
  kPendingTransferHasDifferentDebitAccount,
  kPendingTransferHasDifferentCreditAccount,
  kPendingTransferHasDifferentCurrency,
  kPendingTransferHasDifferentCode,
  kExceedsPendingTransferAmount,
  kPendingTransferHasDifferentAmount,
  kPendingTransferAlreadyPosted,
  kPendingTransferAlreadyVoided,
  kPendingTransferExpired,
  kCorrectedTransferNotFound,
  kCorrectedTransferNotPosted,
  kCorrectedTransferHasDifferentCurrency,
  kDebitAccountClosed,
  kCreditAccountClosed,
  kOverflowsDebits,
  kOverflowsCredits,
  kExceedsCredits,
  kExceedsDebits,
};

struct ResultRow {
  std::string_view name;
  ResultClass of;
  std::string_view meaning;
};

inline constexpr ResultRow kAccountResults[] = {
    {"created", ResultClass::kDone, "The account was opened."},
    {"id_malformed", ResultClass::kMalformed, "The id is not 1 to 64 of A-Z a-z 0-9 . _ : -"},
    {"owner_malformed", ResultClass::kMalformed,
     "The owner is no UTF-8, has control characters, or is over 128 bytes."},
    {"currency_unknown", ResultClass::kMalformed, "The currency is none of ISO 4217."},
    {"kind_malformed", ResultClass::kMalformed, "The kind is not 1 to 32 of a-z 0-9 _, a letter first."},
    {"code_must_be_positive", ResultClass::kMalformed, "The code is 0 or less."},
    {"flags_are_mutually_exclusive", ResultClass::kMalformed, "An account limits its debits or its credits, not both."},
    {"metadata_malformed", ResultClass::kMalformed,
     "More than 16 entries, a key that is not 1 to 40 characters as in ids, or a value that is no UTF-8, has control "
     "characters, or is over 256 bytes."},
    {"parent_malformed", ResultClass::kMalformed, "The parent is no id."},
    {"parent_must_be_different", ResultClass::kMalformed, "An account does not belong to itself."},
    {"exists_with_different_flags", ResultClass::kConflict, "The id has an account with other flags, but for closed."},
    {"exists_with_different_owner", ResultClass::kConflict, "The id has an account of another owner."},
    {"exists_with_different_currency", ResultClass::kConflict, "The id has an account in another currency."},
    {"exists_with_different_kind", ResultClass::kConflict, "The id has an account of another kind."},
    {"exists_with_different_code", ResultClass::kConflict, "The id has an account with another code."},
    {"exists_with_different_parent", ResultClass::kConflict, "The id has an account that belongs to another."},
    {"exists_with_different_metadata", ResultClass::kConflict, "The id has an account with other metadata."},
    {"exists", ResultClass::kDone, "The same account was opened before."},
    {"parent_not_found", ResultClass::kRefused, "The client has no account of the parent's id."},
    {"parent_has_parent", ResultClass::kRefused, "The parent belongs to an account itself."},
    {"parent_has_different_currency", ResultClass::kRefused, "The parent is in another currency."},
    {"parent_closed", ResultClass::kRefused, "The parent is closed."},
};

inline constexpr ResultRow kTransferResults[] = {
    {"created", ResultClass::kDone, "The transfer was made."},
    {"linked_transfer_failed", ResultClass::kMalformed,
     "Another of its chain was not made, so none of the chain was. The id may be used again."},
    {"linked_chain_open", ResultClass::kMalformed, "The last of the batch says that it is linked with a next."},
    {"linked_id_repeated", ResultClass::kMalformed, "Its chain has the id twice."},
    {"id_malformed", ResultClass::kMalformed, "The id is not 1 to 64 of A-Z a-z 0-9 . _ : -"},
    {"exists_with_different_phase", ResultClass::kConflict, "The id has a transfer of another phase."},
    {"exists_with_different_pending_id", ResultClass::kConflict, "The id has one that resolves another transfer."},
    {"exists_with_different_timeout", ResultClass::kConflict, "The id has a transfer with another timeout."},
    {"exists_with_different_debit_account", ResultClass::kConflict, "The id has a transfer from another account."},
    {"exists_with_different_credit_account", ResultClass::kConflict, "The id has a transfer to another account."},
    {"exists_with_different_amount", ResultClass::kConflict, "The id has a transfer that asked for another amount."},
    {"exists_with_different_user_data", ResultClass::kConflict, "The id has a transfer with other user data."},
    {"exists_with_different_currency", ResultClass::kConflict, "The id has a transfer in another currency."},
    {"exists_with_different_code", ResultClass::kConflict, "The id has a transfer with another code."},
    {"exists_with_different_balancing", ResultClass::kConflict, "The id has a transfer that balances otherwise."},
    {"exists_with_different_corrects", ResultClass::kConflict, "The id has a transfer that corrects another."},
    {"exists", ResultClass::kDone, "The same transfer was made before."},
    {"phase_reserved", ResultClass::kMalformed, "Only the ledger itself lets a transfer expire."},
    {"balancing_reserved", ResultClass::kMalformed, "Only single and pending transfers balance."},
    {"debit_account_malformed", ResultClass::kMalformed, "The debit account is no id."},
    {"credit_account_malformed", ResultClass::kMalformed, "The credit account is no id."},
    {"accounts_must_be_different", ResultClass::kMalformed, "Debit and credit account are the same."},
    {"pending_id_must_be_empty", ResultClass::kMalformed, "Only posts and voids name a pending transfer."},
    {"pending_id_malformed", ResultClass::kMalformed, "A post or void names no pending transfer, or by no id."},
    {"pending_id_must_be_different", ResultClass::kMalformed, "The transfer names itself as the pending one."},
    {"timeout_reserved", ResultClass::kMalformed, "Only pending transfers have a timeout."},
    {"timeout_out_of_range", ResultClass::kMalformed, "The timeout is not 0 to 315360000 seconds."},
    {"amount_must_be_positive", ResultClass::kMalformed,
     "The amount is negative; or 0, and neither balancing, a post nor a void."},
    {"currency_unknown", ResultClass::kMalformed, "The currency is none of ISO 4217."},
    {"code_must_be_positive", ResultClass::kMalformed, "The code is 0 or less (of a post or void: less)."},
    {"user_data_malformed", ResultClass::kMalformed,
     "The user data is no UTF-8, has control characters, or is over 128 bytes."},
    {"corrects_malformed", ResultClass::kMalformed, "What is corrected is no id."},
    {"corrects_must_be_different", ResultClass::kMalformed, "The transfer corrects itself."},
    {"pending_transfer_not_found", ResultClass::kRefused, "The client has no transfer of the pending transfer's id."},
    {"pending_transfer_not_pending", ResultClass::kRefused, "The transfer to be posted or voided is not pending."},
    {"debit_account_not_found", ResultClass::kRefused, "The client has no account of that id."},
    {"credit_account_not_found", ResultClass::kRefused, "The client has no account of that id."},
    {"debit_account_has_different_currency", ResultClass::kRefused, "The debit account is in another currency."},
    {"credit_account_has_different_currency", ResultClass::kRefused, "The credit account is in another currency."},
    {"pending_transfer_has_different_debit_account", ResultClass::kRefused,
     "The post or void names a debit account, and it is not the pending transfer's."},
    {"pending_transfer_has_different_credit_account", ResultClass::kRefused,
     "The post or void names a credit account, and it is not the pending transfer's."},
    {"pending_transfer_has_different_currency", ResultClass::kRefused,
     "The post or void names a currency, and it is not the pending transfer's."},
    {"pending_transfer_has_different_code", ResultClass::kRefused,
     "The post or void has a code, and it is not the pending transfer's."},
    {"exceeds_pending_transfer_amount", ResultClass::kRefused, "More was to be posted than is held."},
    {"pending_transfer_has_different_amount", ResultClass::kRefused,
     "A void frees all that is held; it names another amount."},
    {"pending_transfer_already_posted", ResultClass::kRefused, "The pending transfer was posted."},
    {"pending_transfer_already_voided", ResultClass::kRefused, "The pending transfer was voided."},
    {"pending_transfer_expired", ResultClass::kRefused, "The pending transfer's timeout is over."},
    {"corrected_transfer_not_found", ResultClass::kRefused, "The client has no transfer of the id to be corrected."},
    {"corrected_transfer_not_posted", ResultClass::kRefused, "Only what was posted can be corrected."},
    {"corrected_transfer_has_different_currency", ResultClass::kRefused,
     "What is to be corrected is in another currency."},
    {"debit_account_closed", ResultClass::kRefused, "The debit account, or the one it belongs to, is closed."},
    {"credit_account_closed", ResultClass::kRefused, "The credit account, or the one it belongs to, is closed."},
    {"overflows_debits", ResultClass::kRefused, "An account's debits would be more than 2^63 - 1."},
    {"overflows_credits", ResultClass::kRefused, "An account's credits would be more than 2^63 - 1."},
    {"exceeds_credits", ResultClass::kRefused,
     "The debit account, or the one it belongs to, would be debited more than it was credited."},
    {"exceeds_debits", ResultClass::kRefused,
     "The credit account, or the one it belongs to, would be credited more than it was debited."},
};

static_assert(std::size(kAccountResults) == static_cast<size_t>(AccountResult::kParentClosed) + 1);
static_assert(std::size(kTransferResults) == static_cast<size_t>(TransferResult::kExceedsDebits) + 1);

constexpr const ResultRow& Row(AccountResult result) { return kAccountResults[static_cast<size_t>(result)]; }
constexpr const ResultRow& Row(TransferResult result) { return kTransferResults[static_cast<size_t>(result)]; }
constexpr std::string_view Name(AccountResult result) { return Row(result).name; }
constexpr std::string_view Name(TransferResult result) { return Row(result).name; }
// It is there now, by this request or by an earlier one that asked for the same.
constexpr bool Done(AccountResult result) { return Row(result).of == ResultClass::kDone; }
constexpr bool Done(TransferResult result) { return Row(result).of == ResultClass::kDone; }

std::optional<AccountResult> ParseAccountResult(std::string_view name);
std::optional<TransferResult> ParseTransferResult(std::string_view name);

}  // namespace waybill::ledger

// From requests on the wire to the ledger's words, and back. What a caller can get wrong besides its accounts and
// transfers, which have results of their own, is found here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/access/key_ring.h"
#include "ledger/account.h"
#include "ledger/result.h"
#include "ledger/transfer.h"
#include "storage/ledger_store.h"
#include "waybill/ledger/v1/ledger.pb.h"

namespace waybill::ledger {

inline constexpr int kPageSizeMax = 500;
inline constexpr int kPageSizeDefault = 50;

// Whose accounts a caller opens; "anonymous" of nobody in particular.
std::string ClientOf(const access::Caller& caller);
// The same for a call that opens, closes or moves. CLIENT_RESERVED: Waybill's own accounts, to which the orders post in
// their own commits, are written by nobody else.
absl::StatusOr<std::string> ClientToWrite(const access::Caller& caller);
// Whose it reads: its own, or those of the client that it names. SCOPE_MISSING.
absl::StatusOr<std::string> ClientToRead(const access::Caller& caller, const std::string& named);

// These take the requests' strings away.
NewAccount TakeAccount(v1::NewAccount& account);
// BAD_REQUEST: none, too many, or a phase that is none.
absl::StatusOr<std::vector<NewAccount>> TakeAccounts(v1::CreateAccountsRequest& request);
absl::StatusOr<std::vector<NewTransfer>> TakeTransfers(v1::CreateTransfersRequest& request);

// A single transfer in plain words: what is to be made, and what the request calls its accounts.
struct Verb {
  NewTransfer transfer;
  std::string_view debit_field;
  std::string_view credit_field;
  // Where the request names no counterpart: that account is opened if need be. Empty: it names one.
  std::string counterpart;
};
// `key`: the header idempotency-key. BAD_REQUEST when there is no id.
absl::StatusOr<Verb> TakeVerb(v1::CreditRequest& request, std::string_view key);
absl::StatusOr<Verb> TakeVerb(v1::DebitRequest& request, std::string_view key);
absl::StatusOr<Verb> TakeVerb(v1::TransferRequest& request, std::string_view key);
// The counterpart of that id and currency, as it is opened.
NewAccount Counterpart(std::string id, std::string currency);

// BAD_REQUEST when it is no id.
absl::Status CheckId(std::string_view id, std::string_view field);

// Pages: BAD_REQUEST naming each wrong field. The queries' limits are one more than a page: that one says whether there
// is another page.
absl::StatusOr<storage::AccountQuery> TakeQuery(const v1::ListAccountsRequest& request, const access::Caller& caller);
absl::StatusOr<storage::StatementQuery> TakeQuery(const v1::ListTransfersRequest& request,
                                                  const access::Caller& caller);
absl::StatusOr<storage::HistoryQuery> TakeQuery(const v1::ListBalancesRequest& request, const access::Caller& caller);
struct BatchQuery {
  int64_t after = 0;
  int limit = 0;
};
absl::StatusOr<BatchQuery> TakeQuery(const v1::ListBatchesRequest& request);
std::string MakeToken(const Account& last, const v1::ListAccountsRequest& request);  // of the page behind it
std::string MakeToken(const Transfer& last, const v1::ListTransfersRequest& request);
std::string MakeToken(const storage::BalanceMoment& last, const v1::ListBalancesRequest& request);
std::string MakeToken(const storage::SealedBatch& last, const v1::ListBatchesRequest& request);

struct BalanceRequest {
  std::string client;
  std::string account;
  std::optional<absl::Time> at;
  std::optional<absl::Duration> max_staleness;
};
absl::StatusOr<BalanceRequest> TakeBalance(const v1::GetBalanceRequest& request, const access::Caller& caller,
                                           absl::Time now);

v1::AccountOutcome::Result ToWire(AccountResult result);
v1::TransferOutcome::Result ToWire(TransferResult result);

void Fill(const Balance& balance, v1::Balance& out);
void Fill(const Account& account, v1::Account& out);
void Fill(const Outcome& outcome, v1::TransferOutcome& out);
void Fill(const storage::TransferRecord& transfer, v1::Transfer& out);
void Fill(const storage::TrialBalanceLine& line, v1::TrialBalanceLine& out);
void Fill(const storage::VerifyProgress& progress, v1::VerifyProgress& out);
void Fill(const storage::VerifyReport& report, v1::VerifyReport& out);
void Fill(const storage::SealedBatch& batch, v1::Batch& out);

}  // namespace waybill::ledger

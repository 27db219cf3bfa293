// Wallets as a payment gateway: waybill.payment.v1 over accounts of the ledger, so that an order is paid from the
// account of its user. A charge is a transfer, an authorization a pending one that a capture posts and a refund voids.
// The keys of charges are ids of transfers, and an id is a transfer, or is refused, for ever: that is all the state
// there is, and why calls under one key take turns by themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/rpc/server.h"
#include "runtime/executor.h"
#include "services/ledger/grpc_ledger_service.h"
#include "storage/ledger_store.h"
#include "waybill/payment/v1/payment.pb.h"

namespace waybill::ledger {

struct WalletOptions {
  std::string client;                         // whose accounts they are; empty: there are no wallets
  std::string wallet = "wallet:{user}";       // the account that pays
  std::string orders = "orders:{currency}";   // the account that is paid; opened when it is first needed
  absl::Duration hold = absl::Hours(7 * 24);  // how long an authorization can be captured
  int workers = 16;                           // calls at a time: each waits until its transfer is written
};

// INVALID_ARGUMENT: a pattern without its word, or of which no id can come.
absl::Status CheckWallets(const WalletOptions& options);

// Each answers as the contract has it; every status but OK is unknown. Calls block on the store. Thread-safe.
class WalletGateway {
 public:
  // All outlive it.
  WalletGateway(storage::LedgerStore& store, Counterparts& counterparts, WalletOptions options)
      : store_(store), counterparts_(counterparts), options_(std::move(options)) {}

  absl::StatusOr<payment::v1::ChargeResponse> Charge(const payment::v1::ChargeRequest& request);
  absl::StatusOr<payment::v1::ChargeResponse> Authorize(const payment::v1::ChargeRequest& request);
  absl::StatusOr<payment::v1::CaptureResponse> Capture(const payment::v1::CaptureRequest& request);
  absl::StatusOr<payment::v1::RefundResponse> Refund(const payment::v1::RefundRequest& request);
  absl::StatusOr<payment::v1::RefundPartResponse> RefundPart(const payment::v1::RefundPartRequest& request);
  absl::StatusOr<payment::v1::Payment> GetPayment(const payment::v1::GetPaymentRequest& request);
  // CLIENT_MISMATCH: a key of another client's moves nothing in these wallets.
  absl::Status CheckCaller(const access::Caller& caller) const;

 private:
  // What is there under a key.
  struct Standing {
    std::optional<TransferResult> refusal;          // its charge was declined, or the key closed
    std::optional<storage::TransferRecord> charge;  // the charge, or what is held
    std::optional<storage::TransferRecord> posted;  // where the money was taken: the charge, or what captured it
    std::vector<storage::TransferRecord> refunds;   // in their order
    int64_t next_refund = 1;                        // the number of the next one
    bool voided = false;                            // what was held is let go, by a refund that closed the key

    int64_t RefundedMinor() const;
    bool all_refunded() const { return posted && RefundedMinor() == posted->amount_minor; }
  };
  absl::StatusOr<Standing> Find(const std::string& id) const;
  absl::StatusOr<Outcome> Post(NewTransfer transfer);
  // What the ledger refuses it refuses for ever under that id, so what would be refused for a while only is not asked
  // for: FAILED_PRECONDITION while one of the two, or what it belongs to, is closed, or has not so much to give.
  absl::Status CheckAccounts(const std::string& from, const std::string& to, int64_t amount_minor) const;
  absl::StatusOr<payment::v1::ChargeResponse> Ask(const payment::v1::ChargeRequest& request, Phase phase);
  // Gives back so much more of it, as the next of its refunds. ABORTED: another one came first.
  absl::StatusOr<std::string> GiveBack(const std::string& id, const Standing& standing, int64_t amount_minor,
                                       int32_t code, const std::string& user_data);

  storage::LedgerStore& store_;
  Counterparts& counterparts_;
  const WalletOptions options_;
};

// Its methods on a server that is not started yet. All outlive it.
void AddWalletGateway(rpc::Server& server, WalletGateway& wallets, Executor& workers);

}  // namespace waybill::ledger

// Transfers: what is asked for, and the row that it becomes. Rows are never changed; what ends a pending transfer, or
// corrects one, is a row of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "ledger/result.h"

namespace waybill::ledger {

inline constexpr size_t kBatchMax = 8'000;           // transfers, or accounts, of one call
inline constexpr size_t kUserDataMax = 128;          // bytes of UTF-8
inline constexpr int64_t kTimeoutMax = 315'360'000;  // seconds; ten years

enum class Phase : uint8_t {
  kSingle,   // at once
  kPending,  // held on both accounts until it is posted, voided, or its timeout is over
  kPost,     // a pending one, whole or in part; the rest is free again
  kVoid,     // a pending one
  kExpired,  // a pending one, by its timeout: the ledger's own, nobody asks for it
};

std::string_view Name(Phase phase);  // "single", "pending", "post", "void", "expired"
std::optional<Phase> ParsePhase(std::string_view name);

// As a client asks for it.
struct NewTransfer {
  std::string id;
  Phase phase = Phase::kSingle;
  // Of a post or a void these five may be left empty, or 0, or be as in the pending transfer.
  std::string debit_account;
  std::string credit_account;
  std::string currency;
  int32_t code = 0;  // the client's reason; > 0
  // > 0. 0 means: of a balancing transfer, whatever there is; of a post, all of it; of a void nothing else is asked
  // for.
  int64_t amount_minor = 0;
  std::string user_data;
  std::string pending_id;       // posts and voids: of the pending transfer
  int64_t timeout_seconds = 0;  // pending: how long at most; 0: until it is posted or voided
  // Together with the next of its batch, all or none; a chain ends with the first that has this not.
  bool linked = false;
  // At most `amount_minor`, and no more than the debit account has: its credits less its debits, pending ones included.
  bool balancing_debit = false;
  // ...than the credit account lacks: its debits less its credits, pending ones included.
  bool balancing_credit = false;
  std::string corrects;  // an earlier transfer that this one corrects; empty: none

  friend bool operator==(const NewTransfer&, const NewTransfer&) = default;
};

// As it stands in the ledger: all of the above is filled in, `amount_minor` too: it is what was posted or held, 0 of
// voids and expiries.
struct Transfer : NewTransfer {
  std::string client;
  int64_t number = 0;           // grows; along each account in the order in which its balance changed
  int64_t requested_minor = 0;  // what amount_minor was when it was asked for
  int64_t released_minor = 0;   // posts, voids and expiries: the pending transfer's amount
  absl::Time created_at;        // along each account it grows with the number

  friend bool operator==(const Transfer&, const Transfer&) = default;
};

// Until when a pending transfer is held; infinitely far off without a timeout, and of the other phases.
absl::Time ExpiresAt(const Transfer& transfer);

// What became of one transfer of a batch.
struct Outcome {
  TransferResult result = TransferResult::kCreated;
  // Of what is created or exists:
  int64_t amount_minor = 0;  // posted or held
  int64_t number = 0;
  absl::Time created_at;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

}  // namespace waybill::ledger

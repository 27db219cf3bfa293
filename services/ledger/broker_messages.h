// The messages of the ledger's queues in RabbitMQ: JSON objects, read strictly, and the answers to them. docs/broker.md
// has the contract.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ledger/account.h"
#include "ledger/result.h"
#include "ledger/transfer.h"
#include "storage/ledger_store.h"

namespace waybill::ledger {

inline constexpr std::string_view kTransactionsQueue = "transactions";
inline constexpr std::string_view kBalancesQueue = "balance-calculation";
inline constexpr std::string_view kRefundsQueue = "refunds";
inline constexpr size_t kMessageMax = 64 * 1'024;  // bytes of a body

// One transfer, as it is in waybill.ledger.v1 but for `idempotencyKey`, which is its id.
absl::StatusOr<NewTransfer> ParseTransaction(std::string_view body);

struct BalanceQuestion {
  std::string request_id;  // given back in the answer
  std::string account;
  std::optional<absl::Time> at;
  std::string answer_queue;  // empty: where the message's reply-to says
};
absl::StatusOr<BalanceQuestion> ParseBalanceQuestion(std::string_view body);

struct Refund {
  std::string id;            // of the correcting transfer
  std::string transfer;      // that is corrected
  int64_t amount_minor = 0;  // 0: all of it
  int32_t code = 0;          // 0: the transfer's
  std::string user_data;
};
absl::StatusOr<Refund> ParseRefund(std::string_view body);
// The same whenever it is asked for, so that a message that comes twice asks for the same transfer. BAD_REQUEST when
// more is to go back than there was, or it went back itself; TRANSFER_REFUSED when nothing was posted.
absl::StatusOr<NewTransfer> CorrectingTransfer(const Refund& refund, const Transfer& corrected);

// The `idempotencyKey` or `requestId` of a body that is wrong otherwise, as far as it can be read; "" if it cannot.
std::string KeyOf(std::string_view body);

// As StatusOf, by the names that messages have for fields.
absl::Status StatusOfMessage(TransferResult result, const std::string& id);
std::string TransferAnswer(const std::string& id, const Outcome& outcome);
std::string BalanceAnswer(const BalanceQuestion& question, const Account& account, const Balance& balance,
                          absl::Time at);
// Of either, when there is none: {"idempotencyKey": ..., "error": {"reason": ..., "message": ..., "fields": [...]}}.
std::string ErrorAnswer(std::string_view key_name, const std::string& key, const absl::Status& status);

}  // namespace waybill::ledger

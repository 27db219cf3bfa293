// The chain of hashes over batches of transfers, and of the accounts that they move between: each has the hash of the
// one before in its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace waybill::storage {

// A row of the ledger as it is hashed: all that it says. What it leaves out is empty, or -1.
struct ChainRow {
  int64_t number = 0;
  int64_t debit_account = -1;  // numbers
  int64_t credit_account = -1;
  int64_t amount = -1;
  int64_t requested = -1;
  int64_t released = -1;
  int64_t write = 0;
  int64_t created_at = 0;  // microseconds since 1970
  int64_t code = -1;
  int64_t timeout_seconds = -1;
  bool linked = false;
  bool balancing_debit = false;
  bool balancing_credit = false;
  std::string_view phase, currency, client, id, pending_id, corrects, user_data, refusal;
};

// What of an account never changes.
struct ChainAccount {
  int64_t number = 0;
  int64_t parent = -1;  // its number
  int64_t code = 0;
  int64_t created_at = 0;  // microseconds since 1970
  bool debits_must_not_exceed_credits = false;
  bool credits_must_not_exceed_debits = false;
  bool history = false;
  std::string_view currency, client, id, kind, owner;
  std::string_view metadata;  // JSON, as Postgres writes a jsonb
};

// SHA-256, 32 bytes, over "waybill.ledger.1", the hash of the batch before (32 bytes; zeros before the first), and each
// account and then each transfer in the order of the numbers: numbers in eight bytes, the most significant first, texts
// behind their length in four. An account has a -1 before its number, which no transfer has for one.
class BatchHash {
 public:
  explicit BatchHash(std::string_view previous);
  ~BatchHash();
  BatchHash(const BatchHash&) = delete;
  BatchHash& operator=(const BatchHash&) = delete;

  void Add(const ChainAccount& account);
  void Add(const ChainRow& row);
  std::string Finish();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string buffer_;
};

inline constexpr size_t kBatchHashSize = 32;

}  // namespace waybill::storage

#include "storage/ledger_chain.h"

#include <openssl/evp.h>

#include <cstdlib>

namespace waybill::storage {
namespace {

void AppendBigEndian(std::string& out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
}

}  // namespace

struct BatchHash::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }

  void Update(std::string_view bytes) {
    if (EVP_DigestUpdate(context, bytes.data(), bytes.size()) != 1) std::abort();
  }
};

BatchHash::BatchHash(std::string_view previous) : state_(std::make_unique<State>()) {
  if (EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1) std::abort();
  state_->Update("waybill.ledger.1");
  state_->Update(previous);
}

BatchHash::~BatchHash() = default;

void BatchHash::Add(const ChainAccount& account) {
  buffer_.clear();
  for (const int64_t value : {int64_t{-1}, account.number, account.parent, account.code, account.created_at}) {
    AppendBigEndian(buffer_, static_cast<uint64_t>(value), 8);
  }
  buffer_ += static_cast<char>((account.debits_must_not_exceed_credits ? 1 : 0) |
                               (account.credits_must_not_exceed_debits ? 2 : 0) | (account.history ? 4 : 0));
  for (const std::string_view text :
       {account.currency, account.client, account.id, account.kind, account.owner, account.metadata}) {
    AppendBigEndian(buffer_, text.size(), 4);
    buffer_ += text;
  }
  state_->Update(buffer_);
}

void BatchHash::Add(const ChainRow& row) {
  buffer_.clear();
  for (const int64_t value : {row.number, row.debit_account, row.credit_account, row.amount, row.requested,
                              row.released, row.write, row.created_at, row.code, row.timeout_seconds}) {
    AppendBigEndian(buffer_, static_cast<uint64_t>(value), 8);
  }
  buffer_ += static_cast<char>((row.linked ? 1 : 0) | (row.balancing_debit ? 2 : 0) | (row.balancing_credit ? 4 : 0));
  for (const std::string_view text :
       {row.phase, row.currency, row.client, row.id, row.pending_id, row.corrects, row.user_data, row.refusal}) {
    AppendBigEndian(buffer_, text.size(), 4);
    buffer_ += text;
  }
  state_->Update(buffer_);
}

std::string BatchHash::Finish() {
  std::string hash(kBatchHashSize, '\0');
  if (EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(hash.data()), nullptr) != 1) std::abort();
  return hash;
}

}  // namespace waybill::storage

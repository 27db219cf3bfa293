// Payouts in memory: what their sagas' commits hold, post and void on accounts, in a book that memory journals write;
// and the store that reads it.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/payout.h"
#include "domain/reasons.h"
#include "saga/testing/memory_journal.h"
#include "storage/payout_store.h"

namespace waybill::storage::testing {

// The accounts that payouts come from, as far as payouts are about them. Under the book's mutex.
class MemoryPayouts {
 public:
  struct Account {
    std::string currency;
    int64_t balance_minor = 0;  // posted
    int64_t held_minor = 0;
    bool closed = false;
  };

  // Adds the kind to `book`, which outlives this.
  explicit MemoryPayouts(saga::testing::MemoryBook& book) : book_(book) {
    saga::testing::MemoryKind& kind = book.kinds[std::string(domain::Payout::kKind)];
    kind.dedupe_key = [](const saga::Record& record) {
      const domain::Payout& payout = saga::As<domain::Payout>(record).payload;
      return payout.payout_id + '/' + payout.client;
    };
    kind.may_begin = [this](const saga::Record& record) { return Hold(saga::As<domain::Payout>(record).payload); };
    kind.apply_effects = [this](const saga::Record& record) {
      End(saga::As<domain::Payout>(record).payload);
      return true;
    };
  }

  void Open(const std::string& client, const std::string& account, const std::string& currency) {
    std::lock_guard lock(book_.mutex);
    accounts_[{client, account}].currency = currency;
  }
  void Deposit(const std::string& client, const std::string& account, int64_t amount_minor) {
    std::lock_guard lock(book_.mutex);
    accounts_.at({client, account}).balance_minor += amount_minor;
  }
  void SetClosed(const std::string& client, const std::string& account, bool closed) {
    std::lock_guard lock(book_.mutex);
    accounts_.at({client, account}).closed = closed;
  }
  Account Get(const std::string& client, const std::string& account) const {
    std::lock_guard lock(book_.mutex);
    return accounts_.at({client, account});
  }

 private:
  friend class FakePayoutStore;

  // The last that is asked before the saga begins, so what it holds belongs to that.
  absl::Status Hold(const domain::Payout& payout) {
    const auto refuse = [](std::string_view constraint) {
      return domain::ReasonError(saga::kStoreRefused, "the book's rules refuse it",
                                 {.metadata = {{"constraint", std::string(constraint)}}});
    };
    if (payout.state != domain::Payout::State::kOpen) return absl::OkStatus();
    const auto found = accounts_.find({payout.client, payout.account});
    if (found == accounts_.end() || found->second.closed || found->second.currency != payout.currency) {
      return refuse(kPayoutFromAnAccount);
    }
    Account& account = found->second;
    if (account.balance_minor - account.held_minor < payout.amount_minor) return refuse(kPayoutWithinBalance);
    account.held_minor += payout.amount_minor;
    return absl::OkStatus();
  }

  void End(const domain::Payout& payout) {
    if (!payout.effects.decided) return;
    Account& account = accounts_.at({payout.client, payout.account});
    account.held_minor -= payout.amount_minor;
    if (payout.state != domain::Payout::State::kRefused) account.balance_minor -= payout.amount_minor;
  }

  saga::testing::MemoryBook& book_;
  std::map<std::pair<std::string, std::string>, Account> accounts_;  // by client and id
};

class FakePayoutStore final : public PayoutStore {
 public:
  FakePayoutStore(saga::testing::MemoryBook& book, const MemoryPayouts& payouts) : book_(book), payouts_(payouts) {}

  absl::StatusOr<PayoutRecord> Find(const std::string& client, const std::string& payout_id) override {
    std::lock_guard lock(book_.mutex);
    for (const auto& [id, row] : book_.rows) {
      if (row.record->kind != domain::Payout::kKind) continue;
      const PayoutRecord& record = saga::As<domain::Payout>(*row.record);
      if (record.payload.client == client && record.payload.payout_id == payout_id) return record;
    }
    return PayoutNotFound(payout_id);
  }

  absl::StatusOr<std::vector<PayoutRecord>> List(const PayoutQuery& query) override {
    std::lock_guard lock(book_.mutex);
    std::vector<PayoutRecord> payouts;
    for (auto row = book_.rows.rbegin(); row != book_.rows.rend(); ++row) {
      if (row->second.record->kind != domain::Payout::kKind) continue;
      const PayoutRecord& record = saga::As<domain::Payout>(*row->second.record);
      if (query.client && record.payload.client != *query.client) continue;
      if (!query.account.empty() && record.payload.account != query.account) continue;
      if (query.state && record.payload.state != *query.state) continue;
      if (query.before && !(record.id < *query.before)) continue;
      if (payouts.size() < static_cast<size_t>(query.limit)) payouts.push_back(record);
    }
    return payouts;
  }

  absl::StatusOr<std::optional<int64_t>> Available(const std::string& client, const std::string& account,
                                                   const std::string& currency) override {
    std::lock_guard lock(book_.mutex);
    const auto found = payouts_.accounts_.find({client, account});
    if (found == payouts_.accounts_.end() || found->second.closed || found->second.currency != currency) {
      return std::nullopt;
    }
    return found->second.balance_minor - found->second.held_minor;
  }

 private:
  saga::testing::MemoryBook& book_;
  const MemoryPayouts& payouts_;
};

}  // namespace waybill::storage::testing

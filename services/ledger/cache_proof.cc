#include "services/ledger/cache_proof.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"

namespace waybill::ledger {
namespace {

using storage::CachedBalance;

constexpr int kPage = 1'000;

std::string Show(const Balance& balance) {
  return fmt::format("debits {} and credits {} posted, {} and {} pending", balance.debits_posted,
                     balance.credits_posted, balance.debits_pending, balance.credits_pending);
}

// What is wrong with it; nothing: it is right. `account` was read after it.
absl::StatusOr<std::optional<std::string>> Fault(storage::LedgerStore& store, const CachedBalance& cached,
                                                 const Account& account) {
  if (cached.currency != account.currency) return fmt::format("is in {}", cached.currency);
  const int64_t version = cached.balance.version;
  if (version > account.balance.version) {
    return fmt::format("is of version {}, and the account's of {}", version, account.balance.version);
  }
  std::optional<Balance> then;
  if (version == account.balance.version) {
    then = account.balance;
  } else if (account.flags.history && version > 0) {
    auto moments = store.History({account.client, account.id, version + 1, 1});
    if (!moments.ok()) return moments.status();
    if (!moments->empty()) then = moments->front().balance;
  }
  if (!then || *then == cached.balance) return std::nullopt;
  return fmt::format("of version {} has {}; the account had {}", version, Show(cached.balance), Show(*then));
}

}  // namespace

absl::Status VerifyCache(storage::LedgerStore& store, storage::BalanceCache& cache, storage::VerifyReport& report,
                         const std::function<bool(const storage::VerifyProgress&)>& progress) {
  storage::AccountQuery query;
  query.limit = kPage;
  for (int64_t seen = 0;;) {
    auto page = store.ListAccounts(query);
    if (!page.ok()) return page.status();
    std::map<std::string, std::vector<std::string>> by_client;
    for (const Account& account : *page) by_client[account.client].push_back(account.id);
    for (const auto& [client, accounts] : by_client) {
      // The cache first: what it has then, the account has had when it is read.
      auto cached = cache.Peek(client, accounts);
      if (!cached.ok()) {
        report.cached = -1;
        return absl::OkStatus();
      }
      if (cached->empty()) continue;
      std::vector<std::string> ids;
      for (const auto& [id, balance] : *cached) ids.push_back(id);
      auto found = store.GetAccounts(client, ids);
      if (!found.ok()) return found.status();
      for (const Account& account : *found) {
        absl::StatusOr<std::optional<std::string>> fault = Fault(store, cached->at(account.id), account);
        if (!fault.ok()) return fault.status();
        ++report.cached;
        if (*fault)
          report.AddFault(fmt::format("the cache's balance of account {} of {} {}", account.id, client, **fault));
      }
    }
    seen += static_cast<int64_t>(page->size());
    if (progress && !progress({"cache", seen, report.accounts})) {
      return absl::CancelledError("the verification was ended");
    }
    if (page->size() < static_cast<size_t>(kPage)) return absl::OkStatus();
    query.after = storage::AccountQuery::After{page->back().client, page->back().id};
  }
}

}  // namespace waybill::ledger

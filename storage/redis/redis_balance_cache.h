// Balances in Redis: a text for each account, by Redis's own clock.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "storage/balance_cache.h"
#include "storage/redis/pool.h"

namespace waybill::storage {

class RedisBalanceCache final : public BalanceCache {
 public:
  // Nobody has asked for so long: it is forgotten.
  static constexpr absl::Duration kForgetAfter = absl::Minutes(10);

  RedisBalanceCache(RedisUrl url, RedisOptions options) : pool_(std::move(url), options) {}
  absl::StatusOr<Found> Get(const std::string& client, const std::string& account,
                            absl::Duration max_staleness) override;
  absl::Status Put(const std::string& client, const std::string& account, const CachedBalance& balance,
                   absl::Time as_of) override;
  absl::StatusOr<std::map<std::string, CachedBalance>> Peek(const std::string& client,
                                                            const std::vector<std::string>& accounts) override;

 private:
  RedisPool pool_;
};

}  // namespace waybill::storage

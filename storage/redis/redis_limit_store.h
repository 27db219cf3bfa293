// Limits in Redis: one key for each rule and client, the time at which it would be whole again. One script grants, by
// Redis' own clock.
#pragma once

#include <string>
#include <vector>

#include "storage/limit_store.h"
#include "storage/redis/pool.h"

namespace waybill::storage {

// What every key begins with.
inline constexpr char kLimitKeyPrefix[] = "waybill:limit:";

class RedisLimitStore final : public LimitStore {
 public:
  // Does not connect yet. `owner`: of rules whose names are others' too; its keys begin with the prefix and "OWNER:".
  RedisLimitStore(const RedisUrl& url, const RedisOptions& options, const std::string& owner = "")
      : prefix_(owner.empty() ? kLimitKeyPrefix : kLimitKeyPrefix + owner + ":"), pool_(url, options) {}

  absl::StatusOr<std::vector<CellGrant>> Take(const std::vector<CellRequest>& requests) override;
  // Whether it would grant: Redis answers, takes writes, and its user may all that is needed.
  absl::Status Ping();

 private:
  const std::string prefix_;
  RedisPool pool_;
};

}  // namespace waybill::storage

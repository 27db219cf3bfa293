// Connections to Redis for calls that block, from any thread.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "storage/redis/connection.h"

namespace waybill::storage {

// As many connections as calls at the same time; they are kept. Thread-safe.
class RedisPool {
 public:
  // A connection for the length of one call, and not longer than the pool.
  class Lease {
   public:
    Lease(RedisPool& pool, std::unique_ptr<RedisConnection> connection)
        : pool_(pool), connection_(std::move(connection)) {}
    ~Lease() {
      std::lock_guard lock(pool_.mutex_);
      pool_.idle_.push_back(std::move(connection_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    RedisConnection& operator*() const { return *connection_; }
    RedisConnection* operator->() const { return connection_.get(); }

   private:
    RedisPool& pool_;
    std::unique_ptr<RedisConnection> connection_;
  };

  RedisPool(RedisUrl url, RedisOptions options) : url_(std::move(url)), options_(options) {}

  Lease Borrow() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return {*this, std::make_unique<RedisConnection>(url_, options_)};
    std::unique_ptr<RedisConnection> connection = std::move(idle_.back());
    idle_.pop_back();
    return {*this, std::move(connection)};
  }

 private:
  const RedisUrl url_;
  const RedisOptions options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<RedisConnection>> idle_;
};

}  // namespace waybill::storage

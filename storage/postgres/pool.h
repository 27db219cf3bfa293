// Connections shared by threads that read.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

// For pools that are read from.
ConnectionOptions ReadConnectionOptions();
// The same for pools that are written to as well.
ConnectionOptions WriteConnectionOptions();

struct PoolOptions {
  size_t size = 4;                             // connections at most
  absl::Duration wait_max = absl::Seconds(2);  // for one to become free
};

// Opens connections when they are needed and keeps them. Thread-safe.
class Pool {
 public:
  // A connection for as long as the lease lives, which must not be longer than the pool.
  class Lease {
   public:
    Lease(Pool* pool, std::unique_ptr<Connection> connection) : pool_(pool), connection_(std::move(connection)) {}
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (connection_ != nullptr) pool_->Return(std::move(connection_));
    }
    Connection* operator->() const { return connection_.get(); }
    Connection& operator*() const { return *connection_; }

   private:
    Pool* pool_;
    std::unique_ptr<Connection> connection_;
  };

  Pool(std::string url, ConnectionOptions connection_options, PoolOptions options);

  // A live connection; a broken one is replaced first. STORE_UNAVAILABLE when none became free in time or the server
  // cannot be reached.
  absl::StatusOr<Lease> Acquire();

  struct Use {
    size_t in_use = 0;
    size_t idle = 0;
    uint64_t exhausted = 0;  // how often none became free in time
  };
  Use use() const;

 private:
  void Return(std::unique_ptr<Connection> connection);
  void Forget();  // a connection that was counted does not exist

  const std::string url_;
  const ConnectionOptions connection_options_;
  const PoolOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Connection>> idle_;
  size_t in_use_ = 0;
  uint64_t exhausted_ = 0;
};

}  // namespace waybill::storage

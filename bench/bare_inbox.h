// The least that a receiver of webhooks can do: insert each in a commit of its own, and answer. What ours is measured
// by.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "edge/http/server.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/worker_pool.h"
#include "storage/postgres/connection.h"

namespace waybill::bench {

class BareInbox {
 public:
  // In an empty database, in this process, under any path. `connections` to Postgres, each with a thread.
  static absl::StatusOr<std::unique_ptr<BareInbox>> Start(const std::string& database_url, int connections);
  ~BareInbox();

  std::string target() const;  // host:port

 private:
  BareInbox(std::vector<std::unique_ptr<storage::Connection>> connections);
  void Keep(http::ExchangePtr exchange);

  SystemClock clock_;
  Metrics metrics_;
  const Logger log_;
  std::mutex mutex_;  // of idle_
  std::vector<std::unique_ptr<storage::Connection>> idle_;
  WorkerPool workers_;
  std::unique_ptr<http::Server> server_;  // first to go
};

}  // namespace waybill::bench

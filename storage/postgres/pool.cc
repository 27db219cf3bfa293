#include "storage/postgres/pool.h"

#include "fmt/format.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {

ConnectionOptions ReadConnectionOptions() {
  ConnectionOptions options;
  options.application_name = "waybill-read";
  // A plan that is made while the tables are empty, and kept, may read whole tables or indexes for ever. Planning costs
  // a fifth of a millisecond.
  options.settings = {{"plan_cache_mode", "force_custom_plan"}, {"enable_seqscan", "off"}, {"jit", "off"}};
  return options;
}

ConnectionOptions WriteConnectionOptions() {
  ConnectionOptions options = ReadConnectionOptions();
  // A process that stands still between two statements, or whose host is gone, shall not keep others' rows locked.
  options.settings.emplace_back("idle_in_transaction_session_timeout", "5s");
  options.application_name = "waybill-write";
  options.commits = true;
  return options;
}

Pool::Pool(std::string url, ConnectionOptions connection_options, PoolOptions options)
    : url_(std::move(url)), connection_options_(std::move(connection_options)), options_(options) {}

absl::StatusOr<Pool::Lease> Pool::Acquire() {
  std::unique_ptr<Connection> connection;
  {
    std::unique_lock lock(mutex_);
    bool free = returned_.wait_for(lock, absl::ToChronoNanoseconds(options_.wait_max),
                                   [this] { return in_use_ < options_.size; });
    if (!free) {
      ++exhausted_;
      return ConnectionError(fmt::format("all {} connections of the pool are in use", options_.size));
    }
    if (!idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
    ++in_use_;
  }
  absl::Status status;
  if (connection == nullptr) {
    absl::StatusOr<std::unique_ptr<Connection>> opened = Connection::Open(url_, connection_options_);
    status = opened.status();
    if (opened.ok()) connection = *std::move(opened);
  } else if (!connection->CheckAlive()) {
    status = connection->Reset();
  }
  if (!status.ok()) {
    Forget();
    return status;
  }
  return Lease(this, std::move(connection));
}

void Pool::Return(std::unique_ptr<Connection> connection) {
  {
    std::lock_guard lock(mutex_);
    --in_use_;
    if (!connection->Broken()) idle_.push_back(std::move(connection));
  }
  returned_.notify_one();
}

void Pool::Forget() {
  {
    std::lock_guard lock(mutex_);
    --in_use_;
  }
  returned_.notify_one();
}

Pool::Use Pool::use() const {
  std::lock_guard lock(mutex_);
  return {in_use_, idle_.size(), exhausted_};
}

}  // namespace waybill::storage

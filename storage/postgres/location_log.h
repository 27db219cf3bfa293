// History in Postgres, written by group commit: whatever arrived while the last commit ran goes into the next one.
//
// A batch has a quick form and a careful one, as the journal's (docs/adr/0003, 0010). Positions that are ahead of all
// this process has taken of their driver are inserted plainly, which is cheaper than ON CONFLICT; they can only be
// there already when another process stored them, or this one did and lost the answer. Then the whole statement fails,
// and the batch is written again carefully.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/batcher.h"
#include "storage/location_log.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

struct LocationLogOptions {
  int writers = 2;           // connections, each with a thread
  size_t batch_max = 5'000;  // positions a commit
  size_t join_min = 400;     // see BatcherOptions
  absl::Duration join_after = absl::Milliseconds(4);
  absl::Duration statement_timeout = absl::Seconds(10);
  // Called by the writers' threads.
  std::function<void(const LocationCommit&)> on_commit = [](const LocationCommit&) {};
  std::function<void(const absl::Status&)> on_error = [](const absl::Status&) {};  // what is tried again
};

class PostgresLocationLog final : public LocationLog {
 public:
  // Connects when there is something to write.
  PostgresLocationLog(const std::string& url, const LocationLogOptions& options);
  ~PostgresLocationLog() override;

  bool Append(LocationAppend& append) override { return batcher_->OfferAlways(append); }
  size_t queue_depth() const override { return batcher_->queue_depth(); }
  bool stalled() const override { return batcher_->retrying() > 0; }
  // Writes what is queued, unless the store is away; then joins the threads.
  void Stop() { batcher_->Stop(); }

 private:
  class Writer;

  std::vector<std::unique_ptr<Writer>> writers_;
  std::unique_ptr<Batcher<LocationAppend>> batcher_;
};

}  // namespace waybill::storage

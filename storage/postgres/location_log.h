// History in Postgres, written by group commit: whatever arrived while the last commit ran goes into the next one.
//
// A batch has a quick form and a careful one, as the journal's (docs/adr/0003, 0010). Positions that are ahead of all
// this process has taken of their driver are inserted plainly, which is cheaper than ON CONFLICT; they can only be
// there already when another process stored them, or this one did and lost the answer. Then the whole statement fails,
// and the batch is written again carefully.
//
// What fails otherwise is taken apart by day, so that one that cannot be written (sealed, locked, detached, not to be
// made) costs the others nothing. Whether it is the day's fault is asked by an insert of nothing: what stops that too
// stops everything, and is waited out.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/batcher.h"
#include "runtime/executor.h"
#include "runtime/trace.h"
#include "storage/location_log.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

struct LocationLogOptions {
  int writers = 2;           // connections, each with a thread
  size_t batch_max = 5'000;  // positions a commit
  size_t join_min = 400;     // see BatcherOptions
  absl::Duration join_after = absl::Milliseconds(4);
  absl::Duration statement_timeout = absl::Seconds(10);
  absl::Duration lock_timeout = absl::Seconds(2);  // for a lock on one day; then the others go first
  // How long a bad day is not tried: one of the past, and the present one.
  absl::Duration bad_day_pause = absl::Seconds(30);
  absl::Duration bad_today_pause = absl::Seconds(5);
  // After its pause a bad day is forgotten when no position of it has come for so long: another process may have stored
  // what was sent back.
  absl::Duration bad_day_kept = absl::Minutes(5);
  // Called by the writers' threads.
  std::function<void(const LocationCommit&)> on_commit = [](const LocationCommit&) {};
  std::function<void(const absl::Status&)> on_error = [](const absl::Status&) {};  // what is tried again
  // A day begins to be bad, and is good again (`why` is OK).
  std::function<void(const BadDay&)> on_bad_day = [](const BadDay&) {};
  Tracer* tracer = nullptr;  // outlives the log; null: commits are not traced
  // A bad day is forgotten. Called by any thread.
  std::function<void(absl::CivilDay)> on_day_forgotten = [](absl::CivilDay) {};
};

class PostgresLocationLog final : public LocationLog {
 public:
  // Connects when there is something to write.
  PostgresLocationLog(const std::string& url, const LocationLogOptions& options, const Loops& loops);
  ~PostgresLocationLog() override;

  bool Append(LocationAppend& append) override { return batcher_->OfferAlways(append); }
  size_t queue_depth() const override { return batcher_->queue_depth(); }
  bool stalled() const override { return batcher_->retrying() > 0; }
  // Those met lately, until a position of theirs is stored, or none has come for `bad_day_kept`.
  std::vector<BadDay> bad_days() const;
  // Writes what is queued, unless the store is away; then joins the threads.
  void Stop() { batcher_->Stop(); }

 private:
  class Writer;
  class BadDays;

  const LocationLogOptions options_;
  std::unique_ptr<BadDays> bad_days_;  // of all writers
  std::vector<std::unique_ptr<Writer>> writers_;
  std::unique_ptr<Batcher<LocationAppend>> batcher_;
};

}  // namespace waybill::storage

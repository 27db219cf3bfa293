// Streams the points of a track file to the ingest service: at a pace, over as many connections as it takes, each from
// where the last one's acks ended.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/context.h"
#include "cli/replay_state.h"
#include "domain/driver.h"
#include "runtime/clock.h"
#include "tracks/track_file.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::cli {

struct ReplayOptions {
  int batch = 50;                  // points, at most
  size_t window = 32;              // batches that may wait for their acks
  double pace = 0;                 // 0: as fast as the service takes it
  std::optional<TimeShift> shift;  // of recorded_at, as it is sent
  std::string state_path;          // empty: where the replay is is not kept
  int64_t done = 0;                // points of the file that an earlier run has behind it; the reader has passed them
};

struct ReplayRejection {
  int64_t number = 0;  // of the point in the file, from 1
  std::string driver_id;
  absl::Time recorded_at;  // as the file has it
  std::string field;
  std::string detail;
};

struct ReplayReport {
  int64_t read = 0;     // in this run
  int64_t durable = 0;  // of them, acked and not rejected
  std::map<std::string, int64_t> rejected;
  std::map<std::string, std::vector<ReplayRejection>> first_rejected;  // of each reason, three at most
  int64_t reconnects = 0;
  int64_t resent = 0;  // points that were sent again after a connection broke
  absl::Duration took;
  bool interrupted = false;  // by a signal
  // At a pace: how often the recorded time jumped by more than kClockJump, which is not waited for.
  int64_t jumps = 0;
  absl::Duration longest_jump;
};

class Replay {
 public:
  Replay(const Context& context, tracks::TrackReader& reader, ReplayOptions options);

  // OK when every point is acked, or a signal ended it. Else why the rest was not: INVALID_ARGUMENT for a bad file,
  // what stands before the bad place having been acked.
  absl::Status Run();
  const ReplayReport& report() const { return report_; }

 private:
  struct Batch {
    location::v1::LocationBatch message;
    int64_t first_number = 0;                             // of its first point in the file, from 1
    std::vector<absl::Time> recorded_at;                  // as the file has them
    std::map<int, location::v1::RejectedPoint> rejected;  // by index
  };
  using Lock = std::unique_lock<std::mutex>;

  absl::Status Stream(SteadyTime deadline);
  // Sends until there is nothing left, the stream breaks or a signal comes.
  void Send(Lock& lock,
            grpc::ClientReaderWriterInterface<location::v1::LocationBatch, location::v1::LocationAck>& stream);
  // The next batch that this stream has not sent; null when there is none now, because the window is full, nothing is
  // due yet, or nothing is left.
  const Batch* NextToSend();
  // Reads points that are due into one more batch.
  void Fill();
  // Whether a point has to wait, and until when.
  SteadyTime DueAt(const domain::DriverPosition& position);
  void OnAck(const location::v1::LocationAck& ack);
  void Settle(const Batch& batch);
  bool Unsent() const;
  void ShowProgress();
  void ClearProgress();

  const Context& context_;
  tracks::TrackReader& reader_;
  const ReplayOptions options_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // All below is guarded by mutex_.
  std::deque<Batch> window_;  // not acked; sequences without a gap
  int64_t next_sequence_ = 1;
  int64_t sent_ = 0;       // sequence of the batch sent last in this stream
  int64_t ever_sent_ = 0;  // in any
  bool stream_ended_ = false;
  bool moved_ = false;                                // an ack came in this stream
  std::optional<domain::DriverPosition> next_point_;  // read, not yet due
  bool exhausted_ = false;
  absl::Status read_error_;
  int64_t number_;  // of the point read last
  // The pace: what was recorded at pace_from_ is sent at pace_to_.
  std::optional<absl::Time> pace_from_;
  absl::Time pace_last_;  // the time recorded last
  SteadyTime pace_to_;
  SteadyTime due_ = SteadyTime::InfinitePast();  // of the point that was last to come
  absl::Status state_error_;
  ReplayReport report_;
  SteadyTime started_;
  SteadyTime progress_shown_ = SteadyTime::InfinitePast();
  bool progress_on_screen_ = false;
};

}  // namespace waybill::cli

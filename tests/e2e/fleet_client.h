// Clients that stream positions without giving up, as a fleet's gateway does: each keeps what is not acked, and
// whatever breaks, connects again and sends from its last ack on.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "tests/e2e/ingest_stack.h"

namespace waybill::testing {

// One stream, and its successors.
class FleetClient {
 public:
  // Fills the next batch; false: there is none any more.
  using Source = std::function<bool(location::v1::LocationBatch& batch)>;

  // Calls `source` on a thread of its own. `window` batches are under way at most. The replica has been
  // started once, so that its port is known.
  FleetClient(const IngestReplica& replica, Source source, size_t window);
  ~FleetClient();

  // Takes no more from the source; true when all that was taken is acked. False after `timeout`, and then it is gone.
  bool Finish(absl::Duration timeout);
  // The same, but lets the source come to its end.
  bool Drain(absl::Duration timeout);

  int64_t acked() const { return acked_; }            // points, rejected ones included
  int64_t reconnects() const { return reconnects_; }  // streams that broke
  int64_t refused() const;                            // points in rejections, each counted once
  // Sent and acked, or rejected: what has to be in the store, and what must not.
  std::vector<location::v1::Point> AckedPoints() const;
  std::vector<location::v1::RejectedPoint> Rejected() const;
  std::vector<std::string> complaints() const;

 private:
  using Stream = grpc::ClientReaderWriter<location::v1::LocationBatch, location::v1::LocationAck>;

  void Run();
  // False when the stream ended in good order, or for good.
  bool RunStream();
  void Read(Stream& stream);
  void Take(const location::v1::LocationAck& ack);
  bool WaitForEnd(absl::Duration timeout);

  const int port_;
  const Source source_;
  const size_t window_;
  std::atomic<int64_t> acked_ = 0, reconnects_ = 0;
  std::atomic<bool> stopping_ = false, giving_up_ = false;
  mutable std::mutex mutex_;  // over the rest
  std::condition_variable changed_;
  std::deque<location::v1::LocationBatch> unacked_;
  std::vector<location::v1::Point> acked_points_;
  std::vector<location::v1::RejectedPoint> rejected_;
  std::vector<std::string> complaints_;
  grpc::ClientContext* context_ = nullptr;
  int64_t last_sequence_ = 0;
  bool source_ended_ = false;
  bool broken_ = false;  // the stream that is open
  bool ended_ = false;
  std::thread thread_;
};

struct FleetLoadOptions {
  int clients = 4;
  int drivers = 10;  // of each client
  int batch = 20;    // points
  size_t window = 8;
  absl::Duration pause = absl::Milliseconds(2);  // between two batches of a client
  // Each client's every 50th batch goes to a day so many days ago, and so many before that, and so on.
  std::vector<int> late_days;
};

// Several clients, whose drivers drive on steadily: driver-C-D is driver D of client C.
class FleetLoad {
 public:
  FleetLoad(const IngestReplica& replica, FleetLoadOptions options);

  int64_t acked() const;
  int64_t reconnects() const;
  bool Finish(absl::Duration timeout);

  // After Finish. All that was acked.
  std::map<PointKey, domain::GeoPoint> Acked() const;
  std::map<std::string, int64_t> NewestTimes() const;  // of each driver, in microseconds since 1970
  std::vector<std::string> DriverIds() const;
  // What is wrong: acked and not there, there otherwise, or there and never sent; a hot view that is not the newest.
  std::vector<std::string> WrongIn(IngestStack& stack, bool look_at_hot_view = true) const;

 private:
  bool Next(int client, int64_t n, location::v1::LocationBatch& batch) const;

  const FleetLoadOptions options_;
  const absl::Time start_;
  std::vector<std::unique_ptr<FleetClient>> clients_;
};

}  // namespace waybill::testing

// The hot view in Redis, written and followed: the hashes and the geo set that RedisFleet reads, the capped stream
// `location_events`, and the mark `waybill:hot_view_whole`, which is lost with all the rest and so tells that it was.
#pragma once

#include <cstdint>

#include "storage/hot_view.h"
#include "storage/redis/connection.h"
#include "storage/redis/pool.h"

namespace waybill::storage {

struct RedisHotViewOptions {
  RedisOptions redis;
  int64_t stream_max = 100'000;  // moves kept in the stream, about (XADD MAXLEN ~)
};

class RedisHotView final : public HotView {
 public:
  // Does not connect yet.
  RedisHotView(const RedisUrl& url, const RedisHotViewOptions& options);

  absl::StatusOr<ViewState> Publish(const HotUpdate& update) override;
  absl::Status BeginRebuild() override;
  absl::StatusOr<bool> MarkWhole() override;
  absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Get(
      const std::vector<std::string>& driver_ids) override;
  absl::StatusOr<EventPage> Follow(const std::string& after, int limit) override;
  absl::StatusOr<std::string> LastEventId() override;
  absl::Status Ping() override;

 private:
  const std::string stream_max_;
  RedisConnection publisher_;   // Publish's
  RedisPipeline pipeline_;      // Publish's: the buffer is kept
  int64_t published_over_ = 0;  // Publish's: the publisher's times_connected
  bool puts_refused_ = false;   // Publish's: Redis refused a position, though it took the moves beside it
  std::string mark_;            // the mark as BeginRebuild found or made it
  RedisPool pool_;
};

}  // namespace waybill::storage

// An ingest service that answers by script and remembers what it was sent.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::cli {

// What one stream of StreamLocations does.
struct StreamPlan {
  int acked_batches = std::numeric_limits<int>::max();  // no ack for those after them
  int broken_after = std::numeric_limits<int>::max();   // UNAVAILABLE once so many were read
};

class FakeLocations final : public location::v1::LocationService::Service {
 public:
  FakeLocations() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeLocations() override { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string target() const { return fmt::format("127.0.0.1:{}", port_); }

  // Set before the calls. Streams beyond the plans ack everything.
  std::deque<StreamPlan> plans;
  std::function<std::optional<location::v1::RejectedPoint>(const location::v1::Point&)> reject;
  std::deque<location::v1::GetTrackResponse> tracks;
  location::v1::NearbyDriversResponse near;
  location::v1::BatchGetDriversResponse drivers;
  std::deque<std::pair<std::vector<location::v1::WatchLocationsResponse>, grpc::Status>> watches;

  // What came, stream by stream.
  std::vector<std::vector<location::v1::LocationBatch>> streams() {
    std::lock_guard lock(mutex_);
    return streams_;
  }
  std::vector<location::v1::Point> points() {
    std::vector<location::v1::Point> all;
    for (const auto& stream : streams()) {
      for (const auto& batch : stream) all.insert(all.end(), batch.points().begin(), batch.points().end());
    }
    return all;
  }
  std::vector<location::v1::GetTrackRequest> track_requests() {
    std::lock_guard lock(mutex_);
    return track_requests_;
  }
  std::vector<location::v1::WatchLocationsRequest> watch_requests() {
    std::lock_guard lock(mutex_);
    return watch_requests_;
  }
  location::v1::NearbyDriversRequest near_request() {
    std::lock_guard lock(mutex_);
    return near_request_;
  }

  grpc::Status StreamLocations(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<location::v1::LocationAck, location::v1::LocationBatch>* stream) override {
    size_t number;
    StreamPlan plan;
    {
      std::lock_guard lock(mutex_);
      number = streams_.size();
      streams_.emplace_back();
      if (number < plans.size()) plan = plans[number];
    }
    location::v1::LocationBatch batch;
    for (int read = 1; stream->Read(&batch); ++read) {
      {
        std::lock_guard lock(mutex_);
        streams_[number].push_back(batch);
      }
      if (read <= plan.acked_batches) stream->Write(Ack(batch));
      if (read >= plan.broken_after) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the script breaks here");
    }
    return grpc::Status::OK;
  }

  grpc::Status GetTrack(grpc::ServerContext*, const location::v1::GetTrackRequest* request,
                        location::v1::GetTrackResponse* response) override {
    std::lock_guard lock(mutex_);
    track_requests_.push_back(*request);
    if (track_requests_.size() > tracks.size()) return grpc::Status(grpc::StatusCode::INTERNAL, "no further page");
    *response = tracks[track_requests_.size() - 1];
    return grpc::Status::OK;
  }

  grpc::Status NearbyDrivers(grpc::ServerContext*, const location::v1::NearbyDriversRequest* request,
                             location::v1::NearbyDriversResponse* response) override {
    std::lock_guard lock(mutex_);
    near_request_ = *request;
    *response = near;
    return grpc::Status::OK;
  }

  grpc::Status BatchGetDrivers(grpc::ServerContext*, const location::v1::BatchGetDriversRequest* request,
                               location::v1::BatchGetDriversResponse* response) override {
    for (const std::string& driver : request->driver_ids()) {
      for (const auto& known : drivers.drivers()) {
        if (known.point().driver_id() == driver) *response->add_drivers() = known;
      }
    }
    return grpc::Status::OK;
  }

  grpc::Status WatchLocations(grpc::ServerContext*, const location::v1::WatchLocationsRequest* request,
                              grpc::ServerWriter<location::v1::WatchLocationsResponse>* writer) override {
    std::pair<std::vector<location::v1::WatchLocationsResponse>, grpc::Status> script;
    {
      std::lock_guard lock(mutex_);
      watch_requests_.push_back(*request);
      if (watch_requests_.size() > watches.size()) return grpc::Status(grpc::StatusCode::INTERNAL, "no further script");
      script = watches[watch_requests_.size() - 1];
    }
    for (const auto& response : script.first) writer->Write(response);
    return script.second;
  }

 private:
  location::v1::LocationAck Ack(const location::v1::LocationBatch& batch) {
    location::v1::LocationAck ack;
    ack.set_durable_sequence(batch.sequence());
    for (int i = 0; reject && i < batch.points_size(); ++i) {
      std::optional<location::v1::RejectedPoint> rejected = reject(batch.points(i));
      if (!rejected) continue;
      rejected->set_sequence(batch.sequence());
      rejected->set_index(i);
      *ack.add_rejected() = *rejected;
    }
    return ack;
  }

  std::mutex mutex_;
  std::vector<std::vector<location::v1::LocationBatch>> streams_;
  std::vector<location::v1::GetTrackRequest> track_requests_;
  std::vector<location::v1::WatchLocationsRequest> watch_requests_;
  location::v1::NearbyDriversRequest near_request_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace waybill::cli

#include "services/ingest/grpc_location_service.h"

#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "services/ingest/requests.h"
#include "waybill/location/v1/location.pb.h"

namespace waybill::ingest {
namespace {

namespace pb = location::v1;

using StreamCall = rpc::BidiStreamCall<pb::LocationBatch, pb::LocationAck>;
using ReportCall = rpc::UnaryCall<pb::ReportLocationsRequest, pb::ReportLocationsResponse>;
using GetCall = rpc::UnaryCall<pb::GetDriverRequest, pb::DriverLocation>;
using BatchGetCall = rpc::UnaryCall<pb::BatchGetDriversRequest, pb::BatchGetDriversResponse>;
using NearbyCall = rpc::UnaryCall<pb::NearbyDriversRequest, pb::NearbyDriversResponse>;
using TrackCall = rpc::UnaryCall<pb::GetTrackRequest, pb::GetTrackResponse>;
using WatchCall = rpc::ServerStreamCall<pb::WatchLocationsRequest, pb::WatchLocationsResponse>;

// Between a call and its stream. Each keeps it alive: the call until nothing can come any more, the stream until it is
// finished.
class GrpcStream final : public StreamPeer, public rpc::StreamReader<pb::LocationBatch> {
 public:
  GrpcStream(StreamCall::Ptr call, std::shared_ptr<LocationStream> stream)
      : call_(std::move(call)), stream_(std::move(stream)) {}

  void Read() override { call_->Read(); }
  void Send(const Ack& ack, absl::AnyInvocable<void(bool)> sent) override {
    pb::LocationAck message;
    message.set_durable_sequence(ack.durable_sequence);
    for (const Rejection& rejection : ack.rejected) Fill(rejection, *message.add_rejected());
    call_->Write(message, std::move(sent));
  }
  void Finish(const absl::Status& status) override { call_->Finish(status); }
  void Abandon() override { call_->Abandon(); }

  void OnRead(pb::LocationBatch& batch) override {
    stream_->OnBatch(batch.sequence(), TakePoints(*batch.mutable_points()));
  }
  void OnReadEnd(const absl::Status& status) override { stream_->OnEnd(status); }

 private:
  StreamCall::Ptr call_;
  std::shared_ptr<LocationStream> stream_;
};

void Stream(LocationStreams& streams, StreamCall::Ptr call) {
  absl::StatusOr<std::shared_ptr<LocationStream>> stream =
      streams.Make(DriversPtr(call->caller(), &call->caller()->drivers), call->trace());
  if (!stream.ok()) {
    call->Finish(stream.status());
    return;
  }
  StreamCall& kept = *call;
  kept.Open();
  auto peer = std::make_shared<GrpcStream>(std::move(call), *stream);
  kept.SetReader(peer);
  kept.OnCancelled([stream = *stream] { stream->OnGone(); });
  (*stream)->Open(std::move(peer));
}

// What waits holds no more than it needs: a request may be padded with fields that nobody knows.
template <typename Call>
void DropRequest(Call& call) {
  std::remove_reference_t<decltype(call.request())>().Swap(&call.request());
}

// Lives as long as the call.
template <typename Call>
LocationApi::Gone GoneOf(const Call& call) {
  return [&call] { return call.cancelled(); };
}

void ReportPoints(Ingest& ingest, ReportCall::Ptr call) {
  if (absl::Status wrong = CheckReport(call->request()); !wrong.ok()) {
    call->Finish(wrong);
    return;
  }
  std::vector<domain::DriverPosition> points = TakePoints(*call->request().mutable_points());
  DropRequest(*call);
  const access::CallerPtr caller = call->caller();
  auto kept = std::make_shared<ReportCall::Ptr>(std::move(call));
  Report report = ingest.Check(
      std::move(points), 0,
      [kept](const absl::Status& status, const std::vector<Rejection>& rejected) {
        ReportCall::Ptr done = std::move(*kept);
        for (const Rejection& rejection : rejected) {
          Fill(rejection, *done->response().add_rejected());
        }
        done->Finish(status);
      },
      caller->drivers);
  if (ingest.Submit(report)) return;
  (*kept)->Finish(domain::QueueFull("too many points are waiting to be stored", absl::Milliseconds(250)));
}

absl::Status NoSuchDriver(const std::string& driver_id) {
  ErrorDetail detail;
  detail.metadata.emplace_back("driver_id", driver_id);
  return domain::ReasonError("DRIVER_NOT_FOUND", fmt::format("driver {} has no position", driver_id),
                             std::move(detail));
}

void Get(LocationApi& api, GetCall::Ptr call) {
  auto ids = TakeDriverIds(call->request());
  if (!ids.ok()) {
    call->Finish(ids.status());
    return;
  }
  DropRequest(*call);
  LocationApi::Gone gone = GoneOf(*call);
  auto answer = [call = std::move(call), driver_id = ids->front()](auto found) mutable {
    if (found.ok() && !found->front()) found = NoSuchDriver(driver_id);
    if (found.ok()) Fill(*found->front(), call->response());
    call->Finish(found.status());
  };
  api.Drivers(*std::move(ids), std::move(answer), std::move(gone));
}

void BatchGet(LocationApi& api, BatchGetCall::Ptr call) {
  auto ids = TakeDriverIds(call->request());
  if (!ids.ok()) {
    call->Finish(ids.status());
    return;
  }
  DropRequest(*call);
  LocationApi::Gone gone = GoneOf(*call);
  auto answer = [call = std::move(call)](auto found) mutable {
    if (found.ok()) {
      for (const auto& driver : *found) {
        if (driver) Fill(*driver, *call->response().add_drivers());
      }
    }
    call->Finish(found.status());
  };
  api.Drivers(*std::move(ids), std::move(answer), std::move(gone));
}

void Near(LocationApi& api, NearbyCall::Ptr call) {
  auto query = TakeNearby(call->request());
  if (!query.ok()) {
    call->Finish(query.status());
    return;
  }
  DropRequest(*call);
  LocationApi::Gone gone = GoneOf(*call);
  auto answer = [call = std::move(call)](absl::StatusOr<Nearby> near) mutable {
    if (near.ok()) {
      for (const NearbyLocation& driver : near->drivers) Fill(driver, *call->response().add_drivers());
      call->response().set_stale(near->stale);
    }
    call->Finish(near.status());
  };
  api.Near(*query, std::move(answer), std::move(gone));
}

void Track(LocationApi& api, TrackCall::Ptr call) {
  auto request = TakeTrack(call->request());
  if (!request.ok()) {
    call->Finish(request.status());
    return;
  }
  DropRequest(*call);
  LocationApi::Gone gone = GoneOf(*call);
  auto answer = [call = std::move(call)](absl::StatusOr<TrackPage> page) mutable {
    if (page.ok()) {
      for (const domain::DriverPosition& point : page->points) Fill(point, *call->response().add_points());
      call->response().set_next_page_token(page->next_page_token);
    }
    call->Finish(page.status());
  };
  api.Track(*std::move(request), std::move(answer), std::move(gone));
}

class GrpcWatch final : public WatchPeer {
 public:
  explicit GrpcWatch(WatchCall::Ptr call) : call_(std::move(call)) {}

  void Send(const std::vector<storage::LocationEvent>& events, bool gap, const std::string& reached,
            absl::AnyInvocable<void(bool)> sent) override {
    pb::WatchLocationsResponse message;
    message.set_gap(gap);
    message.set_resume_after(reached);
    for (const storage::LocationEvent& event : events) {
      pb::LocationEvent& out = *message.add_events();
      out.set_id(event.id);
      Fill(event.position, *out.mutable_point());
    }
    call_->Write(message, std::move(sent));
  }
  void Finish(const absl::Status& status) override { call_->Finish(status); }

 private:
  WatchCall::Ptr call_;
};

void Watch(LocationWatches& watches, WatchCall::Ptr call) {
  auto filter = TakeWatch(call->request());
  if (!filter.ok()) {
    call->Finish(filter.status());
    return;
  }
  std::string resume_after = call->request().resume_after();
  pb::WatchLocationsRequest().Swap(&call->request());  // a watch may last for days
  WatchCall& kept = *call;
  kept.Open();
  auto peer = std::make_shared<GrpcWatch>(std::move(call));
  std::shared_ptr<GrpcWatch> open = peer;  // the call, until OnCancelled is set
  std::weak_ptr<LocationWatches::Watch> watch =
      watches.Add(*std::move(filter), std::move(resume_after), std::move(peer));
  kept.OnCancelled([&watches, watch] {
    if (auto gone = watch.lock()) watches.Remove(gone);
  });
}

}  // namespace

void AddLocationService(rpc::Server& server, Ingest& ingest, LocationStreams& streams, LocationApi& api,
                        LocationWatches& watches) {
  using domain::Scope;
  const std::string service = "waybill.location.v1.LocationService/";
  server.BidiStream<pb::LocationBatch, pb::LocationAck>(
      service + "StreamLocations", Scope::kLocationsWrite,
      [&streams](StreamCall::Ptr call) { Stream(streams, std::move(call)); });
  server.Unary<pb::ReportLocationsRequest, pb::ReportLocationsResponse>(
      service + "ReportLocations", Scope::kLocationsWrite,
      [&ingest](ReportCall::Ptr call) { ReportPoints(ingest, std::move(call)); });
  server.Unary<pb::GetDriverRequest, pb::DriverLocation>(service + "GetDriver", Scope::kLocationsRead,
                                                         [&api](GetCall::Ptr call) { Get(api, std::move(call)); });
  server.Unary<pb::BatchGetDriversRequest, pb::BatchGetDriversResponse>(
      service + "BatchGetDrivers", Scope::kLocationsRead,
      [&api](BatchGetCall::Ptr call) { BatchGet(api, std::move(call)); });
  server.Unary<pb::NearbyDriversRequest, pb::NearbyDriversResponse>(
      service + "NearbyDrivers", Scope::kLocationsRead, [&api](NearbyCall::Ptr call) { Near(api, std::move(call)); });
  server.Unary<pb::GetTrackRequest, pb::GetTrackResponse>(service + "GetTrack", Scope::kLocationsRead,
                                                          [&api](TrackCall::Ptr call) { Track(api, std::move(call)); });
  server.ServerStream<pb::WatchLocationsRequest, pb::WatchLocationsResponse>(
      service + "WatchLocations", Scope::kLocationsRead,
      [&watches](WatchCall::Ptr call) { Watch(watches, std::move(call)); });
}

}  // namespace waybill::ingest

#include "services/order/grpc_gateway_admin.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "domain/payment_attempt.h"
#include "domain/reasons.h"
#include "edge/rpc/on_worker.h"
#include "fmt/format.h"
#include "google/protobuf/duration.pb.h"
#include "waybill/ops/v1/ops.pb.h"

namespace waybill::order {
namespace {

namespace gateway_pb = waybill::ops::v1;
using payments::Router;

void FillDuration(absl::Duration duration, google::protobuf::Duration& out) {
  out.set_seconds(absl::ToInt64Seconds(duration));
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration % absl::Seconds(1))));
}

void FillGateway(const Router::View& view, gateway_pb::Gateway& out) {
  out.set_name(view.gateway.name);
  out.set_address(view.gateway.address);
  out.set_weight(view.gateway.weight);
  out.set_cost_ppm(view.gateway.cost_ppm);
  out.set_fallback(view.gateway.fallback);
  out.set_drained(view.drained);
  out.set_capture_later(view.gateway.capture_later);
  if (view.out_for) FillDuration(*view.out_for, *out.mutable_out_for());
  if (view.median_latency > absl::ZeroDuration()) {
    FillDuration(view.median_latency, *out.mutable_median_latency());
  }
  out.set_answers(view.answers);
  out.set_failures(view.failures);
  if (!view.probe || !view.probe->answer) return;
  gateway_pb::GatewayProbe& probe = *out.mutable_probe();
  probe.set_outcome(std::string(ToString(view.probe->answer->outcome)));
  if (view.probe->answer->min_response) FillDuration(*view.probe->answer->min_response, *probe.mutable_min_response());
  FillDuration(view.probe->age, *probe.mutable_age());
  probe.set_holder(view.probe->holder);
}

absl::StatusOr<Router::View> Find(const Router* router, const std::string& name) {
  if (!domain::IsGatewayName(name)) {
    return domain::BadField("gateway", "has to be 1-40 of a-z, 0-9, '_' and '-'");
  }
  if (router != nullptr) {
    for (Router::View& view : router->List()) {
      if (view.gateway.name == name) return std::move(view);
    }
  }
  return domain::ReasonError("GATEWAY_NOT_FOUND", fmt::format("there is no payment gateway \"{}\"", name));
}

// What `set` says to the store, this replica follows at once.
template <typename Call, typename Set>
absl::Status Change(Router* router, storage::GatewayStore& store, Call& call, std::string action,
                    std::vector<std::pair<std::string, std::string>> detail, Set set) {
  const std::string& name = call.request().gateway();
  if (absl::Status known = Find(router, name).status(); !known.ok()) return known;
  const domain::Deed deed{access::ActorOf(*call.caller()), std::move(action), "gateway", name, std::move(detail)};
  if (absl::Status done = set(name, deed); !done.ok()) return done;
  absl::StatusOr<std::vector<storage::GatewaySetting>> settings = store.Settings();
  if (!settings.ok()) return settings.status();
  router->Use(*settings);
  absl::StatusOr<Router::View> view = Find(router, name);
  if (!view.ok()) return view.status();
  FillGateway(*view, call.response());
  return absl::OkStatus();
}

}  // namespace

void AddGatewayAdmin(rpc::Server& server, Router* router, storage::GatewayStore& store, Executor& workers) {
  const std::string service = "waybill.ops.v1.GatewayAdmin/";
  rpc::UnaryOnWorker<gateway_pb::ListGatewaysRequest, gateway_pb::ListGatewaysResponse>(
      server, service + "ListGateways", domain::Scope::kOps, workers, [router](auto& call) {
        if (router == nullptr) return absl::OkStatus();
        for (const Router::View& view : router->List()) FillGateway(view, *call.response().add_gateways());
        return absl::OkStatus();
      });
  rpc::UnaryOnWorker<gateway_pb::DrainGatewayRequest, gateway_pb::Gateway>(
      server, service + "DrainGateway", domain::Scope::kOps, workers, [router, &store](auto& call) {
        return Change(router, store, call, "gateway.drain", {},
                      [&store](const auto& name, const auto& deed) { return store.SetDrained(name, true, deed); });
      });
  rpc::UnaryOnWorker<gateway_pb::UndrainGatewayRequest, gateway_pb::Gateway>(
      server, service + "UndrainGateway", domain::Scope::kOps, workers, [router, &store](auto& call) {
        return Change(router, store, call, "gateway.undrain", {},
                      [&store](const auto& name, const auto& deed) { return store.SetDrained(name, false, deed); });
      });
  rpc::UnaryOnWorker<gateway_pb::SetGatewayWeightRequest, gateway_pb::Gateway>(
      server, service + "SetGatewayWeight", domain::Scope::kOps, workers, [router, &store](auto& call) -> absl::Status {
        const int weight = call.request().weight();
        if (weight < 0 || weight > payments::kWeightMax) {
          return domain::BadField("weight", fmt::format("has to be 0-{}", payments::kWeightMax));
        }
        return Change(
            router, store, call, "gateway.weight", {{"weight", fmt::format("{}", weight)}},
            [&store, weight](const auto& name, const auto& deed) { return store.SetWeight(name, weight, deed); });
      });
}

}  // namespace waybill::order

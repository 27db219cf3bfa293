#include "services/order/grpc_gateway_admin.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "domain/payment_attempt.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "google/protobuf/duration.pb.h"
#include "services/order/order_api.h"
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
  if (view.out_for) FillDuration(*view.out_for, *out.mutable_out_for());
  if (view.median_latency > absl::ZeroDuration()) {
    FillDuration(view.median_latency, *out.mutable_median_latency());
  }
  out.set_answers(view.answers);
  out.set_failures(view.failures);
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

template <typename Request, typename Response, typename Work>
void AddOnWorker(rpc::Server& server, const std::string& method, Executor& workers, Work work) {
  using Call = rpc::UnaryCall<Request, Response>;
  server.Unary<Request, Response>("waybill.ops.v1.GatewayAdmin/" + method, domain::Scope::kOps,
                                  [&workers, work](typename Call::Ptr owned) {
                                    auto call = std::make_shared<typename Call::Ptr>(std::move(owned));
                                    Executor::Task task = [call, work] { (*call)->Finish(work(**call)); };
                                    if (!workers.Submit(task)) (*call)->Finish(TooBusyError());
                                  });
}

}  // namespace

void AddGatewayAdmin(rpc::Server& server, Router* router, storage::GatewayStore& store, Executor& workers) {
  AddOnWorker<gateway_pb::ListGatewaysRequest, gateway_pb::ListGatewaysResponse>(
      server, "ListGateways", workers, [router](auto& call) {
        if (router == nullptr) return absl::OkStatus();
        for (const Router::View& view : router->List()) FillGateway(view, *call.response().add_gateways());
        return absl::OkStatus();
      });
  AddOnWorker<gateway_pb::DrainGatewayRequest, gateway_pb::Gateway>(
      server, "DrainGateway", workers, [router, &store](auto& call) {
        return Change(router, store, call, "gateway.drain", {},
                      [&store](const auto& name, const auto& deed) { return store.SetDrained(name, true, deed); });
      });
  AddOnWorker<gateway_pb::UndrainGatewayRequest, gateway_pb::Gateway>(
      server, "UndrainGateway", workers, [router, &store](auto& call) {
        return Change(router, store, call, "gateway.undrain", {},
                      [&store](const auto& name, const auto& deed) { return store.SetDrained(name, false, deed); });
      });
  AddOnWorker<gateway_pb::SetGatewayWeightRequest, gateway_pb::Gateway>(
      server, "SetGatewayWeight", workers, [router, &store](auto& call) -> absl::Status {
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

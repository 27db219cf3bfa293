#include "services/order/grpc_webhook_service.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/on_worker.h"
#include "edge/rpc/proto_time.h"
#include "services/order/intake.h"
#include "waybill/webhook/v1/webhook.pb.h"

namespace waybill::order {
namespace {

namespace webhook_pb = waybill::webhook::v1;
using domain::Scope;
using storage::WebhookDelivery;
using storage::WebhookEndpoint;

storage::Owner WebhookOwner(const access::Caller& caller) {
  return caller.SeesAllOrders() ? storage::Owner() : storage::Owner(caller.client);
}

void FillEndpoint(const WebhookEndpoint& endpoint, webhook_pb::Endpoint& out) {
  out.set_endpoint_id(endpoint.id.ToString());
  out.set_client(endpoint.client);
  out.set_url(endpoint.url);
  for (const std::string& type : endpoint.types) out.add_types(type);
  out.set_enabled(endpoint.enabled);
  out.set_disabled_reason(endpoint.disabled_reason);
  if (endpoint.failing_since) rpc::SetTime(*endpoint.failing_since, *out.mutable_failing_since());
  if (endpoint.previous_until) rpc::SetTime(*endpoint.previous_until, *out.mutable_previous_until());
  rpc::SetTime(endpoint.created_at, *out.mutable_create_time());
}

webhook_pb::DeliveryState StateOf(WebhookDelivery::State state) {
  switch (state) {
    case WebhookDelivery::State::kWaiting:
      return webhook_pb::WAITING;
    case WebhookDelivery::State::kDelivered:
      return webhook_pb::DELIVERED;
    case WebhookDelivery::State::kDead:
      return webhook_pb::DEAD;
    case WebhookDelivery::State::kDiscarded:
      break;
  }
  return webhook_pb::DISCARDED;
}

void FillDelivery(const WebhookDelivery& delivery, webhook_pb::Delivery& out) {
  out.set_endpoint_id(delivery.endpoint_id.ToString());
  out.set_webhook_id(delivery.event_id);
  out.set_type(delivery.type);
  if (delivery.order_id) out.set_order_id(delivery.order_id->ToString());
  out.set_body(delivery.body);
  out.set_state(StateOf(delivery.state));
  out.set_attempts(delivery.attempts);
  rpc::SetTime(delivery.created_at, *out.mutable_create_time());
  if (delivery.state == WebhookDelivery::State::kWaiting) {
    rpc::SetTime(delivery.next_at, *out.mutable_next_attempt_time());
  }
  if (delivery.last_at) rpc::SetTime(*delivery.last_at, *out.mutable_last_attempt_time());
  out.set_last_code(delivery.last_code.value_or(0));
  out.set_last_answer(delivery.last_answer);
  out.set_reason(delivery.reason);
}

template <typename Response>
absl::Status FillMade(const absl::StatusOr<WebhookApi::Made>& made, Response& response) {
  if (!made.ok()) return made.status();
  FillEndpoint(made->endpoint, *response.mutable_endpoint());
  response.set_secret(made->secret);
  return absl::OkStatus();
}

absl::Status FillOne(const absl::StatusOr<WebhookDelivery>& delivery, webhook_pb::Delivery& out) {
  if (delivery.ok()) FillDelivery(*delivery, out);
  return delivery.status();
}

absl::Status CreateEndpoint(WebhookApi& api, const access::Caller& by, const webhook_pb::CreateEndpointRequest& request,
                            webhook_pb::CreateEndpointResponse& response) {
  return FillMade(api.Create(request.url(), {request.types().begin(), request.types().end()}, access::ActorOf(by)),
                  response);
}

absl::Status ListEndpoints(WebhookApi& api, const access::Caller& by, const webhook_pb::ListEndpointsRequest& request,
                           webhook_pb::ListEndpointsResponse& response) {
  Violations violations;
  const int size = TakePageSize(request.page_size(), violations);
  const std::optional<Uuid> after = TakePageToken(request.page_token(), "webhook endpoints", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  // One more says whether there is another page.
  absl::StatusOr<std::vector<WebhookEndpoint>> found =
      api.store().ListEndpoints(WebhookOwner(by), after.value_or(Uuid()), size + 1);
  if (!found.ok()) return found.status();
  if (found->size() > static_cast<size_t>(size)) {
    found->resize(static_cast<size_t>(size));
    response.set_next_page_token(MakePageToken(found->back().id, "webhook endpoints"));
  }
  for (const WebhookEndpoint& endpoint : *found) FillEndpoint(endpoint, *response.add_endpoints());
  return absl::OkStatus();
}

absl::Status UpdateEndpoint(WebhookApi& api, const access::Caller& by, const webhook_pb::UpdateEndpointRequest& request,
                            webhook_pb::Endpoint& response) {
  storage::WebhookStore::Change change;
  if (!request.url().empty()) change.url = request.url();
  change.types.assign(request.types().begin(), request.types().end());
  if (request.has_enabled()) change.enabled = request.enabled();
  absl::StatusOr<WebhookEndpoint> changed =
      api.Update(WebhookOwner(by), request.endpoint_id(), change, access::ActorOf(by));
  if (changed.ok()) FillEndpoint(*changed, response);
  return changed.status();
}

absl::Status DeleteEndpoint(WebhookApi& api, const access::Caller& by, const webhook_pb::DeleteEndpointRequest& request,
                            webhook_pb::DeleteEndpointResponse& /*response*/) {
  return api.Delete(WebhookOwner(by), request.endpoint_id(), access::ActorOf(by));
}

absl::Status RotateSecret(WebhookApi& api, const access::Caller& by, const webhook_pb::RotateSecretRequest& request,
                          webhook_pb::RotateSecretResponse& response) {
  const absl::Duration overlap =
      absl::Seconds(request.overlap().seconds()) + absl::Nanoseconds(request.overlap().nanos());
  return FillMade(api.Rotate(WebhookOwner(by), request.endpoint_id(), overlap, access::ActorOf(by)), response);
}

absl::Status ListDeliveries(WebhookApi& api, const access::Caller& by, const webhook_pb::ListDeliveriesRequest& request,
                            webhook_pb::ListDeliveriesResponse& response) {
  Violations violations;
  storage::DeliveryQuery query;
  query.owner = WebhookOwner(by);
  if (!request.endpoint_id().empty()) {
    query.endpoint_id = Uuid::Parse(request.endpoint_id());
    if (!query.endpoint_id) violations.Add("endpoint_id", "is not a UUID of 36 characters");
  }
  if (request.state() != webhook_pb::DELIVERY_STATE_UNSPECIFIED) {
    if (!webhook_pb::DeliveryState_IsValid(request.state())) violations.Add("state", "is not a known state");
    for (const WebhookDelivery::State state : storage::kDeliveryStates) {
      if (StateOf(state) == request.state()) query.state = state;
    }
  }
  const int size = TakePageSize(request.page_size(), violations);
  // A token is the last one of its page: "<endpoint_id>/<webhook_id>".
  if (!request.page_token().empty()) {
    const std::optional<Uuid> endpoint = Uuid::Parse(std::string_view(request.page_token()).substr(0, 36));
    if (!endpoint || request.page_token().size() < 38 || request.page_token()[36] != '/') {
      violations.Add("page_token", "is none of this list's");
    } else {
      query.after_endpoint = *endpoint;
      query.after_event = request.page_token().substr(37);
    }
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  query.limit = size + 1;
  absl::StatusOr<std::vector<WebhookDelivery>> found = api.store().ListDeliveries(query);
  if (!found.ok()) return found.status();
  if (found->size() > static_cast<size_t>(size)) {
    found->resize(static_cast<size_t>(size));
    response.set_next_page_token(found->back().endpoint_id.ToString() + "/" + found->back().event_id);
  }
  for (const WebhookDelivery& delivery : *found) FillDelivery(delivery, *response.add_deliveries());
  return absl::OkStatus();
}

absl::Status GetDelivery(WebhookApi& api, const access::Caller& by, const webhook_pb::GetDeliveryRequest& request,
                         webhook_pb::Delivery& response) {
  absl::StatusOr<Uuid> endpoint = TakeId(request.endpoint_id(), "endpoint_id");
  if (!endpoint.ok()) return endpoint.status();
  return FillOne(api.store().GetDelivery(WebhookOwner(by), *endpoint, request.webhook_id()), response);
}

absl::Status ReplayDelivery(WebhookApi& api, const access::Caller& by, const webhook_pb::ReplayDeliveryRequest& request,
                            webhook_pb::Delivery& response) {
  absl::StatusOr<Uuid> endpoint = TakeId(request.endpoint_id(), "endpoint_id");
  if (!endpoint.ok()) return endpoint.status();
  return FillOne(api.store().Replay(WebhookOwner(by), *endpoint, request.webhook_id()), response);
}

absl::Status ReplayDeliveries(WebhookApi& api, const access::Caller& by,
                              const webhook_pb::ReplayDeliveriesRequest& request,
                              webhook_pb::ReplayDeliveriesResponse& response) {
  absl::StatusOr<int64_t> replayed = api.ReplayDead(WebhookOwner(by), request.endpoint_id(), request.per_second());
  if (replayed.ok()) response.set_replayed(*replayed);
  return replayed.status();
}

absl::Status DiscardDelivery(WebhookApi& api, const access::Caller& by,
                             const webhook_pb::DiscardDeliveryRequest& request, webhook_pb::Delivery& response) {
  return FillOne(api.Discard(WebhookOwner(by), request.endpoint_id(), request.webhook_id(), request.reason()),
                 response);
}

absl::Status SendTest(WebhookApi& api, const access::Caller& by, const webhook_pb::SendTestRequest& request,
                      webhook_pb::Delivery& response) {
  return FillOne(api.SendTest(WebhookOwner(by), request.endpoint_id()), response);
}

class WebhookMethods {
 public:
  WebhookMethods(rpc::Server& server, WebhookApi& api, Executor& workers)
      : server_(server), api_(api), workers_(workers) {}

  template <typename Request, typename Response>
  void Add(const std::string& name, Scope scope,
           absl::Status (*serve)(WebhookApi&, const access::Caller&, const Request&, Response&)) {
    rpc::UnaryOnWorker<Request, Response>(server_, "waybill.webhook.v1.WebhookService/" + name, scope, workers_,
                                          [&api = api_, serve](rpc::UnaryCall<Request, Response>& call) {
                                            return serve(api, *call.caller(), call.request(), call.response());
                                          });
  }

 private:
  rpc::Server& server_;
  WebhookApi& api_;
  Executor& workers_;
};

}  // namespace

void AddWebhookService(rpc::Server& server, WebhookApi& webhooks, Executor& workers) {
  WebhookMethods methods(server, webhooks, workers);
  methods.Add("CreateEndpoint", Scope::kOrdersWrite, CreateEndpoint);
  methods.Add("ListEndpoints", Scope::kOrdersRead, ListEndpoints);
  methods.Add("UpdateEndpoint", Scope::kOrdersWrite, UpdateEndpoint);
  methods.Add("DeleteEndpoint", Scope::kOrdersWrite, DeleteEndpoint);
  methods.Add("RotateSecret", Scope::kOrdersWrite, RotateSecret);
  methods.Add("ListDeliveries", Scope::kOrdersRead, ListDeliveries);
  methods.Add("GetDelivery", Scope::kOrdersRead, GetDelivery);
  methods.Add("ReplayDelivery", Scope::kOrdersWrite, ReplayDelivery);
  methods.Add("ReplayDeliveries", Scope::kOrdersWrite, ReplayDeliveries);
  methods.Add("DiscardDelivery", Scope::kOrdersWrite, DiscardDelivery);
  methods.Add("SendTest", Scope::kOrdersWrite, SendTest);
}

}  // namespace waybill::order

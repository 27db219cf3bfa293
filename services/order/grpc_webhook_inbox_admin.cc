#include "services/order/grpc_webhook_inbox_admin.h"

#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/payment_attempt.h"
#include "edge/rpc/on_worker.h"
#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "services/order/intake.h"
#include "waybill/ops/v1/webhook_inbox.pb.h"

namespace waybill::order {
namespace {

namespace inbox_pb = waybill::ops::v1;
using storage::InboxQuery;
using storage::InboxState;
using storage::KeptWebhook;

constexpr size_t kEventIdMax = 255;

inbox_pb::WebhookEventState InboxStateOnTheWire(InboxState state) {
  switch (state) {
    case InboxState::kNew:
      return inbox_pb::NEW;
    case InboxState::kUnmatched:
      return inbox_pb::UNMATCHED;
    case InboxState::kSignalled:
      return inbox_pb::SIGNALLED;
    case InboxState::kLate:
      return inbox_pb::LATE;
    case InboxState::kIgnored:
      return inbox_pb::IGNORED;
    case InboxState::kAttention:
      break;
  }
  return inbox_pb::ATTENTION;
}

void FillEvent(const KeptWebhook& kept, inbox_pb::WebhookEvent& out) {
  out.set_gateway(kept.event.gateway);
  out.set_event_id(kept.event.id);
  out.set_type(kept.event.type);
  out.set_state(InboxStateOnTheWire(kept.state));
  out.set_reason(kept.reason);
  out.set_payment_key(kept.event.key);
  out.set_payment_token(kept.event.token);
  if (kept.order_id) out.set_order_id(kept.order_id->ToString());
  if (kept.event.amount_minor) out.set_amount_minor(*kept.event.amount_minor);
  out.set_currency(kept.event.currency);
  out.set_attempts(kept.attempts);
  rpc::SetTime(kept.received_at, *out.mutable_receive_time());
  if (kept.due_at) rpc::SetTime(*kept.due_at, *out.mutable_next_look_time());
  if (kept.settled_at) rpc::SetTime(*kept.settled_at, *out.mutable_settle_time());
  out.set_body_bytes(kept.body_bytes);
  out.set_body(kept.body);
}

void CheckGateway(const std::string& name, Violations& violations) {
  if (!domain::IsGatewayName(name)) violations.Add("gateway", "is no gateway's name: 1-40 of a-z, 0-9, _ and -");
}

// The last one of its page: "<microseconds>/<gateway>/<event_id>".
std::optional<InboxQuery::Place> TakePlace(const std::string& token, Violations& violations) {
  if (token.empty()) return std::nullopt;
  InboxQuery::Place place;
  int64_t micros = 0;
  const char* const last = token.data() + token.size();
  const auto [end, wrong] = std::from_chars(token.data(), last, micros);
  const size_t name = static_cast<size_t>(end - token.data()) + 1;
  const size_t slash = wrong == std::errc() && end != last && *end == '/' ? token.find('/', name) : std::string::npos;
  if (slash == std::string::npos) {
    violations.Add("page_token", "is none of this list's");
    return std::nullopt;
  }
  return InboxQuery::Place{absl::FromUnixMicros(micros), token.substr(name, slash - name), token.substr(slash + 1)};
}

absl::Status ListEvents(storage::WebhookInboxView& inbox, const inbox_pb::ListWebhookEventsRequest& request,
                        inbox_pb::ListWebhookEventsResponse& response) {
  Violations violations;
  InboxQuery query;
  if (request.state() != inbox_pb::WEBHOOK_EVENT_STATE_UNSPECIFIED) {
    for (const InboxState state : storage::kInboxStates) {
      if (InboxStateOnTheWire(state) == request.state()) query.state = state;
    }
    if (!query.state) violations.Add("state", "is not a known state");
  }
  query.gateway = request.gateway();
  if (!query.gateway.empty()) CheckGateway(query.gateway, violations);
  query.event_id = request.event_id();
  if (!query.event_id.empty()) {
    CheckText(query.event_id, 1, kEventIdMax, "event_id", violations);
    if (query.gateway.empty()) violations.Add("event_id", "is a name within a gateway: say which");
  }
  if (!request.order_id().empty()) {
    query.order_id = Uuid::Parse(request.order_id());
    if (!query.order_id) violations.Add("order_id", "is not a UUID of 36 characters");
  }
  const int size = TakePageSize(request.page_size(), violations);
  query.after = TakePlace(request.page_token(), violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  query.limit = size + 1;  // one more says whether there is another page
  absl::StatusOr<std::vector<KeptWebhook>> found = inbox.List(query);
  if (!found.ok()) return found.status();
  if (found->size() > static_cast<size_t>(size)) {
    found->resize(static_cast<size_t>(size));
    const KeptWebhook& last = found->back();
    response.set_next_page_token(
        fmt::format("{}/{}/{}", absl::ToUnixMicros(last.received_at), last.event.gateway, last.event.id));
  }
  for (const KeptWebhook& kept : *found) FillEvent(kept, *response.add_events());
  return absl::OkStatus();
}

absl::Status GetEvent(storage::WebhookInboxView& inbox, const access::Caller& by,
                      const inbox_pb::GetWebhookEventRequest& request, inbox_pb::WebhookEvent& response) {
  Violations violations;
  CheckGateway(request.gateway(), violations);
  CheckText(request.event_id(), 1, kEventIdMax, "event_id", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  const domain::Deed deed = {access::ActorOf(by), "event.read", "event",
                             fmt::format("{}/{}", request.gateway(), request.event_id())};
  absl::StatusOr<KeptWebhook> kept = inbox.Show(request.gateway(), request.event_id(), deed);
  if (kept.ok()) FillEvent(*kept, response);
  return kept.status();
}

}  // namespace

void AddWebhookInboxAdmin(rpc::Server& server, storage::WebhookInboxView& inbox, Executor& workers) {
  const std::string service = "waybill.ops.v1.WebhookInboxAdmin/";
  rpc::UnaryOnWorker<inbox_pb::ListWebhookEventsRequest, inbox_pb::ListWebhookEventsResponse>(
      server, service + "ListWebhookEvents", domain::Scope::kOps, workers,
      [&inbox](auto& call) { return ListEvents(inbox, call.request(), call.response()); });
  rpc::UnaryOnWorker<inbox_pb::GetWebhookEventRequest, inbox_pb::WebhookEvent>(
      server, service + "GetWebhookEvent", domain::Scope::kOps, workers,
      [&inbox](auto& call) { return GetEvent(inbox, *call.caller(), call.request(), call.response()); });
}

}  // namespace waybill::order

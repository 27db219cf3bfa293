#include "services/order/requests.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "saga/runner.h"
#include "services/order/intake.h"
#include "services/order/order_status.h"

namespace waybill::order {
namespace {

template <typename Request>
std::string FilterOfPage(Request request) {
  request.clear_page_size();
  request.clear_page_token();
  return request.SerializeAsString();
}

domain::GeoPoint PointOf(const v1::GeoPoint& point) {
  constexpr double kNotSaid = std::numeric_limits<double>::quiet_NaN();
  return {point.has_latitude() ? point.latitude() : kNotSaid, point.has_longitude() ? point.longitude() : kNotSaid};
}

}  // namespace

domain::Payer TakePayer(v1::Payer& payer, Violations& violations) {
  domain::Payer taken;
  taken.card = std::move(*payer.mutable_card_fingerprint());
  taken.device = std::move(*payer.mutable_device_id());
  taken.address = std::move(*payer.mutable_address());
  if (payer.has_position()) taken.position = PointOf(payer.position());
  if (payer.has_account_create_time()) {
    absl::Time account;
    rpc::TakeTimeField(true, payer.account_create_time(), "payer.account_create_time", account, violations);
    taken.account = account;
  }
  return taken;
}

absl::StatusOr<domain::Order> TakeCreate(v1::CreateOrderRequest& request, std::string_view client) {
  if (!v1::CreateOrderRequest::Wait_IsValid(request.wait())) {
    Violations violations;
    violations.Add("wait", "is not a known value");
    return std::move(violations).ToStatus();
  }
  OrderRequest taken;
  taken.client = std::string(client);
  taken.idempotency_key = std::move(*request.mutable_idempotency_key());
  taken.user_id = std::move(*request.mutable_user_id());
  if (request.has_amount()) {
    taken.amount = Money{request.amount().minor_units(), std::move(*request.mutable_amount()->mutable_currency())};
  }
  if (request.has_pickup()) {
    taken.pickup = PointOf(request.pickup());
  }
  for (auto& [key, value] : *request.mutable_metadata()) taken.metadata.emplace(key, std::move(value));
  if (request.has_payer()) {
    Violations violations;
    taken.payer = TakePayer(*request.mutable_payer(), violations);
    if (!violations.empty()) return std::move(violations).ToStatus();
  }
  return TakeOrder(std::move(taken));
}

absl::StatusOr<storage::OrderQuery> TakeQuery(const v1::ListOrdersRequest& request) {
  Violations violations;
  storage::OrderQuery query;
  query.limit = TakePageSize(request.page_size(), violations);
  CheckText(request.user_id(), 0, kUserIdMax, "user_id", violations);
  query.user_id = request.user_id();
  for (int i = 0; i < request.statuses_size(); ++i) {
    const v1::OrderStatus status = request.statuses(i);
    if (!v1::OrderStatus_IsValid(status) || status == v1::ORDER_STATUS_UNSPECIFIED) {
      violations.Add(fmt::format("statuses[{}]", i), "is not a known status");
    } else {
      for (const auto& filter : FilterOf(static_cast<OrderStatus>(status))) query.statuses.push_back(filter);
    }
  }
  rpc::TakeTimeField(request.has_created_from(), request.created_from(), "created_from", query.created_from,
                     violations);
  rpc::TakeTimeField(request.has_created_to(), request.created_to(), "created_to", query.created_to, violations);
  rpc::CheckSpan(query.created_from, query.created_to, "created_from", "created_to", violations);
  query.before = TakePageToken(request.page_token(), FilterOf(request), violations);
  if (absl::Status status = std::move(violations).ToStatus(); !status.ok()) return status;
  return query;
}

absl::StatusOr<storage::SagaQuery> TakeQuery(const ops::v1::ListSagasRequest& request) {
  Violations violations;
  storage::SagaQuery query;
  query.limit = TakePageSize(request.page_size(), violations);
  for (int i = 0; i < request.states_size(); ++i) {
    const ops::v1::SagaState state = request.states(i);
    if (!ops::v1::SagaState_IsValid(state) || state == ops::v1::SAGA_STATE_UNSPECIFIED) {
      violations.Add(fmt::format("states[{}]", i), "is not a known state");
    } else {
      query.states.push_back(FromWire(state));
    }
  }
  if (query.states.empty()) query.states = {saga::State::kRunning, saga::State::kClosing, saga::State::kCompensating};
  if (request.has_min_age()) {
    const auto& age = request.min_age();
    // Longer than any order can be old, and that far before now the database still has times.
    constexpr int64_t kSecondsMax = int64_t{1'000} * 365 * 86'400;
    if (age.seconds() > kSecondsMax) {
      violations.Add("min_age", "is longer than 1,000 years");
    } else if (age.seconds() < 0 || age.nanos() < 0 || age.nanos() > 999'999'999) {
      violations.Add("min_age", "is not a duration of zero or more");
    } else {
      query.min_age = absl::Seconds(age.seconds()) + absl::Nanoseconds(age.nanos());
    }
  }
  query.needs_attention = request.needs_attention();
  query.waiting = request.waiting();
  if (!request.kind().empty() && !saga::IsKindName(request.kind())) {
    violations.Add("kind", "has to be 1-40 of a-z, 0-9 and _");
  }
  query.kind = request.kind();
  query.after = TakePageToken(request.page_token(), FilterOf(request), violations);
  if (absl::Status status = std::move(violations).ToStatus(); !status.ok()) return status;
  return query;
}

absl::StatusOr<storage::AuditQuery> TakeQuery(const ops::v1::ListEntriesRequest& request) {
  Violations violations;
  storage::AuditQuery query;
  query.limit = TakePageSize(request.page_size(), violations);
  constexpr int kFilterMax = 256;
  for (const auto& [field, text] :
       {std::pair("client", &request.client()), std::pair("action", &request.action()),
        std::pair("subject_kind", &request.subject_kind()), std::pair("subject", &request.subject())}) {
    CheckText(*text, 0, kFilterMax, field, violations);
  }
  query.client = request.client();
  query.action = request.action();
  query.subject_kind = request.subject_kind();
  query.subject = request.subject();
  rpc::TakeTimeField(request.has_from(), request.from(), "from", query.from, violations);
  rpc::TakeTimeField(request.has_to(), request.to(), "to", query.to, violations);
  rpc::CheckSpan(query.from, query.to, "from", "to", violations);
  query.oldest_first = request.oldest_first();
  if (!request.page_token().empty()) {
    query.beyond = static_cast<int64_t>(TakePageCursor(request.page_token(), FilterOfPage(request), violations));
  }
  if (absl::Status status = std::move(violations).ToStatus(); !status.ok()) return status;
  return query;
}

std::string MakeAuditToken(int64_t sequence, const ops::v1::ListEntriesRequest& request) {
  return MakePageToken(static_cast<uint64_t>(sequence), FilterOfPage(request));
}

namespace {

using NamedAction = std::pair<saga::Direction, ops::v1::SagaAction>;
constexpr NamedAction kActions[] = {{saga::Direction::kDo, ops::v1::DO},
                                    {saga::Direction::kUndo, ops::v1::UNDO},
                                    {saga::Direction::kClose, ops::v1::CLOSE}};

}  // namespace

ops::v1::SagaAction ToWire(saga::Direction direction) {
  for (const auto& [ours, theirs] : kActions) {
    if (ours == direction) return theirs;
  }
  return ops::v1::SAGA_ACTION_UNSPECIFIED;
}

absl::StatusOr<SignalRequest> TakeSignal(const ops::v1::SignalSagaRequest& request,
                                         const std::vector<std::string>& steps) {
  using Request = ops::v1::SignalSagaRequest;
  using Kind = saga::Outcome::Kind;
  absl::StatusOr<Uuid> id = TakeId(request.saga_id(), "saga_id");
  if (!id.ok()) return id.status();
  Violations violations;
  if (request.step().empty()) {
    violations.Add("step", "is required");
  } else if (std::find(steps.begin(), steps.end(), request.step()) == steps.end()) {
    violations.Add(
        "step", fmt::format("is no step of the sagas that this process drives; these are: {}", fmt::join(steps, ", ")));
  }
  saga::Direction direction = saga::Direction::kDo;
  if (request.action() != ops::v1::SAGA_ACTION_UNSPECIFIED) {
    const auto* named = std::find_if(std::begin(kActions), std::end(kActions),
                                     [&](const NamedAction& action) { return action.second == request.action(); });
    if (named != std::end(kActions)) {
      direction = named->first;
    } else {
      violations.Add("action", "is not a known value");
    }
  }
  CheckVisibleAscii(request.token(), kTokenMax, "token", violations);
  Kind kind = Kind::kUnknown;
  switch (request.outcome()) {
    case Request::SUCCEEDED:
      kind = Kind::kSucceeded;
      break;
    case Request::REJECTED:
      kind = Kind::kRejected;
      break;
    case Request::UNKNOWN:
      break;
    case Request::OUTCOME_UNSPECIFIED:
      violations.Add("outcome", "is required");
      break;
    default:
      violations.Add("outcome", "is not a known value");
  }
  // What turns a saga back has a reason; so everything that may turn it back needs one.
  if (kind != Kind::kSucceeded) {
    CheckVisibleAscii(request.reason(), saga::kReasonBytesMax, "reason", violations);
  } else if (!request.reason().empty()) {
    violations.Add("reason", "has to be empty for what succeeded");
  }
  CheckText(request.detail(), 0, kReasonMax, "detail", violations);
  CheckText(request.operator_(), 1, kOperatorMax, "operator", violations);
  if (absl::Status status = std::move(violations).ToStatus(); !status.ok()) return status;
  std::string detail = request.operator_();
  if (!request.detail().empty()) detail += fmt::format(": {}", request.detail());
  saga::Outcome outcome;
  outcome.kind = kind;
  outcome.reason = request.reason();
  outcome.detail = std::move(detail);
  return SignalRequest{*id, {request.step(), direction, request.token(), std::move(outcome)}};
}

namespace {

using Named = std::pair<saga::State, ops::v1::SagaState>;
constexpr Named kStatesOnTheWire[] = {
    {saga::State::kRunning, ops::v1::RUNNING},           {saga::State::kSucceeded, ops::v1::SUCCEEDED},
    {saga::State::kClosing, ops::v1::CLOSING},           {saga::State::kClosed, ops::v1::CLOSED},
    {saga::State::kCompensating, ops::v1::COMPENSATING}, {saga::State::kCompensated, ops::v1::COMPENSATED},
    {saga::State::kResolved, ops::v1::RESOLVED},
};
static_assert(std::size(kStatesOnTheWire) == std::size(saga::kStates));

}  // namespace

ops::v1::SagaState ToWire(saga::State state) {
  return std::find_if(std::begin(kStatesOnTheWire), std::end(kStatesOnTheWire),
                      [state](const Named& row) { return row.first == state; })
      ->second;
}

saga::State FromWire(ops::v1::SagaState state) {
  return std::find_if(std::begin(kStatesOnTheWire), std::end(kStatesOnTheWire),
                      [state](const Named& row) { return row.second == state; })
      ->first;
}

// --- Drivers.

namespace {

absl::Duration TakeTtl(const google::protobuf::Duration& ttl, Violations& violations) {
  if (ttl.nanos() < 0 || ttl.nanos() > 999'999'999 || ttl.seconds() < 0 ||
      ttl.seconds() > absl::ToInt64Seconds(kPositionTtlMax)) {
    violations.Add("ttl", "is not a duration of 1 ms to 30 days");
    return kPositionTtlDefault;
  }
  const absl::Duration taken = absl::Seconds(ttl.seconds()) + absl::Nanoseconds(ttl.nanos());
  if (taken < absl::Milliseconds(1) || taken > kPositionTtlMax) {
    violations.Add("ttl", "is not a duration of 1 ms to 30 days");
  }
  return taken;
}

void CheckDriverId(std::string_view driver_id, Violations& violations) {
  if (!domain::IsDriverId(driver_id)) violations.Add("driver_id", "has to be 1-128 visible ASCII characters");
}

constexpr std::string_view kFleetFilter = "waybill.fleet.v1";

}  // namespace

absl::StatusOr<PutRequest> TakePut(const fleet::v1::PutDriversRequest& request) {
  Violations violations;
  PutRequest taken;
  if (request.drivers_size() == 0 || request.drivers_size() > kPlacedDriversMax) {
    violations.Add("drivers", fmt::format("have to be 1 to {}", kPlacedDriversMax));
    return std::move(violations).ToStatus();
  }
  for (int i = 0; i < request.drivers_size(); ++i) {
    const fleet::v1::PutDriver& from = request.drivers(i);
    PlacedDriver& driver = taken.drivers.emplace_back();
    driver.position.driver_id = from.driver_id();
    driver.position.point = {from.latitude(), from.longitude()};
    if (from.has_accuracy_m()) driver.position.accuracy_m = from.accuracy_m();
    if (from.has_heading_deg()) driver.position.heading_deg = from.heading_deg();
    if (from.has_speed_mps()) driver.position.speed_mps = from.speed_mps();
    if (from.has_capacity()) driver.capacity = from.capacity();
    const std::string within = fmt::format("drivers[{}].", i);
    // Elsewhere in a message they would be a place, and not here: JSON passes over fields that we do not know.
    if (!from.has_latitude()) violations.Add(within + "latitude", "is required");
    if (!from.has_longitude()) violations.Add(within + "longitude", "is required");
    CheckPlace(driver.position, within, violations);
    if (driver.capacity.has_value()) CheckCapacity(*driver.capacity, within, violations);
  }
  taken.ttl = request.has_ttl() ? TakeTtl(request.ttl(), violations) : kPositionTtlDefault;
  if (absl::Status status = std::move(violations).ToStatus(); !status.ok()) return status;
  return taken;
}

absl::StatusOr<DriverPage> TakePage(const fleet::v1::ListDriversRequest& request) {
  Violations violations;
  DriverPage page;
  page.size = TakePageSize(request.page_size(), violations);
  page.cursor = TakePageCursor(request.page_token(), kFleetFilter, violations);
  if (absl::Status status = std::move(violations).ToStatus(); !status.ok()) return status;
  return page;
}

std::string MakeFleetToken(uint64_t cursor) { return MakePageToken(cursor, kFleetFilter); }

absl::StatusOr<std::string> TakeDriverId(const std::string& driver_id) {
  Violations violations;
  CheckDriverId(driver_id, violations);
  if (absl::Status status = std::move(violations).ToStatus(); !status.ok()) return status;
  return driver_id;
}

absl::StatusOr<domain::DriverSlot> TakeCapacity(const fleet::v1::SetCapacityRequest& request) {
  Violations violations;
  CheckDriverId(request.driver_id(), violations);
  CheckCapacity(request.capacity(), "", violations);
  if (absl::Status status = std::move(violations).ToStatus(); !status.ok()) return status;
  return domain::DriverSlot{request.driver_id(), request.capacity()};
}

absl::StatusOr<DutyRequest> TakeDuty(const fleet::v1::SetDutyRequest& request) {
  Violations violations;
  CheckDriverId(request.driver_id(), violations);
  if (request.duty() == fleet::v1::DUTY_UNSPECIFIED) {
    violations.Add("duty", "is required");
  } else if (!fleet::v1::Duty_IsValid(request.duty())) {
    violations.Add("duty", "is not a known value");
  }
  if (absl::Status status = std::move(violations).ToStatus(); !status.ok()) return status;
  return DutyRequest{request.driver_id(), request.duty() == fleet::v1::ON_DUTY};
}

std::string FilterOf(const v1::ListOrdersRequest& request) { return FilterOfPage(request); }
std::string FilterOf(const ops::v1::ListSagasRequest& request) { return FilterOfPage(request); }

}  // namespace waybill::order

#include "services/order/grpc_dead_letter_admin.h"

#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/on_worker.h"
#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "services/order/intake.h"
#include "waybill/ops/v1/dead_letters.pb.h"

namespace waybill::order {
namespace {

namespace letters_pb = waybill::ops::v1;
using storage::DeadLetterFilter;
using storage::DeadLetterKind;

letters_pb::DeadLetterKind LetterKindOnTheWire(DeadLetterKind kind) {
  switch (kind) {
    case DeadLetterKind::kEvent:
      return letters_pb::EVENT;
    case DeadLetterKind::kDelivery:
      return letters_pb::DELIVERY;
    case DeadLetterKind::kCase:
      return letters_pb::CASE;
    case DeadLetterKind::kSaga:
      break;
  }
  return letters_pb::SAGA;
}

DeadLetterFilter TakeLetterFilter(const letters_pb::DeadLetterFilter& from, const Clock& clock,
                                  Violations& violations) {
  DeadLetterFilter filter;
  if (!from.id().empty()) {
    filter.key = storage::ParseDeadLetterId(from.id());
    if (!filter.key)
      violations.Add("filter.id", "is not like saga/ID, case/NUMBER, event/GATEWAY/ID or delivery/ENDPOINT/ID");
  }
  if (from.kind() != letters_pb::DEAD_LETTER_KIND_UNSPECIFIED) {
    for (const DeadLetterKind kind : storage::kDeadLetterKinds) {
      if (LetterKindOnTheWire(kind) == from.kind()) filter.kind = kind;
    }
    if (!filter.kind) violations.Add("filter.kind", "is not a known kind");
  }
  filter.cause = from.cause();
  filter.gateway = from.gateway();
  filter.client = from.client();
  if (!from.endpoint_id().empty()) {
    filter.endpoint_id = Uuid::Parse(from.endpoint_id());
    if (!filter.endpoint_id) violations.Add("filter.endpoint_id", "is not a UUID of 36 characters");
  }
  if (from.has_min_age()) {
    const absl::Duration age = absl::Seconds(from.min_age().seconds()) + absl::Nanoseconds(from.min_age().nanos());
    if (age < absl::ZeroDuration()) violations.Add("filter.min_age", "must not be negative");
    filter.since_max = clock.Now() - age;
  }
  return filter;
}

absl::Status ListLetters(DeadLetterApi& api, const letters_pb::ListDeadLettersRequest& request,
                         letters_pb::ListDeadLettersResponse& response) {
  Violations violations;
  const DeadLetterFilter filter = TakeLetterFilter(request.filter(), api.clock(), violations);
  const int size = TakePageSize(request.page_size(), violations);
  // A token is the last one of its page: "<microseconds>/<id>".
  std::optional<std::pair<absl::Time, std::string>> after;
  if (!request.page_token().empty()) {
    const std::string& token = request.page_token();
    int64_t micros = 0;
    const auto [end, wrong] = std::from_chars(token.data(), token.data() + token.size(), micros);
    if (wrong != std::errc() || end == token.data() + token.size() || *end != '/') {
      violations.Add("page_token", "is none of this list's");
    } else {
      after = {absl::FromUnixMicros(micros), std::string(end + 1, token.data() + token.size())};
    }
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  absl::StatusOr<std::vector<storage::DeadLetter>> found = api.store().List(filter, after, size + 1);
  if (!found.ok()) return found.status();
  if (found->size() > static_cast<size_t>(size)) {
    found->resize(static_cast<size_t>(size));
    response.set_next_page_token(fmt::format("{}/{}", absl::ToUnixMicros(found->back().since), found->back().id));
  }
  for (const storage::DeadLetter& letter : *found) {
    letters_pb::DeadLetter& out = *response.add_letters();
    out.set_id(letter.id);
    out.set_kind(LetterKindOnTheWire(letter.kind));
    out.set_cause(letter.cause);
    out.set_detail(letter.detail);
    out.set_gateway(letter.gateway);
    out.set_client(letter.client);
    if (letter.endpoint_id) out.set_endpoint_id(letter.endpoint_id->ToString());
    if (letter.order_id) out.set_order_id(letter.order_id->ToString());
    rpc::SetTime(letter.since, *out.mutable_since());
    out.set_attempts(letter.attempts);
    out.set_blocked(letter.blocked);
  }
  return absl::OkStatus();
}

absl::Status CountLetters(DeadLetterApi& api, const letters_pb::CountDeadLettersRequest& request,
                          letters_pb::CountDeadLettersResponse& response) {
  Violations violations;
  const DeadLetterFilter filter = TakeLetterFilter(request.filter(), api.clock(), violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  absl::StatusOr<std::vector<storage::DeadLetterCount>> counts =
      api.store().Count(filter, std::numeric_limits<int64_t>::max());
  if (!counts.ok()) return counts.status();
  for (const storage::DeadLetterCount& count : *counts) {
    letters_pb::CountDeadLettersResponse::Count& out = *response.add_counts();
    out.set_kind(LetterKindOnTheWire(count.kind));
    out.set_cause(count.cause);
    out.set_letters(count.letters);
    rpc::SetTime(count.oldest, *out.mutable_oldest());
  }
  return absl::OkStatus();
}

template <typename Request>
std::optional<absl::Time> TakeAsOf(const Request& request) {
  if (!request.has_as_of()) return std::nullopt;
  return absl::FromUnixSeconds(request.as_of().seconds()) + absl::Nanoseconds(request.as_of().nanos());
}

absl::Status RedriveLetters(DeadLetterApi& api, const access::Caller& by,
                            const letters_pb::RedriveDeadLettersRequest& request,
                            letters_pb::RedriveDeadLettersResponse& response) {
  Violations violations;
  DeadLetterFilter filter = TakeLetterFilter(request.filter(), api.clock(), violations);
  const std::optional<absl::Time> as_of = TakeAsOf(request);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  absl::StatusOr<DeadLetterApi::Redriven> redriven =
      api.Redrive(std::move(filter), request.per_second(), request.limit(), as_of, access::ActorOf(by));
  if (!redriven.ok()) return redriven.status();
  response.set_redriven(redriven->redriven);
  response.set_left(redriven->left);
  response.set_blocked(redriven->blocked);
  rpc::SetTime(redriven->as_of, *response.mutable_as_of());
  return absl::OkStatus();
}

absl::Status DiscardLetters(DeadLetterApi& api, const access::Caller& by,
                            const letters_pb::DiscardDeadLettersRequest& request,
                            letters_pb::DiscardDeadLettersResponse& response) {
  Violations violations;
  DeadLetterFilter filter = TakeLetterFilter(request.filter(), api.clock(), violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  absl::StatusOr<DeadLetterApi::Discarded> discarded =
      api.Discard(std::move(filter), request.reason(), request.limit(), TakeAsOf(request),
                  access::ActorOf(by, request.operator_()));
  if (!discarded.ok()) return discarded.status();
  response.set_discarded(discarded->discarded);
  response.set_left(discarded->left);
  rpc::SetTime(discarded->as_of, *response.mutable_as_of());
  return absl::OkStatus();
}

}  // namespace

void AddDeadLetterAdmin(rpc::Server& server, DeadLetterApi& letters, Executor& workers) {
  const std::string service = "waybill.ops.v1.DeadLetterAdmin/";
  const domain::Scope scope = domain::Scope::kOps;
  rpc::UnaryOnWorker<letters_pb::ListDeadLettersRequest, letters_pb::ListDeadLettersResponse>(
      server, service + "ListDeadLetters", scope, workers,
      [&letters](auto& call) { return ListLetters(letters, call.request(), call.response()); });
  rpc::UnaryOnWorker<letters_pb::CountDeadLettersRequest, letters_pb::CountDeadLettersResponse>(
      server, service + "CountDeadLetters", scope, workers,
      [&letters](auto& call) { return CountLetters(letters, call.request(), call.response()); });
  rpc::UnaryOnWorker<letters_pb::RedriveDeadLettersRequest, letters_pb::RedriveDeadLettersResponse>(
      server, service + "RedriveDeadLetters", scope, workers,
      [&letters](auto& call) { return RedriveLetters(letters, *call.caller(), call.request(), call.response()); });
  rpc::UnaryOnWorker<letters_pb::DiscardDeadLettersRequest, letters_pb::DiscardDeadLettersResponse>(
      server, service + "DiscardDeadLetters", scope, workers,
      [&letters](auto& call) { return DiscardLetters(letters, *call.caller(), call.request(), call.response()); });
}

}  // namespace waybill::order

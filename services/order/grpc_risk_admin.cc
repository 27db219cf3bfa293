#include "services/order/grpc_risk_admin.h"

#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/on_worker.h"
#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "risk/rules_file.h"
#include "services/order/intake.h"
#include "waybill/ops/v1/risk.pb.h"

namespace waybill::order {
namespace {

namespace risk_pb = waybill::ops::v1;
using storage::RiskAssessment;

constexpr size_t kRulesBytesMax = 1 << 20;
constexpr size_t kFileNameMax = 255;
constexpr std::string_view kReviewsFilter = "waybill.ops.v1.ListReviews";

risk_pb::RiskDecision RiskDecisionOnTheWire(risk::Decision decision) {
  switch (decision) {
    case risk::Decision::kAllow:
      return risk_pb::RISK_ALLOW;
    case risk::Decision::kReview:
      return risk_pb::RISK_REVIEW;
    case risk::Decision::kDeny:
      return risk_pb::RISK_DENY;
  }
  return risk_pb::RISK_DECISION_UNSPECIFIED;
}

risk_pb::RiskKind RiskKindOnTheWire(risk::Subject subject) {
  switch (subject) {
    case risk::Subject::kOrder:
      return risk_pb::RISK_ORDER;
    case risk::Subject::kPayment:
      return risk_pb::RISK_PAYMENT;
    case risk::Subject::kPayout:
      return risk_pb::RISK_PAYOUT;
  }
  return risk_pb::RISK_KIND_UNSPECIFIED;
}

void FillVerdict(const risk::Verdict& verdict, risk_pb::RiskVerdict& out) {
  out.set_decision(RiskDecisionOnTheWire(verdict.decision));
  out.set_score(verdict.score);
  out.set_rule(verdict.rule);
}

template <typename Reasons>
void FillReasons(const std::vector<risk::Reason>& reasons, Reasons& out) {
  for (const risk::Reason& reason : reasons) {
    risk_pb::RiskReason& one = *out.Add();
    one.set_rule(reason.rule);
    one.set_score(reason.score);
    if (reason.decides) one.set_decides(RiskDecisionOnTheWire(*reason.decides));
    one.set_shadow(reason.shadow);
    one.set_detail(reason.detail);
  }
}

void FillAssessment(const RiskAssessment& kept, risk_pb::RiskAssessment& out) {
  out.set_order_id(kept.order_id.ToString());
  out.set_kind(RiskKindOnTheWire(kept.facts.subject));
  if (kept.facts.subject == risk::Subject::kPayout) out.set_destination(kept.facts.Of(risk::Trait::kCard));
  out.set_client(kept.facts.client);
  out.set_user_id(kept.facts.Of(risk::Trait::kUser));
  out.set_amount_minor(kept.facts.amount_minor);
  out.set_currency(kept.facts.currency);
  rpc::SetTime(kept.at, *out.mutable_time());
  out.set_rules_version(kept.assessment.version);
  FillVerdict(kept.assessment.verdict, *out.mutable_verdict());
  FillVerdict(kept.assessment.shadow, *out.mutable_shadow_verdict());
  FillReasons(kept.assessment.reasons, *out.mutable_reasons());
  if (!kept.review_until) return;
  rpc::SetTime(*kept.review_until, *out.mutable_review_until());
  out.set_after_review(RiskDecisionOnTheWire(kept.after_review));
}

absl::Status ListOpenReviews(RiskApi& risk, const risk_pb::ListReviewsRequest& request,
                             risk_pb::ListReviewsResponse& response) {
  Violations violations;
  const int size = TakePageSize(request.page_size(), violations);
  const std::optional<Uuid> before = TakePageToken(request.page_token(), kReviewsFilter, violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  absl::StatusOr<std::vector<RiskAssessment>> reviews = risk.Reviews(before, size + 1);
  if (!reviews.ok()) return reviews.status();
  if (reviews->size() > static_cast<size_t>(size)) {
    reviews->resize(static_cast<size_t>(size));
    response.set_next_page_token(MakePageToken(reviews->back().order_id, kReviewsFilter));
  }
  for (const RiskAssessment& review : *reviews) FillAssessment(review, *response.add_reviews());
  return absl::OkStatus();
}

absl::Status DecideOpenReview(RiskApi& risk, const access::Caller& by, const risk_pb::DecideReviewRequest& request,
                              risk_pb::DecideReviewResponse& response) {
  absl::StatusOr<Uuid> id = TakeId(request.order_id(), "order_id");
  if (!id.ok()) return id.status();
  Violations violations;
  if (request.decision() != risk_pb::RISK_ALLOW && request.decision() != risk_pb::RISK_DENY) {
    violations.Add("decision", "is neither RISK_ALLOW nor RISK_DENY");
  }
  CheckText(request.reason(), 1, kReasonMax, "reason", violations);
  CheckText(request.operator_(), 1, kOperatorMax, "operator", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  absl::Status decided = risk.Decide(*id, request.decision() == risk_pb::RISK_ALLOW,
                                     access::ActorOf(by, request.operator_()), request.reason());
  if (decided.ok()) response.set_result(risk_pb::SignalSagaResponse::WOKEN);
  return decided;
}

// The last one of its page: "<microseconds>/<order id>".
bool TakeTestPlace(const std::string& token, storage::RiskQuery& query) {
  int64_t micros = 0;
  const char* const last = token.data() + token.size();
  const auto [end, wrong] = std::from_chars(token.data(), last, micros);
  if (wrong != std::errc() || end == last || *end != '/') return false;
  query.after = Uuid::Parse(std::string_view(end + 1, static_cast<size_t>(last - end - 1)));
  query.from = absl::FromUnixMicros(micros);
  return query.after.has_value();
}

absl::Status TestRulesOfFile(RiskApi& risk, const Clock& clock, const risk_pb::TestRulesRequest& request,
                             risk_pb::TestRulesResponse& response) {
  Violations violations;
  CheckText(request.rules(), 1, kRulesBytesMax, "rules", violations);
  CheckText(request.file_name(), 0, kFileNameMax, "file_name", violations);
  storage::RiskQuery query;
  const std::optional<absl::Time> from = request.has_from() ? rpc::TakeTime(request.from()) : std::nullopt;
  const std::optional<absl::Time> to = request.has_to() ? rpc::TakeTime(request.to()) : clock.Now();
  if (!from) violations.Add("from", request.has_from() ? "is not a valid timestamp" : "is required");
  if (!to) violations.Add("to", "is not a valid timestamp");
  const int size = TakePageSize(request.page_size(), violations);
  query.from = from.value_or(absl::InfinitePast());
  query.to = to.value_or(absl::InfiniteFuture());
  rpc::CheckSpan(query.from, query.to, "from", "to", violations);
  query.limit = static_cast<size_t>(size) + 1;
  if (!request.page_token().empty() && !TakeTestPlace(request.page_token(), query)) {
    violations.Add("page_token", "is not a token of an earlier page");
  }
  absl::StatusOr<risk::Rules> rules =
      risk::ParseRules(request.rules(), request.file_name().empty() ? "rules" : request.file_name());
  if (!rules.ok()) violations.Add("rules", std::string(rules.status().message()));
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  absl::StatusOr<std::vector<RiskApi::Tested>> tested = risk.Test(*rules, query);
  if (!tested.ok()) return tested.status();
  if (tested->size() > static_cast<size_t>(size)) {
    tested->resize(static_cast<size_t>(size));
    const RiskAssessment& last = tested->back().was;
    response.set_next_page_token(fmt::format("{}/{}", absl::ToUnixMicros(last.at), last.order_id.ToString()));
  }
  for (const RiskApi::Tested& one : *tested) {
    risk_pb::TestRulesResponse::Tested& out = *response.add_tested();
    FillAssessment(one.was, *out.mutable_was());
    FillVerdict(one.would_be.verdict, *out.mutable_verdict());
    FillVerdict(one.would_be.shadow, *out.mutable_shadow_verdict());
    FillReasons(one.would_be.reasons, *out.mutable_reasons());
  }
  return absl::OkStatus();
}

}  // namespace

void AddRiskAdmin(rpc::Server& server, RiskApi& risk, const Clock& clock, Executor& workers) {
  const std::string service = "waybill.ops.v1.RiskAdmin/";
  rpc::UnaryOnWorker<risk_pb::ListReviewsRequest, risk_pb::ListReviewsResponse>(
      server, service + "ListReviews", domain::Scope::kOps, workers,
      [&risk](auto& call) { return ListOpenReviews(risk, call.request(), call.response()); });
  rpc::UnaryOnWorker<risk_pb::DecideReviewRequest, risk_pb::DecideReviewResponse>(
      server, service + "DecideReview", domain::Scope::kOps, workers,
      [&risk](auto& call) { return DecideOpenReview(risk, *call.caller(), call.request(), call.response()); });
  rpc::UnaryOnWorker<risk_pb::GetAssessmentRequest, risk_pb::RiskAssessment>(
      server, service + "GetAssessment", domain::Scope::kOps, workers, [&risk](auto& call) -> absl::Status {
        absl::StatusOr<Uuid> id = TakeId(call.request().order_id(), "order_id");
        if (!id.ok()) return id.status();
        absl::StatusOr<RiskAssessment> kept = risk.Get(*id);
        if (kept.ok()) FillAssessment(*kept, call.response());
        return kept.status();
      });
  rpc::UnaryOnWorker<risk_pb::TestRulesRequest, risk_pb::TestRulesResponse>(
      server, service + "TestRules", domain::Scope::kOps, workers,
      [&risk, &clock](auto& call) { return TestRulesOfFile(risk, clock, call.request(), call.response()); });
}

}  // namespace waybill::order

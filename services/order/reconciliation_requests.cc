#include "services/order/reconciliation_requests.h"

#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

#include "domain/currency.h"
#include "domain/payment_attempt.h"
#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "services/order/intake.h"

namespace waybill::order {
namespace {

namespace reconciliation_pb = waybill::reconciliation::v1;
using storage::Difference;
using storage::LineKind;

constexpr int kLinesMax = 5'000;
constexpr size_t kReferenceMax = 255;
constexpr absl::Duration kCoversMax = absl::Hours(24 * 35);

// The filter of a page: the request without where it is.
template <typename Request>
std::string FilterOfList(Request request) {
  request.clear_page_size();
  request.clear_page_token();
  return request.SerializeAsString();
}

void CheckGateway(const std::string& name, bool required, Violations& violations) {
  if (name.empty() && !required) return;
  if (!domain::IsGatewayName(name)) violations.Add("gateway", "has to be 1-40 of a-z, 0-9, _ and -");
}

std::optional<LineKind> FromWireKind(reconciliation_pb::LineKind kind) {
  switch (kind) {
    case reconciliation_pb::CHARGE:
      return LineKind::kCharge;
    case reconciliation_pb::REFUND:
      return LineKind::kRefund;
    case reconciliation_pb::FEE:
      return LineKind::kFee;
    case reconciliation_pb::CHARGEBACK:
      return LineKind::kChargeback;
    default:
      return std::nullopt;
  }
}

reconciliation_pb::LineKind OnTheWireKind(LineKind kind) {
  switch (kind) {
    case LineKind::kCharge:
      return reconciliation_pb::CHARGE;
    case LineKind::kRefund:
      return reconciliation_pb::REFUND;
    case LineKind::kFee:
      return reconciliation_pb::FEE;
    case LineKind::kChargeback:
      return reconciliation_pb::CHARGEBACK;
  }
  std::abort();
}

reconciliation_pb::Case::Difference OnTheWireDifference(Difference difference) {
  switch (difference) {
    case Difference::kMissingHere:
      return reconciliation_pb::Case::MISSING_HERE;
    case Difference::kMissingThere:
      return reconciliation_pb::Case::MISSING_THERE;
    case Difference::kTwice:
      return reconciliation_pb::Case::TWICE;
    case Difference::kAmount:
      return reconciliation_pb::Case::AMOUNT;
    case Difference::kCurrency:
      return reconciliation_pb::Case::CURRENCY;
    case Difference::kFee:
      return reconciliation_pb::Case::FEE;
    case Difference::kChargeback:
      return reconciliation_pb::Case::CHARGEBACK;
  }
  std::abort();
}

std::string_view SuggestedAction(const storage::ReconciliationCase& one) {
  switch (one.difference) {
    case Difference::kMissingHere:
      if (!one.order_id) return "Ask the gateway whose it is; if it is nobody's, have it given back.";
      return one.about == LineKind::kRefund
                 ? "Look at the order: if it stands, the payer has its money back all the same. Ask the gateway why."
                 : "Look at the order: while it is open its charge may not be booked yet. If it has failed, have the "
                   "money given back at the gateway.";
    case Difference::kMissingThere:
      return one.about == LineKind::kRefund
                 ? "Wait for the next file; then ask the gateway for the refund by the order's key, and have it made."
                 : "Wait for the next file; then ask the gateway for the charge by the order's key.";
    case Difference::kTwice:
      return "Have all but one given back at the gateway.";
    case Difference::kAmount:
      return "Ask the gateway what it took; have the rest given back, or charged.";
    case Difference::kCurrency:
      return "Ask the gateway in which currency it took the money.";
    case Difference::kFee:
      return "Hold the fee against the contract; if the tariff is another one, reconcile with that.";
    case Difference::kChargeback:
      return "Answer the payer's bank in time, or let it be and say so.";
  }
  std::abort();
}

// "0190…", "0190…/charge_payment": the order's.
std::optional<Uuid> OrderOf(const std::string& reference) {
  return Uuid::Parse(reference.substr(0, reference.find('/')));
}

storage::SettlementLine TakeLine(const reconciliation_pb::Line& line, const std::string& within,
                                 Violations& violations) {
  storage::SettlementLine taken;
  const auto field = [&](const char* name) { return fmt::format("{}.{}", within, name); };
  taken.number = line.number();
  if (line.number() < 1) violations.Add(field("number"), "has to be 1 or more");
  const std::optional<LineKind> kind = FromWireKind(line.kind());
  if (!kind) violations.Add(field("kind"), "is not a known kind");
  taken.kind = kind.value_or(LineKind::kFee);
  CheckText(line.reference(), 0, kReferenceMax, field("reference"), violations);
  CheckText(line.gateway_reference(), 0, kReferenceMax, field("gateway_reference"), violations);
  CheckText(line.payout(), 0, kReferenceMax, field("payout"), violations);
  if (taken.kind != LineKind::kFee) taken.order_id = OrderOf(line.reference());
  taken.gateway_reference = line.gateway_reference();
  if (taken.kind != LineKind::kFee && !taken.order_id && taken.gateway_reference.empty()) {
    violations.Add(field("gateway_reference"), "is required where `reference` names no order");
  }
  taken.payout = line.payout();
  taken.amount_minor = line.amount_minor();
  taken.fee_minor = line.fee_minor();
  if (line.amount_minor() < 0) violations.Add(field("amount_minor"), "is negative; say by `kind` which way it went");
  if (line.fee_minor() < 0) violations.Add(field("fee_minor"), "is negative");
  for (const auto& [name, minor] :
       {std::pair("amount_minor", line.amount_minor()), std::pair("fee_minor", line.fee_minor())}) {
    if (minor > kAmountMinorMax) violations.Add(field(name), fmt::format("is more than {}", kAmountMinorMax));
  }
  taken.currency = line.currency();
  if (!domain::CurrencyExponent(line.currency())) violations.Add(field("currency"), "is not an ISO 4217 currency");
  std::optional<absl::Time> booked;
  if (line.has_book_time()) booked = rpc::TakeTime(line.book_time());
  if (!booked) violations.Add(field("book_time"), line.has_book_time() ? "is not a valid timestamp" : "is required");
  taken.booked_at = booked.value_or(absl::UnixEpoch());
  return taken;
}

}  // namespace

absl::StatusOr<storage::NewSettlement> TakeSettlement(const reconciliation_pb::BeginSettlementRequest& request) {
  Violations violations;
  storage::NewSettlement taken;
  CheckGateway(request.gateway(), /*required=*/true, violations);
  CheckText(request.name(), 1, kReferenceMax, "name", violations);
  taken.gateway = request.gateway();
  taken.name = request.name();
  std::optional<absl::Time> from, to;
  if (request.has_from()) from = rpc::TakeTime(request.from());
  if (request.has_to()) to = rpc::TakeTime(request.to());
  if (!from) violations.Add("from", request.has_from() ? "is not a valid timestamp" : "is required");
  if (!to) violations.Add("to", request.has_to() ? "is not a valid timestamp" : "is required");
  if (from && to) {
    if (*to <= *from) violations.Add("to", "is not after `from`");
    if (*to - *from > kCoversMax) violations.Add("to", "is more than 35 days after `from`");
    taken.from = *from;
    taken.to = *to;
  }
  if (request.has_tariff()) {
    const reconciliation_pb::Tariff& tariff = request.tariff();
    if (tariff.ppm() < 0 || tariff.ppm() > 1'000'000) violations.Add("tariff.ppm", "is not within 0 and 1,000,000");
    if (tariff.fixed_minor() < 0 || tariff.fixed_minor() > kAmountMinorMax) {
      violations.Add("tariff.fixed_minor", fmt::format("is not within 0 and {}", kAmountMinorMax));
    }
    taken.tariff = {tariff.ppm(), tariff.fixed_minor()};
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return taken;
}

absl::StatusOr<std::vector<storage::SettlementLine>> TakeLines(const reconciliation_pb::AddLinesRequest& request) {
  Violations violations;
  std::vector<storage::SettlementLine> lines;
  if (request.lines_size() < 1 || request.lines_size() > kLinesMax) {
    violations.Add("lines", fmt::format("have to be 1 to {}", kLinesMax));
  } else {
    lines.reserve(static_cast<size_t>(request.lines_size()));
    for (int i = 0; i < request.lines_size(); ++i) {
      lines.push_back(TakeLine(request.lines(i), fmt::format("lines[{}]", i), violations));
    }
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return lines;
}

absl::StatusOr<SettlementPage> TakePage(const reconciliation_pb::ListSettlementsRequest& request) {
  Violations violations;
  CheckGateway(request.gateway(), /*required=*/false, violations);
  SettlementPage page{request.gateway(), std::numeric_limits<int64_t>::max(),
                      TakePageSize(request.page_size(), violations)};
  if (!request.page_token().empty()) {
    page.before = static_cast<int64_t>(TakePageCursor(request.page_token(), FilterOfList(request), violations));
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return page;
}

std::string MakeToken(int64_t last, const reconciliation_pb::ListSettlementsRequest& request) {
  return MakePageToken(static_cast<uint64_t>(last), FilterOfList(request));
}

absl::StatusOr<storage::CaseQuery> TakeQuery(const reconciliation_pb::ListCasesRequest& request) {
  Violations violations;
  storage::CaseQuery query;
  CheckGateway(request.gateway(), /*required=*/false, violations);
  query.gateway = request.gateway();
  query.closed_too = request.closed_too();
  query.limit = TakePageSize(request.page_size(), violations);
  if (!request.order_id().empty()) {
    query.order_id = Uuid::Parse(request.order_id());
    if (!query.order_id) violations.Add("order_id", "is not a UUID");
  }
  if (request.settlement_id() != 0) query.settlement_id = request.settlement_id();
  query.after = static_cast<int64_t>(TakePageCursor(request.page_token(), FilterOfList(request), violations));
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return query;
}

std::string MakeToken(int64_t last, const reconciliation_pb::ListCasesRequest& request) {
  return MakePageToken(static_cast<uint64_t>(last), FilterOfList(request));
}

absl::StatusOr<storage::SummaryQuery> TakeQuery(const reconciliation_pb::PaymentsSummaryRequest& request) {
  Violations violations;
  storage::SummaryQuery query;
  CheckGateway(request.gateway(), /*required=*/false, violations);
  query.gateway = request.gateway();
  rpc::TakeTimeField(request.has_from(), request.from(), "from", query.from, violations);
  rpc::TakeTimeField(request.has_to(), request.to(), "to", query.to, violations);
  rpc::CheckSpan(query.from, query.to, "from", "to", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return query;
}

absl::Status CheckClose(const reconciliation_pb::CloseCaseRequest& request) {
  Violations violations;
  CheckText(request.reason(), 1, kReasonMax, "reason", violations);
  CheckText(request.operator_(), 1, kOperatorMax, "operator", violations);
  return std::move(violations).ToStatus();
}

void FillWire(const storage::Settlement& settlement, reconciliation_pb::Settlement& out) {
  out.set_settlement_id(settlement.id);
  out.set_gateway(settlement.gateway);
  out.set_name(settlement.name);
  rpc::SetTime(settlement.from, *out.mutable_from());
  rpc::SetTime(settlement.to, *out.mutable_to());
  if (settlement.tariff) {
    out.mutable_tariff()->set_ppm(settlement.tariff->ppm);
    out.mutable_tariff()->set_fixed_minor(settlement.tariff->fixed);
  }
  switch (settlement.state) {
    case storage::SettlementState::kLoading:
      out.set_state(reconciliation_pb::LOADING);
      break;
    case storage::SettlementState::kReconciled:
      out.set_state(reconciliation_pb::RECONCILED);
      break;
    case storage::SettlementState::kReplaced:
      out.set_state(reconciliation_pb::REPLACED);
      break;
  }
  rpc::SetTime(settlement.created_at, *out.mutable_create_time());
  if (settlement.reconciled_at) rpc::SetTime(*settlement.reconciled_at, *out.mutable_reconcile_time());
  out.set_lines(settlement.lines);
  out.set_opened(settlement.opened);
  out.set_proven(settlement.proven);
}

void FillWire(const storage::SettlementTotals& totals, reconciliation_pb::Report::Totals& out) {
  const auto set = [](const storage::SettlementTotals::Sum& sum, reconciliation_pb::Report::Sum& to) {
    to.set_count(sum.count);
    to.set_minor(sum.minor);
  };
  out.set_currency(totals.currency);
  set(totals.charges, *out.mutable_charges());
  set(totals.refunds, *out.mutable_refunds());
  set(totals.fees, *out.mutable_fees());
  set(totals.chargebacks, *out.mutable_chargebacks());
  set(totals.our_charges, *out.mutable_our_charges());
  set(totals.our_refunds, *out.mutable_our_refunds());
}

void FillWire(const storage::ReconciliationCase& one, reconciliation_pb::Case& out) {
  out.set_case_id(one.id);
  out.set_gateway(one.gateway);
  out.set_difference(OnTheWireDifference(one.difference));
  out.set_about(OnTheWireKind(one.about));
  if (one.order_id) out.set_order_id(one.order_id->ToString());
  out.set_gateway_reference(one.reference);
  if (one.ours) out.set_ours_minor(*one.ours);
  if (one.theirs) out.set_theirs_minor(*one.theirs);
  out.set_currency(one.currency);
  out.set_settlement_id(one.settlement_id);
  out.set_suggested_action(std::string(SuggestedAction(one)));
  rpc::SetTime(one.opened_at, *out.mutable_open_time());
  if (one.closed_at) rpc::SetTime(*one.closed_at, *out.mutable_close_time());
  out.set_closed_by(one.closed_by);
  out.set_reason(one.reason);
}

void FillWire(const storage::PaymentTotals& totals, reconciliation_pb::PaymentTotals& out) {
  out.set_gateway(totals.gateway);
  out.set_currency(totals.currency);
  out.set_count(totals.charges);
  out.set_amount_minor(totals.amount_minor);
  out.set_fee_minor(totals.fee_minor);
  out.set_refund_count(totals.refunds);
  out.set_refund_minor(totals.refund_minor);
}

}  // namespace waybill::order

#include "services/order/grpc_reconciliation_service.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "domain/reasons.h"
#include "edge/rpc/on_worker.h"
#include "fmt/format.h"
#include "services/order/reconciliation_requests.h"

namespace waybill::order {
namespace {

namespace reconciliation_pb = waybill::reconciliation::v1;
using storage::ReconciliationStore;

using BeginCall = rpc::UnaryCall<reconciliation_pb::BeginSettlementRequest, reconciliation_pb::Settlement>;
using AddLinesCall = rpc::UnaryCall<reconciliation_pb::AddLinesRequest, reconciliation_pb::AddLinesResponse>;
using ReconcileCall = rpc::UnaryCall<reconciliation_pb::ReconcileRequest, reconciliation_pb::Settlement>;
using ListSettlementsCall =
    rpc::UnaryCall<reconciliation_pb::ListSettlementsRequest, reconciliation_pb::ListSettlementsResponse>;
using GetReportCall = rpc::UnaryCall<reconciliation_pb::GetReportRequest, reconciliation_pb::Report>;
using ListCasesCall = rpc::UnaryCall<reconciliation_pb::ListCasesRequest, reconciliation_pb::ListCasesResponse>;
using PaymentsSummaryCall =
    rpc::UnaryCall<reconciliation_pb::PaymentsSummaryRequest, reconciliation_pb::PaymentsSummaryResponse>;
using CloseCaseCall = rpc::UnaryCall<reconciliation_pb::CloseCaseRequest, reconciliation_pb::Case>;

template <typename Result, typename Message>
absl::Status Answer(const absl::StatusOr<Result>& result, Message& response) {
  if (result.ok()) FillWire(*result, response);
  return result.status();
}

// GATEWAY_NOT_FOUND unless the file has it, or the books of the past.
absl::Status CheckKnown(const std::string& gateway, const payments::Router* router,
                        storage::PaymentSummaryStore& sums) {
  std::vector<std::string> names;
  if (router != nullptr) {
    for (const payments::Router::View& view : router->List()) names.push_back(view.gateway.name);
  }
  if (std::find(names.begin(), names.end(), gateway) != names.end()) return absl::OkStatus();
  storage::SummaryQuery ever;
  ever.gateway = gateway;
  absl::StatusOr<std::vector<storage::PaymentTotals>> totals = sums.Summarize(ever);
  if (!totals.ok()) return totals.status();
  if (!totals->empty()) return absl::OkStatus();
  const std::string known = fmt::format("{}", fmt::join(names, ", "));
  return domain::ReasonError("GATEWAY_NOT_FOUND",
                             fmt::format("there is no payment gateway \"{}\", nor was there one; {}", gateway,
                                         names.empty() ? "there is one, without a name" : "the gateways are " + known),
                             {.metadata = {{"gateway", gateway}, {"known", known}}});
}

absl::Status BeginSettlement(ReconciliationStore& store, storage::PaymentSummaryStore& sums,
                             const payments::Router* router, bool unnamed, BeginCall& call) {
  absl::StatusOr<storage::NewSettlement> wanted = TakeSettlement(call.request());
  if (!wanted.ok()) return wanted.status();
  if (router != nullptr && !unnamed) {
    absl::StatusOr<std::vector<storage::Settlement>> earlier =
        store.List(wanted->gateway, std::numeric_limits<int64_t>::max(), 1);
    const absl::Status known = !earlier.ok()      ? earlier.status()
                               : earlier->empty() ? CheckKnown(wanted->gateway, router, sums)
                                                  : absl::OkStatus();
    if (!known.ok()) return known;
  }
  return Answer(store.Begin(*wanted), call.response());
}

absl::Status AddLines(ReconciliationStore& store, AddLinesCall& call) {
  absl::StatusOr<std::vector<storage::SettlementLine>> lines = TakeLines(call.request());
  if (!lines.ok()) return lines.status();
  return store.AddLines(call.request().settlement_id(), *lines);
}

absl::Status Reconcile(ReconciliationStore& store, ReconcileCall& call) {
  const int64_t id = call.request().settlement_id();
  const domain::Deed deed{access::ActorOf(*call.caller()), "settlement.reconcile", "settlement", absl::StrCat(id)};
  return Answer(store.Reconcile(id, call.request().lines(), deed), call.response());
}

absl::Status ListSettlements(ReconciliationStore& store, ListSettlementsCall& call) {
  absl::StatusOr<SettlementPage> page = TakePage(call.request());
  if (!page.ok()) return page.status();
  // One more says whether there is another page.
  absl::StatusOr<std::vector<storage::Settlement>> found = store.List(page->gateway, page->before, page->size + 1);
  if (!found.ok()) return found.status();
  if (found->size() > static_cast<size_t>(page->size)) {
    found->resize(static_cast<size_t>(page->size));
    call.response().set_next_page_token(MakeToken(found->back().id, call.request()));
  }
  for (const storage::Settlement& settlement : *found) FillWire(settlement, *call.response().add_settlements());
  return absl::OkStatus();
}

absl::Status GetReport(ReconciliationStore& store, GetReportCall& call) {
  const int64_t id = call.request().settlement_id();
  absl::StatusOr<storage::Settlement> settlement = store.Get(id);
  if (!settlement.ok()) return settlement.status();
  absl::StatusOr<std::vector<storage::SettlementTotals>> totals = store.Totals(id);
  if (!totals.ok()) return totals.status();
  FillWire(*settlement, *call.response().mutable_settlement());
  for (const storage::SettlementTotals& each : *totals) FillWire(each, *call.response().add_totals());
  return absl::OkStatus();
}

absl::Status ListCases(ReconciliationStore& store, ListCasesCall& call) {
  absl::StatusOr<storage::CaseQuery> query = TakeQuery(call.request());
  if (!query.ok()) return query.status();
  const size_t size = static_cast<size_t>(query->limit);
  ++query->limit;
  absl::StatusOr<std::vector<storage::ReconciliationCase>> found = store.ListCases(*query);
  if (!found.ok()) return found.status();
  if (found->size() > size) {
    found->resize(size);
    call.response().set_next_page_token(MakeToken(found->back().id, call.request()));
  }
  for (const storage::ReconciliationCase& one : *found) FillWire(one, *call.response().add_cases());
  return absl::OkStatus();
}

absl::Status CloseCase(ReconciliationStore& store, CloseCaseCall& call) {
  const reconciliation_pb::CloseCaseRequest& request = call.request();
  if (absl::Status wrong = CheckClose(request); !wrong.ok()) return wrong;
  const domain::Deed deed{access::ActorOf(*call.caller(), request.operator_()),
                          "case.close",
                          "case",
                          absl::StrCat(request.case_id()),
                          {{"reason", request.reason()}}};
  return Answer(store.CloseCase(request.case_id(), request.reason(), deed), call.response());
}

absl::Status PaymentsSummary(storage::PaymentSummaryStore& store, const payments::Router* router,
                             PaymentsSummaryCall& call) {
  absl::StatusOr<storage::SummaryQuery> query = TakeQuery(call.request());
  if (!query.ok()) return query.status();
  absl::StatusOr<std::vector<storage::PaymentTotals>> totals = store.Summarize(*query);
  if (!totals.ok()) return totals.status();
  if (totals->empty() && !query->gateway.empty()) return CheckKnown(query->gateway, router, store);
  for (const storage::PaymentTotals& each : *totals) FillWire(each, *call.response().add_totals());
  return absl::OkStatus();
}

constexpr std::string_view kService = "waybill.reconciliation.v1.ReconciliationService/";

template <typename Store, typename Request, typename Response>
void Serve(rpc::Server& server, const std::string& method, Store& store, Executor& workers,
           absl::Status (*serve)(Store&, rpc::UnaryCall<Request, Response>&)) {
  rpc::UnaryOnWorker<Request, Response>(server, fmt::format("{}{}", kService, method), domain::Scope::kOps, workers,
                                        [&store, serve](auto& call) { return serve(store, call); });
}

}  // namespace

void AddReconciliationService(rpc::Server& server, ReconciliationStore& store, storage::PaymentSummaryStore& sums,
                              const payments::Router* router, bool unnamed, Executor& comparing, Executor& workers,
                              Executor& summing) {
  rpc::UnaryOnWorker<reconciliation_pb::BeginSettlementRequest, reconciliation_pb::Settlement>(
      server, fmt::format("{}BeginSettlement", kService), domain::Scope::kOps, workers,
      [&store, &sums, router, unnamed](auto& call) { return BeginSettlement(store, sums, router, unnamed, call); });
  Serve(server, "AddLines", store, workers, AddLines);
  Serve(server, "Reconcile", store, comparing, Reconcile);
  Serve(server, "ListSettlements", store, workers, ListSettlements);
  Serve(server, "GetReport", store, workers, GetReport);
  Serve(server, "ListCases", store, workers, ListCases);
  Serve(server, "CloseCase", store, workers, CloseCase);
  rpc::UnaryOnWorker<reconciliation_pb::PaymentsSummaryRequest, reconciliation_pb::PaymentsSummaryResponse>(
      server, fmt::format("{}PaymentsSummary", kService), domain::Scope::kOps, summing,
      [&sums, router](auto& call) { return PaymentsSummary(sums, router, call); });
}

}  // namespace waybill::order

// From requests about reconciliation to what the store takes, and back. BAD_REQUEST names what is wrong.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/payment_summary.h"
#include "storage/reconciliation.h"
#include "waybill/reconciliation/v1/reconciliation.pb.h"

namespace waybill::order {

absl::StatusOr<storage::NewSettlement> TakeSettlement(const reconciliation::v1::BeginSettlementRequest& request);
absl::StatusOr<std::vector<storage::SettlementLine>> TakeLines(const reconciliation::v1::AddLinesRequest& request);

struct SettlementPage {
  std::string gateway;
  int64_t before = 0;  // only ids below
  int size = 0;
};
absl::StatusOr<SettlementPage> TakePage(const reconciliation::v1::ListSettlementsRequest& request);
std::string MakeToken(int64_t last,
                      const reconciliation::v1::ListSettlementsRequest& request);  // of the page behind it

absl::StatusOr<storage::CaseQuery> TakeQuery(const reconciliation::v1::ListCasesRequest& request);
std::string MakeToken(int64_t last, const reconciliation::v1::ListCasesRequest& request);

absl::StatusOr<storage::SummaryQuery> TakeQuery(const reconciliation::v1::PaymentsSummaryRequest& request);

absl::Status CheckClose(const reconciliation::v1::CloseCaseRequest& request);

void FillWire(const storage::Settlement& settlement, reconciliation::v1::Settlement& out);
void FillWire(const storage::SettlementTotals& totals, reconciliation::v1::Report::Totals& out);
void FillWire(const storage::ReconciliationCase& one, reconciliation::v1::Case& out);
void FillWire(const storage::PaymentTotals& totals, reconciliation::v1::PaymentTotals& out);

}  // namespace waybill::order

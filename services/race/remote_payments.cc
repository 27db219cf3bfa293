#include "services/race/remote_payments.h"

#include <utility>

#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "waybill/payments/v1/payments.pb.h"
#include "waybill/reconciliation/v1/reconciliation.pb.h"

namespace waybill::race {
namespace {

namespace payments_v1 = waybill::payments::v1;
namespace reconciliation_v1 = waybill::reconciliation::v1;

}  // namespace

RemotePayments::RemotePayments(rpc::Client& client, std::string currency, const std::string& key)
    : client_(client), currency_(std::move(currency)) {
  if (!key.empty()) metadata_ = {{"authorization", fmt::format("Bearer {}", key)}};
}

rpc::CallOptions RemotePayments::Options(SteadyTime deadline) const {
  rpc::CallOptions options;
  options.deadline = deadline;
  options.metadata = metadata_;
  return options;
}

void RemotePayments::Take(const Uuid& id, int64_t amount_minor, SteadyTime deadline,
                          absl::AnyInvocable<void(absl::Status)> done) {
  payments_v1::TakePaymentRequest request;
  request.set_payment_id(id.ToString());
  request.mutable_amount()->set_minor_units(amount_minor);
  request.mutable_amount()->set_currency(currency_);
  client_.Call<payments_v1::Payment>(
      "waybill.payments.v1.PaymentService/TakePayment", request, Options(deadline),
      [done = std::move(done)](const absl::Status& status, payments_v1::Payment&) mutable { done(status); });
}

void RemotePayments::Summarize(absl::Time from, absl::Time to, SteadyTime deadline,
                               absl::AnyInvocable<void(absl::StatusOr<std::vector<Total>>)> done) {
  reconciliation_v1::PaymentsSummaryRequest request;
  if (from != absl::InfinitePast()) rpc::SetTime(from, *request.mutable_from());
  if (to != absl::InfiniteFuture()) rpc::SetTime(to, *request.mutable_to());
  client_.Call<reconciliation_v1::PaymentsSummaryResponse>(
      "waybill.reconciliation.v1.ReconciliationService/PaymentsSummary", request, Options(deadline),
      [done = std::move(done)](const absl::Status& status,
                               reconciliation_v1::PaymentsSummaryResponse& response) mutable {
        if (!status.ok()) return done(status);
        std::vector<Total> totals;
        for (const reconciliation_v1::PaymentTotals& one : response.totals()) {
          totals.push_back({one.gateway(), one.currency(), one.count(), one.amount_minor()});
        }
        done(std::move(totals));
      });
}

}  // namespace waybill::race

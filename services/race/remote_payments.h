// Payments as waybill-order has them, by gRPC.
#pragma once

#include <string>
#include <vector>

#include "edge/rpc/client.h"
#include "services/race/payments.h"

namespace waybill::race {

class RemotePayments final : public Payments {
 public:
  // Outlives it. `key`: of the caller; empty: none is shown.
  RemotePayments(rpc::Client& client, std::string currency, const std::string& key);

  void Take(const Uuid& id, int64_t amount_minor, SteadyTime deadline,
            absl::AnyInvocable<void(absl::Status)> done) override;
  void Summarize(absl::Time from, absl::Time to, SteadyTime deadline,
                 absl::AnyInvocable<void(absl::StatusOr<std::vector<Total>>)> done) override;

 private:
  rpc::CallOptions Options(SteadyTime deadline) const;

  rpc::Client& client_;
  const std::string currency_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace waybill::race

// What a cached balance is measured by: GetBalance of waybill.ledger.v1 on the same server, chain and workers as
// waybill-ledger's, which answers with a bare GET of what that one has cached, and knows nothing of what it read.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace waybill::bench {

struct BareBalancesOptions {
  std::string listen = "127.0.0.1:0";
  std::string redis_url;
  int workers = 4;  // as many as waybill-ledger's --workers
};

class BareBalances {
 public:
  // INVALID_ARGUMENT: the URL; UNAVAILABLE: it cannot listen.
  static absl::StatusOr<std::unique_ptr<BareBalances>> Start(const BareBalancesOptions& options);
  ~BareBalances();
  BareBalances(const BareBalances&) = delete;
  BareBalances& operator=(const BareBalances&) = delete;

  int port() const;

 private:
  class Service;
  explicit BareBalances(std::unique_ptr<Service> service);

  std::unique_ptr<Service> service_;
};

}  // namespace waybill::bench

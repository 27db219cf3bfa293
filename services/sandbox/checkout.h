// The pages where payers pay what redirect gateways have answered pending: /checkout/GATEWAY/TOKEN, a plain form with
// two buttons. A POST decides, durably, before it is answered; what was decided or has expired before stays so.
#pragma once

#include <map>
#include <string>

#include "edge/http/server.h"
#include "runtime/clock.h"
#include "services/sandbox/sandbox.h"

namespace waybill::sandbox {

inline constexpr char kCheckoutPath[] = "/checkout/";

class Checkout {
 public:
  explicit Checkout(const Clock& clock) : clock_(clock) {}

  // Before Serve. `gateway` outlives the server. `return_url`: where the payer goes afterwards; empty: nowhere.
  void Add(const std::string& name, Sandbox& gateway, const std::string& return_url) {
    gateways_[name] = {&gateway, return_url};
  }
  // This outlives the server.
  void Serve(http::Server& server);

 private:
  struct Gateway {
    Sandbox* sandbox = nullptr;
    std::string return_url;
  };

  void Take(http::ExchangePtr exchange) const;

  const Clock& clock_;
  std::map<std::string, Gateway> gateways_;
};

}  // namespace waybill::sandbox

// Links against waybill::saga alone.
#include "refuel.h"

#include <cstdio>

class FreeFuel final : public Bank {
 public:
  void Pay(const std::string&, waybill::saga::OutcomeCallback done) override {
    done(waybill::saga::Outcome::Succeeded());
  }
  void Refund(const std::string&, waybill::saga::OutcomeCallback done) override {
    done(waybill::saga::Outcome::Succeeded());
  }
};

int main() {
  FreeFuel bank;
  const auto saga = RefuelSaga(bank);
  std::printf("%s:", saga.kind.c_str());
  for (const auto& step : saga.steps) std::printf(" %s", step.name.c_str());
  std::printf("\n");
  return saga.steps.size() == 2 ? 0 : 1;
}

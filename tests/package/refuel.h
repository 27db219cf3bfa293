// The consumer's own saga: reserve a pump, pay, or give the pump back.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "saga/definition.h"

struct Refuel {
  static constexpr std::string_view kKind = "refuel";

  bool pump_reserved = false;
  bool paid = false;
  struct Effects {};
  Effects effects;
};

class Bank {
 public:
  virtual ~Bank() = default;
  virtual void Pay(const std::string& key, waybill::saga::OutcomeCallback done) = 0;
  virtual void Refund(const std::string& key, waybill::saga::OutcomeCallback done) = 0;
};

inline waybill::saga::Definition RefuelSaga(Bank& bank) {
  using waybill::saga::Attempt;
  using waybill::saga::Outcome;
  using waybill::saga::OutcomeCallback;
  auto reserve = [](bool reserved) {
    return [reserved](const Attempt&, Refuel& refuel, OutcomeCallback done) {
      refuel.pump_reserved = reserved;
      done(Outcome::Succeeded());
    };
  };
  auto pay = [&bank](const Attempt& attempt, Refuel& refuel, OutcomeCallback done) {
    bank.Pay(attempt.Key(), [&refuel, done = std::move(done)](Outcome outcome) mutable {
      refuel.paid = outcome.kind == Outcome::Kind::kSucceeded;
      done(std::move(outcome));
    });
  };
  auto refund = [&bank](const Attempt& attempt, Refuel&, OutcomeCallback done) {
    bank.Refund(attempt.Key(), std::move(done));
  };
  return waybill::saga::Define<Refuel>()
      .Step("reserve_pump")
      .Does({reserve(true), true})
      .UndoneBy({reserve(false), true})
      .Step("pay")
      .Does({pay})
      .UndoneBy({refund})
      .Done();
}

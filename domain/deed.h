// What somebody did to a thing that others depend on, too, as the audit keeps it (ADR 0041).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace waybill::domain {

// Who does it, as the gate let them in.
struct Actor {
  std::string client;
  std::string key_id = {};         // what was shown; empty: the client was taken at its word
  std::string operator_name = {};  // who the client says sits there; empty: it says nothing

  friend bool operator==(const Actor&, const Actor&) = default;
};

struct Deed {
  Actor by;
  std::string action;  // "saga.resolve"
  // saga, order, payment, payout, key, driver, gateway, webhook, event, dead_letter, settlement, case, setting or
  // process
  std::string subject_kind;
  std::string subject;                                           // its id
  std::vector<std::pair<std::string, std::string>> detail = {};  // no secrets

  friend bool operator==(const Deed&, const Deed&) = default;
};

// Null: nothing that is audited.
using DeedPtr = std::shared_ptr<const Deed>;

}  // namespace waybill::domain

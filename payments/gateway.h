// Payment gateways as an operator describes them, and which orders go where.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace waybill::payments {

inline constexpr int kWeightMax = 1'000;

// What is asked of a gateway.
struct Payment {
  std::string_view client;
  std::string_view currency;  // ISO 4217
  int64_t amount_minor = 0;   // in the currency's minor unit
};

// Which payments something is about.
struct Scope {
  std::vector<std::string> currencies;  // empty: all
  int64_t amount_min = 1;               // minor units, both included
  int64_t amount_max = std::numeric_limits<int64_t>::max();

  bool Holds(const Payment& payment) const;
  friend bool operator==(const Scope&, const Scope&) = default;
};

struct Gateway {
  std::string name;            // IsGatewayName
  std::string address;         // grpc://HOST:PORT or grpcs://HOST:PORT; a processor's: http:// or https://
  int weight = 100;            // 1 to kWeightMax: its share beside others that are as good
  int64_t cost_ppm = 0;        // what it takes of an amount, in parts per million
  bool fallback = false;       // only where no other gateway will do
  bool capture_later = false;  // it holds the money first, and takes it when the order has its driver
  Scope takes;

  // It speaks the processors' contract (payments/processor/contract.h), which names no currency: it takes one alone.
  bool IsProcessor() const { return address.starts_with("http"); }
  friend bool operator==(const Gateway&, const Gateway&) = default;
};

// Payments of this client and scope go to these gateways alone.
struct Rule {
  std::string client;  // empty: of every client
  Scope scope;
  std::vector<std::string> gateways;

  friend bool operator==(const Rule&, const Rule&) = default;
};

// The first rule that holds decides; where none does, all gateways may.
struct Routes {
  std::vector<Gateway> gateways;
  std::vector<Rule> rules;

  friend bool operator==(const Routes&, const Routes&) = default;
};

}  // namespace waybill::payments

// The ledger as most begin it: a transaction for each transfer, which locks the rows of both accounts, looks whether
// there is enough, and writes. What ours is measured by. It answers LedgerService's CreateAccounts and CreateTransfers,
// the latter for single transfers alone.
//
// Fair to the design: rows are locked in the order of their ids, so that it never deadlocks; its statements are
// prepared, and go in two round trips instead of six; its connections are as many as serve it best.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace waybill::bench {

struct PlainLedgerOptions {
  std::string listen = "127.0.0.1:0";
  std::string database_url;  // an empty database
  int connections = 16;      // to Postgres, each with a thread
};

class PlainLedger {
 public:
  // Makes its tables. STORE_UNAVAILABLE; UNAVAILABLE: it cannot listen.
  static absl::StatusOr<std::unique_ptr<PlainLedger>> Start(const PlainLedgerOptions& options);
  ~PlainLedger();
  PlainLedger(const PlainLedger&) = delete;
  PlainLedger& operator=(const PlainLedger&) = delete;

  int port() const;

 private:
  class Service;
  explicit PlainLedger(std::unique_ptr<Service> service);

  std::unique_ptr<Service> service_;
};

}  // namespace waybill::bench

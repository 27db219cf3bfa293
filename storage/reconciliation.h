// Settlement files of gateways, compared with our books line by line (ADR 0045).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "runtime/ids.h"

namespace waybill::storage {

// What a gateway may take of a charge.
struct Tariff {
  int32_t ppm = 0;    // of the amount, in millionths
  int64_t fixed = 0;  // minor units besides
};

struct NewSettlement {
  std::string gateway;           // 1-40 of a-z, 0-9, _ and -
  std::string name;              // of the file; one that is reconciled later takes the place of the one before
  absl::Time from, to;           // what it covers: by then the gateway booked
  std::optional<Tariff> tariff;  // none: fees are not checked
};

enum class SettlementState { kLoading, kReconciled, kReplaced };

struct Settlement : NewSettlement {
  int64_t id = 0;
  SettlementState state = SettlementState::kLoading;
  absl::Time created_at;
  std::optional<absl::Time> reconciled_at;
  int64_t lines = 0;   // as of its reconciliation, as are the next two
  int64_t opened = 0;  // cases that it opened
  int64_t proven = 0;  // open cases of which it showed that the difference is gone
};

enum class LineKind { kCharge, kRefund, kFee, kChargeback };
// "charge", "refund", "fee", "chargeback": persisted.
std::string_view Name(LineKind kind);

struct SettlementLine {
  int32_t number = 0;  // from 1; the same line again changes nothing
  LineKind kind = LineKind::kCharge;
  std::optional<Uuid> order_id;   // none: by gateway_reference, if a charge of ours has it
  std::string gateway_reference;  // the gateway's own
  int64_t amount_minor = 0;       // 0 or more
  int64_t fee_minor = 0;          // of this line; 0 or more
  std::string currency;
  absl::Time booked_at;
  std::string payout;  // the gateway's own; may be empty
};

enum class Difference {
  kMissingHere,   // the gateway has it, our books have not
  kMissingThere,  // our books have it, and no line of the gateway's
  kTwice,         // charged more than once
  kAmount,
  kCurrency,
  kFee,         // another than the tariff says
  kChargeback,  // the payer has the money back
};
inline constexpr Difference kDifferences[] = {Difference::kMissingHere, Difference::kMissingThere, Difference::kTwice,
                                              Difference::kAmount,      Difference::kCurrency,     Difference::kFee,
                                              Difference::kChargeback};
std::string_view Name(Difference difference);  // "missing_here", …: persisted

struct ReconciliationCase {
  int64_t id = 0;
  std::string gateway;
  Difference difference = Difference::kMissingHere;
  LineKind about = LineKind::kCharge;
  std::optional<Uuid> order_id;
  std::string reference;        // the gateway's, where no order is known
  std::optional<int64_t> ours;  // minor units; none: our books have nothing
  std::optional<int64_t> theirs;
  std::string currency;
  int64_t settlement_id = 0;  // that opened it
  absl::Time opened_at;
  std::optional<absl::Time> closed_at;
  std::string closed_by;  // empty while open, and when a later settlement proved it
  std::string reason;
};

// Filters are conjunctive; an empty one does not filter. Oldest first.
struct CaseQuery {
  std::string gateway;
  bool closed_too = false;
  std::optional<Uuid> order_id;
  std::optional<int64_t> settlement_id;  // that opened them
  int64_t after = 0;                     // page: only ids above
  int limit = 50;
};

// Of one currency.
struct SettlementTotals {
  struct Sum {
    int64_t count = 0;
    int64_t minor = 0;
  };
  std::string currency;
  Sum charges, refunds, fees, chargebacks;  // the file's; fees are those of lines and fee lines together
  Sum our_charges, our_refunds;             // our books', by when we booked them, for the time that the file covers
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer.
class ReconciliationStore {
 public:
  virtual ~ReconciliationStore() = default;

  virtual absl::StatusOr<Settlement> Begin(const NewSettlement& settlement) = 0;
  // At most some thousands at once. SETTLEMENT_NOT_FOUND, SETTLEMENT_NOT_LOADING.
  virtual absl::Status AddLines(int64_t settlement_id, const std::vector<SettlementLine>& lines) = 0;
  // Compares all that the settlement touches, opens and closes cases, in one transaction; again: answers what it
  // answered. Those of one gateway wait for each other. SETTLEMENT_NOT_FOUND; SETTLEMENT_NOT_LOADING: another has taken
  // its place; SETTLEMENT_INCOMPLETE: it has not so many lines.
  virtual absl::StatusOr<Settlement> Reconcile(int64_t settlement_id, int64_t lines, const domain::Deed& deed) = 0;
  // Newest first, below `before`; "" of all gateways.
  virtual absl::StatusOr<std::vector<Settlement>> List(const std::string& gateway, int64_t before, int limit) = 0;
  // SETTLEMENT_NOT_FOUND.
  virtual absl::StatusOr<Settlement> Get(int64_t settlement_id) = 0;
  virtual absl::StatusOr<std::vector<SettlementTotals>> Totals(int64_t settlement_id) = 0;

  virtual absl::StatusOr<std::vector<ReconciliationCase>> ListCases(const CaseQuery& query) = 0;
  // For good, whatever later settlements say of the same amounts. By the deed's client; harmless when closed so
  // already. CASE_NOT_FOUND, CASE_CLOSED.
  virtual absl::StatusOr<ReconciliationCase> CloseCase(int64_t case_id, const std::string& reason,
                                                       const domain::Deed& deed) = 0;
  struct Open {
    std::string gateway;
    Difference difference;
    int64_t cases;
  };
  virtual absl::StatusOr<std::vector<Open>> CountOpen() = 0;
};

}  // namespace waybill::storage

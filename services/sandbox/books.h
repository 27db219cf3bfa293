// What the gateways and the dispatcher of the sandbox know: one state machine a key. Every change is a Record, applied
// the same way when it happens and when the log is read back.
//
// A charge that stands also has its parts: each given back, or refused, once.
//
//   payment:    (none) --charge--> charged --refund--> refunded        assignment: the same with assign, release
//               (none) --decline-> declined
//               (none) --pending-> pending --charge, decline or close--> as above
//               (none) --close---> closed
//               (none) --authorize, or pending and then that--> authorized --capture--> charged
//                                                               authorized --void----> closed
//
// A capture that comes too late is refused, and the key stays authorized until it is voided.
//
//   payout:     (none) --pay, refuse_payout, or pending_payout and then one of them--> paid, or refused
//
// A charge that was answered pending has a time at which it is decided by itself: approved, as by a payer who takes
// that long, or (it lapses) declined, as nobody has paid.
//
// Not thread-safe, and without clock, randomness or I/O.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/sandbox/record.h"

namespace waybill::sandbox {

struct Charge {
  std::string key;
  std::string order_id;
  int64_t amount_minor = 0;
  std::string currency;
  bool hold = false;  // authorize it only
};

// How a charge under a new key is answered.
struct Verdict {
  enum class Kind { kApprove, kDecline, kPending };
  Kind kind = Kind::kApprove;
  absl::Time until;                                  // kPending: decided by itself then, if nobody decided before
  std::optional<absl::Time> expires = std::nullopt;  // kPending: until when it can be paid, if that is said
  bool lapses = false;                               // kPending: declined at `until`, and not approved
  absl::Duration held_for = absl::Hours(7 * 24);     // what is authorized, since it is
};

struct ChargeAnswer {
  enum class Kind { kDeclined, kApproved, kPending };
  Kind kind = Kind::kDeclined;
  std::string reference;              // when approved
  std::string reason;                 // when declined: CARD_DECLINED, KEY_CLOSED
  std::string token;                  // when pending
  absl::Time until;                   // when pending
  std::optional<absl::Time> expires;  // when pending, if it was said; when authorized
};

struct CaptureAnswer {
  std::string reference;  // once it is captured
  std::string reason;     // when refused: EXPIRED, KEY_CLOSED, NOT_AUTHORIZED
};

struct PartToRefund {
  std::string key;  // of the charge
  std::string order_id;
  std::string refund_id;
  int64_t amount_minor = 0;
  std::string currency;
};

struct RefundPartAnswer {
  std::string reference;  // once it is given back
  std::string reason;     // when refused: BEYOND_CHARGE, KEY_CLOSED
};

struct RefundAnswer {
  int64_t refunded_minor = 0;  // in all, parts included; 0: never charged
  std::string reference;
  std::string charge_reference;
};

struct Payment {
  enum class State { kCharged, kDeclined, kRefunded, kClosed, kPending, kAuthorized };
  State state = State::kCharged;
  std::string order_id;
  int64_t amount_minor = 0;
  std::string currency;
  std::string authorization;           // reference of that
  std::string reference;               // of the charge
  std::string refund_reference;        // once refunded
  std::string reason;                  // when declined
  std::string token;                   // once it was pending
  absl::Time until;                    // once it was pending
  std::optional<absl::Time> expires;   // the same, if it was said
  bool lapses = false;                 // the same
  std::optional<absl::Duration> hold;  // its key authorizes: for so long once it is approved
  int64_t held_minor = 0;              // authorized, neither captured nor voided
  absl::Time held_until;               // once it is authorized
  std::string capture_refusal;         // the first answer
  int64_t capture_asked_minor = 0;     // of the first capture
  absl::Time time;                     // of the last change
  absl::Time charged_at;               // once it was charged
  absl::Time refunded_at;              // once it was refunded, of what was left by then
  int64_t rest_minor = 0;              // the same: what was left
  std::optional<absl::Time> charged_back_at;
  std::string charged_back_reference;
  int64_t charged_back_minor = 0;
  struct Part {
    int64_t amount_minor = 0;
    std::string reference;  // empty: refused
    std::string reason;
    absl::Time time;
  };
  std::unordered_map<std::string, Part> parts;  // by refund_id
  int charges = 0;  // executed; the log is counted as it stands, so that a broken promise would show
  int refunds = 0;
  int64_t charged_minor = 0;   // summed over charges
  int64_t refunded_minor = 0;  // summed over refunds, and parts
};

// Money for a payee. Its state machine has two ends, paid and refused, and may be pending before.
struct PayoutOrder {
  std::string key;
  std::string payout_id;
  std::string destination;
  int64_t amount_minor = 0;
  std::string currency;
};

struct Payout {
  enum class State { kPaid, kRefused, kPending };
  State state = State::kPaid;
  std::string payout_id;
  std::string destination;
  int64_t amount_minor = 0;
  std::string currency;
  std::string reference;  // once it is paid
  std::string reason;     // once it is refused
  std::string token;      // once it was pending
  absl::Time until;       // the same
  absl::Time time;        // of the last change
  int pays = 0;           // executed; counted as the log stands
  int64_t paid_minor = 0;
};

struct AssignAnswer {
  std::string driver_id;  // empty: none, see reason
  std::string reason;     // NO_DRIVER_AVAILABLE, KEY_CLOSED
};

struct Assignment {
  enum class State { kAssigned, kRefused, kReleased, kClosed };
  State state = State::kAssigned;
  std::string order_id;
  std::string driver_id;
};

class Books {
 public:
  // A fleet of `drivers`, each good for one order at a time.
  explicit Books(int drivers);

  // Each answers, and puts what changed into `effect` (none for a repetition). Errors change nothing:
  // INVALID_ARGUMENT for bad fields, FAILED_PRECONDITION (KEY_REUSED) for a known key with other content.
  // `fresh`, `decline`: answer a new key so.
  absl::StatusOr<ChargeAnswer> Charge(const sandbox::Charge& charge, const Verdict& fresh, absl::Time now,
                                      std::optional<Record>& effect);
  // All of what is held, or a part, once. A capture that cannot be made is refused, for good.
  absl::StatusOr<CaptureAnswer> Capture(const sandbox::Charge& capture, absl::Time now, std::optional<Record>& effect);
  // Also voids what is held.
  absl::StatusOr<RefundAnswer> Refund(const std::string& key, const std::string& order_id, absl::Time now,
                                      std::optional<Record>& effect);
  // A part that cannot be given back is refused, for good.
  absl::StatusOr<RefundPartAnswer> RefundPart(const PartToRefund& part, absl::Time now, std::optional<Record>& effect);
  // Decides a charge that is pending. Decided so before: nothing changes. NOT_FOUND for a key that was never charged;
  // FAILED_PRECONDITION (PAYMENT_DECIDED) when it was decided otherwise, or refunded. `reason`: of a decline.
  absl::Status Decide(const std::string& key, bool approve, absl::Time now, std::optional<Record>& effect,
                      const std::string& reason = "CARD_DECLINED");
  // What becomes of a charge by itself; of one that is not pending, or not for so long, nothing.
  void DecideInTime(const std::string& key, absl::Time now, std::optional<Record>& effect);
  // The payer has it back through its bank; again: nothing changes. NOT_FOUND for a key that was never charged;
  // FAILED_PRECONDITION (NOTHING_CHARGED) when none of its money is there.
  absl::Status ChargeBack(const std::string& key, absl::Time now, std::optional<Record>& effect);
  // The payout as it stands. A pending one is paid by itself at `fresh.until`.
  absl::StatusOr<Payout> Pay(const PayoutOrder& order, const Verdict& fresh, absl::Time now,
                             std::optional<Record>& effect);
  // As Decide, of a payout. `reason`: of a refusal.
  absl::Status DecidePayout(const std::string& key, bool pay, absl::Time now, std::optional<Record>& effect,
                            const std::string& reason = "REFUSED_BY_BANK");
  void DecidePayoutInTime(const std::string& key, absl::Time now, std::optional<Record>& effect);
  absl::StatusOr<AssignAnswer> Assign(const std::string& key, const std::string& order_id, bool decline, absl::Time now,
                                      std::optional<Record>& effect);
  // The driver that is free again; empty when none was held.
  absl::StatusOr<std::string> Release(const std::string& key, const std::string& order_id, absl::Time now,
                                      std::optional<Record>& effect);

  // Forgets all payments.
  void Purge(absl::Time now, std::optional<Record>& effect);

  // Null: unknown key. Valid until the next change.
  const Payment* FindPayment(const std::string& key) const;
  const Payout* FindPayout(const std::string& key) const;
  // The key of the charge or payout that was answered pending with `token`; nullopt: none was.
  std::optional<std::string> FindKey(const std::string& token) const;

  const std::unordered_map<std::string, Payment>& payments() const { return payments_; }
  const std::unordered_map<std::string, Assignment>& assignments() const { return assignments_; }
  const std::unordered_map<std::string, Payout>& payouts() const { return payouts_; }
  size_t free_drivers() const { return free_.size(); }

  // Reading the log back: the same records, in the same order.
  void Apply(const Record& record);

 private:
  void ApplyPayment(const Record& record);
  void ApplyAssignment(const Record& record);
  void ApplyPayout(const Record& record);
  void ApplyNew(std::optional<Record>& effect, Record record);

  std::unordered_map<std::string, Payment> payments_;    // by key
  std::unordered_map<std::string, std::string> tokens_;  // key by token
  std::unordered_map<std::string, Assignment> assignments_;
  std::unordered_map<std::string, Payout> payouts_;  // by key
  std::deque<std::string> free_;                     // drivers, longest idle first
  int64_t references_ = 0;                           // given out so far
};

}  // namespace waybill::sandbox

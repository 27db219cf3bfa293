// One line of the books: a side effect, or an answer that has to be repeated. The format is read by tests and people:
//   {"effect":"charge","key":"0190…/charge_payment","order_id":"0190…","amount_minor":1299,"currency":"EUR",
//    "reference":"ch_1","time":"2026-01-02T03:04:05.678901Z"}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace waybill::sandbox {

enum class Effect {
  kCharge,         // "charge": money taken
  kDecline,        // "decline": refused for good, with reason
  kAuthorize,      // "authorize": money held, until `until` when it has one
  kCapture,        // "capture": money taken of what is held; the rest is let go
  kRefuseCapture,  // "refuse_capture": that refused for good, with reason
  kVoid,           // "void": what is held and not captured is let go; a capture will be refused
  kPending,        // "pending": to be decided later, by a charge or authorize, a decline or a close; with token, until
  kRefund,         // "refund": money given back
  kRefundPart,     // "refund_part": a part of it given back, under refund_id
  kRefusePart,     // "refuse_part": that refused for good, with reason
  kChargeBack,     // "charge_back": the payer has the money back through its bank
  kClose,          // "close": refunded before it was charged; a charge will be declined
  kAssign,         // "assign": a driver is held
  kNoDriver,       // "no_driver": refused for good
  kRelease,        // "release": the driver is free again
  kCloseAssignment,  // "close_assignment": released before it was assigned
  kPurge,            // "purge": all payments so far are forgotten
  kPay,              // "pay": money sent to a payee
  kRefusePayout,     // "refuse_payout": that refused for good, with reason
  kPendingPayout,    // "pending_payout": to be decided later, by one of these; with token, until
};

struct Record {
  Effect effect = Effect::kCharge;
  std::string key;
  std::string order_id;      // of a payout: its id
  int64_t amount_minor = 0;  // charge, decline, pending, refund, charge_back; authorize, capture, void; payouts
  std::string currency;      // the same
  std::string refund_id;     // refund_part, refuse_part; they have amount_minor and currency, too
  std::string reference;     // charge, authorize, capture, refund, refund_part, pay: the gateway's own
  std::string driver_id;     // assign, release
  std::string destination;   // of payouts
  std::string reason;        // decline, refuse_part, refuse_capture, refuse_payout
  std::string token;         // pending, pending_payout
  std::optional<absl::Duration> hold;  // pending: when it is approved it is held so long, and not charged
  std::optional<absl::Time> until;     // pending, pending_payout; authorize: when it expires; to the microsecond
  std::optional<absl::Time> expires;   // pending, if it was said; the same
  bool lapses = false;                 // pending: declined at `until`, when nobody decided before; else approved
  absl::Time time;                     // to the microsecond
};

std::string ToLine(const Record& record);  // with the newline
// nullopt: not a whole, well-formed line (without its newline).
std::optional<Record> ParseLine(std::string_view line);

}  // namespace waybill::sandbox

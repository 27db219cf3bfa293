#include "services/sandbox/books.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/status.h"

namespace waybill::sandbox {
namespace {

constexpr size_t kTextBytesMax = 512;

absl::Status CheckText(const char* field, const std::string& text) {
  if (text.empty()) return domain::BadField(field, "is empty");
  if (text.size() > kTextBytesMax)
    return domain::BadField(field, fmt::format("is longer than {} bytes", kTextBytesMax));
  return absl::OkStatus();
}

absl::Status CheckKey(const std::string& key, const std::string& order_id) {
  if (auto status = CheckText("idempotency_key", key); !status.ok()) return status;
  return CheckText("order_id", order_id);
}

absl::Status KeyReused(const std::string& key, std::string_view field) {
  ErrorDetail detail;
  detail.reason = "KEY_REUSED";
  detail.metadata = {{"key", key}, {"field", std::string(field)}};
  return MakeError(absl::StatusCode::kFailedPrecondition, fmt::format("the key was used with another {}", field),
                   detail);
}

}  // namespace

Books::Books(int drivers) {
  for (int i = 1; i <= drivers; ++i) free_.push_back(fmt::format("sandbox-driver-{:04}", i));
}

absl::StatusOr<ChargeAnswer> Books::Charge(const sandbox::Charge& charge, const Verdict& fresh, absl::Time now,
                                           std::optional<Record>& effect) {
  if (auto status = CheckKey(charge.key, charge.order_id); !status.ok()) return status;
  if (charge.amount_minor <= 0) return domain::BadField("amount_minor", "is not positive");
  if (charge.currency.size() != 3) return domain::BadField("currency", "is not an ISO 4217 code");
  auto it = payments_.find(charge.key);
  if (it == payments_.end()) {
    Record record;
    record.key = charge.key;
    record.order_id = charge.order_id;
    record.amount_minor = charge.amount_minor;
    record.currency = charge.currency;
    switch (fresh.kind) {
      case Verdict::Kind::kApprove:
        record.effect = charge.hold ? Effect::kAuthorize : Effect::kCharge;
        record.reference = fmt::format("{}_{}", charge.hold ? "au" : "ch", references_ + 1);
        if (charge.hold) record.until = absl::FromUnixMicros(absl::ToUnixMicros(now + fresh.held_for));
        break;
      case Verdict::Kind::kDecline:
        record.effect = Effect::kDecline;
        record.reason = "CARD_DECLINED";
        break;
      case Verdict::Kind::kPending:
        record.effect = Effect::kPending;
        record.token = fmt::format("pi_{}", references_ + 1);
        record.until = absl::FromUnixMicros(absl::ToUnixMicros(fresh.until));  // as it is read back
        if (fresh.expires) record.expires = absl::FromUnixMicros(absl::ToUnixMicros(*fresh.expires));
        record.lapses = fresh.lapses;
        if (charge.hold) record.hold = fresh.held_for;
        break;
    }
    record.time = now;
    ApplyNew(effect, std::move(record));
    it = payments_.find(charge.key);
  }
  const Payment& payment = it->second;
  DecideInTime(charge.key, now, effect);
  ChargeAnswer answer;
  if (payment.order_id != charge.order_id) return KeyReused(charge.key, "order_id");
  if (payment.state == Payment::State::kClosed) {
    answer.reason = "KEY_CLOSED";
    return answer;
  }
  if (payment.amount_minor != charge.amount_minor) return KeyReused(charge.key, "amount_minor");
  if (payment.currency != charge.currency) return KeyReused(charge.key, "currency");
  if (payment.state != Payment::State::kDeclined && payment.hold.has_value() != charge.hold) {
    return KeyReused(charge.key, "method");
  }
  switch (payment.state) {
    case Payment::State::kDeclined:
      answer.reason = payment.reason;
      break;
    case Payment::State::kPending:
      answer.kind = ChargeAnswer::Kind::kPending;
      answer.token = payment.token;
      answer.until = payment.until;
      answer.expires = payment.expires;
      break;
    default:
      answer.kind = ChargeAnswer::Kind::kApproved;
      answer.reference = payment.hold ? payment.authorization : payment.reference;
      if (payment.hold) answer.expires = payment.held_until;
      break;
  }
  return answer;
}

void Books::DecideInTime(const std::string& key, absl::Time now, std::optional<Record>& effect) {
  const Payment* payment = FindPayment(key);
  if (payment == nullptr || payment->state != Payment::State::kPending || payment->until > now) return;
  Decide(key, /*approve=*/!payment->lapses, now, effect, "EXPIRED").IgnoreError();  // it is pending
}

absl::Status Books::Decide(const std::string& key, bool approve, absl::Time now, std::optional<Record>& effect,
                           const std::string& reason) {
  auto it = payments_.find(key);
  if (it == payments_.end()) return absl::NotFoundError("no charge has that key");
  const Payment& payment = it->second;
  const Payment::State approved = payment.hold ? Payment::State::kAuthorized : Payment::State::kCharged;
  if (payment.state == (approve ? approved : Payment::State::kDeclined)) return absl::OkStatus();
  if (payment.state != Payment::State::kPending) {
    ErrorDetail detail;
    detail.reason = "PAYMENT_DECIDED";
    return MakeError(absl::StatusCode::kFailedPrecondition, "it was decided otherwise before, or refunded", detail);
  }
  Record record;
  record.effect = !approve ? Effect::kDecline : payment.hold ? Effect::kAuthorize : Effect::kCharge;
  record.key = key;
  record.order_id = payment.order_id;
  record.amount_minor = payment.amount_minor;
  record.currency = payment.currency;
  if (approve) {
    record.reference = fmt::format("{}_{}", payment.hold ? "au" : "ch", references_ + 1);
    if (payment.hold) record.until = absl::FromUnixMicros(absl::ToUnixMicros(now + *payment.hold));
  } else {
    record.reason = reason;
  }
  record.time = now;
  ApplyNew(effect, std::move(record));
  return absl::OkStatus();
}

absl::Status Books::ChargeBack(const std::string& key, absl::Time now, std::optional<Record>& effect) {
  auto it = payments_.find(key);
  if (it == payments_.end()) return absl::NotFoundError("no charge has that key");
  const Payment& payment = it->second;
  if (payment.charged_back_at) return absl::OkStatus();
  if (payment.charged_minor <= payment.refunded_minor) {
    ErrorDetail detail;
    detail.reason = "NOTHING_CHARGED";
    return MakeError(absl::StatusCode::kFailedPrecondition, "none of its money is there", detail);
  }
  Record record;
  record.effect = Effect::kChargeBack;
  record.key = key;
  record.order_id = payment.order_id;
  record.amount_minor = payment.charged_minor - payment.refunded_minor;
  record.currency = payment.currency;
  record.reference = fmt::format("cb_{}", references_ + 1);
  record.time = now;
  ApplyNew(effect, std::move(record));
  return absl::OkStatus();
}

absl::StatusOr<CaptureAnswer> Books::Capture(const sandbox::Charge& capture, absl::Time now,
                                             std::optional<Record>& effect) {
  if (auto status = CheckKey(capture.key, capture.order_id); !status.ok()) return status;
  if (capture.amount_minor <= 0) return domain::BadField("amount_minor", "is not positive");
  CaptureAnswer answer;
  auto it = payments_.find(capture.key);
  if (it == payments_.end()) {  // nothing that could come to be held under the key
    if (auto refund = Refund(capture.key, capture.order_id, now, effect); !refund.ok()) return refund.status();
    it = payments_.find(capture.key);
  }
  const Payment& payment = it->second;
  if (payment.order_id != capture.order_id) return KeyReused(capture.key, "order_id");
  if (payment.state == Payment::State::kClosed && payment.capture_asked_minor == 0) {
    answer.reason = "KEY_CLOSED";
    return answer;
  }
  if (payment.capture_asked_minor == 0) {
    const bool held = payment.state == Payment::State::kAuthorized;
    if (held && payment.currency != capture.currency) return KeyReused(capture.key, "currency");
    if (held && capture.amount_minor > payment.held_minor) {
      return domain::BadField("amount_minor", "is above what was authorized");
    }
    const bool expired = held && payment.held_until <= now;
    Record record;
    record.effect = held && !expired ? Effect::kCapture : Effect::kRefuseCapture;
    record.key = capture.key;
    record.order_id = capture.order_id;
    record.amount_minor = capture.amount_minor;
    record.currency = capture.currency;
    if (record.effect == Effect::kCapture) {
      record.reference = fmt::format("ch_{}", references_ + 1);
    } else {
      record.reason = expired ? "EXPIRED" : "NOT_AUTHORIZED";
    }
    record.time = now;
    ApplyNew(effect, std::move(record));
  }
  if (payment.capture_asked_minor != capture.amount_minor) return KeyReused(capture.key, "amount_minor");
  answer.reason = payment.capture_refusal;
  if (answer.reason.empty()) answer.reference = payment.reference;
  return answer;
}

absl::StatusOr<RefundAnswer> Books::Refund(const std::string& key, const std::string& order_id, absl::Time now,
                                           std::optional<Record>& effect) {
  if (auto status = CheckKey(key, order_id); !status.ok()) return status;
  auto it = payments_.find(key);
  if (it != payments_.end() && it->second.order_id != order_id) return KeyReused(key, "order_id");
  const bool charged = it != payments_.end() && it->second.state == Payment::State::kCharged;
  const bool pending = it != payments_.end() && it->second.state == Payment::State::kPending;
  const bool held = it != payments_.end() && it->second.state == Payment::State::kAuthorized;
  if (it == payments_.end() || charged || pending || held) {
    Record record;
    record.key = key;
    record.order_id = order_id;
    record.time = now;
    if (held) {
      record.effect = Effect::kVoid;
      record.amount_minor = it->second.held_minor;
      record.currency = it->second.currency;
    } else if (!charged) {
      record.effect = Effect::kClose;
    } else {
      record.effect = Effect::kRefund;
      record.amount_minor = it->second.charged_minor - it->second.refunded_minor;  // what its parts have left
      record.currency = it->second.currency;
      record.reference = fmt::format("re_{}", references_ + 1);
    }
    ApplyNew(effect, std::move(record));
    it = payments_.find(key);
  }
  const Payment& payment = it->second;
  RefundAnswer answer;
  if (payment.state == Payment::State::kRefunded) {
    answer.refunded_minor = payment.charged_minor;
    answer.reference = payment.refund_reference;
    answer.charge_reference = payment.reference;
  }
  return answer;
}

absl::StatusOr<RefundPartAnswer> Books::RefundPart(const PartToRefund& part, absl::Time now,
                                                   std::optional<Record>& effect) {
  if (auto status = CheckKey(part.key, part.order_id); !status.ok()) return status;
  if (auto status = CheckText("refund_id", part.refund_id); !status.ok()) return status;
  if (part.amount_minor <= 0) return domain::BadField("amount_minor", "is not positive");
  auto it = payments_.find(part.key);
  RefundPartAnswer answer;
  if (it == payments_.end()) {  // nothing of it to remember, and nothing that could come to be under this refund_id
    if (auto refund = Refund(part.key, part.order_id, now, effect); !refund.ok()) return refund.status();
    answer.reason = "KEY_CLOSED";
    return answer;
  }
  if (it->second.order_id != part.order_id) return KeyReused(part.key, "order_id");
  if (auto known = it->second.parts.find(part.refund_id); known == it->second.parts.end()) {
    const Payment& payment = it->second;
    const bool charged = payment.state == Payment::State::kCharged;
    if (charged && payment.currency != part.currency) return KeyReused(part.key, "currency");
    const bool within = part.amount_minor <= payment.charged_minor - payment.refunded_minor;
    Record record;
    record.effect = charged && within ? Effect::kRefundPart : Effect::kRefusePart;
    record.key = part.key;
    record.order_id = part.order_id;
    record.refund_id = part.refund_id;
    record.amount_minor = part.amount_minor;
    record.currency = part.currency;
    if (record.effect == Effect::kRefundPart) {
      record.reference = fmt::format("rp_{}", references_ + 1);
    } else {
      record.reason = charged ? "BEYOND_CHARGE" : "KEY_CLOSED";
    }
    record.time = now;
    ApplyNew(effect, std::move(record));
  }
  const Payment::Part& kept = payments_.find(part.key)->second.parts.at(part.refund_id);
  if (kept.amount_minor != part.amount_minor) return KeyReused(part.key, "amount_minor");
  answer.reference = kept.reference;
  answer.reason = kept.reason;
  return answer;
}

absl::StatusOr<Payout> Books::Pay(const PayoutOrder& order, const Verdict& fresh, absl::Time now,
                                  std::optional<Record>& effect) {
  if (auto status = CheckText("idempotency_key", order.key); !status.ok()) return status;
  if (auto status = CheckText("payout_id", order.payout_id); !status.ok()) return status;
  if (auto status = CheckText("destination", order.destination); !status.ok()) return status;
  if (order.amount_minor <= 0) return domain::BadField("amount_minor", "is not positive");
  if (order.currency.size() != 3) return domain::BadField("currency", "is not an ISO 4217 code");
  auto it = payouts_.find(order.key);
  if (it == payouts_.end()) {
    Record record;
    record.key = order.key;
    record.order_id = order.payout_id;
    record.destination = order.destination;
    record.amount_minor = order.amount_minor;
    record.currency = order.currency;
    record.time = now;
    switch (fresh.kind) {
      case Verdict::Kind::kApprove:
        record.effect = Effect::kPay;
        record.reference = fmt::format("po_{}", references_ + 1);
        break;
      case Verdict::Kind::kDecline:
        record.effect = Effect::kRefusePayout;
        record.reason = "ACCOUNT_CLOSED";
        break;
      case Verdict::Kind::kPending:
        record.effect = Effect::kPendingPayout;
        record.token = fmt::format("pp_{}", references_ + 1);
        record.until = absl::FromUnixMicros(absl::ToUnixMicros(fresh.until));  // as it is read back
        break;
    }
    ApplyNew(effect, std::move(record));
    it = payouts_.find(order.key);
  }
  DecidePayoutInTime(order.key, now, effect);
  const Payout& payout = it->second;
  if (payout.payout_id != order.payout_id) return KeyReused(order.key, "payout_id");
  if (payout.destination != order.destination) return KeyReused(order.key, "destination");
  if (payout.amount_minor != order.amount_minor) return KeyReused(order.key, "amount_minor");
  if (payout.currency != order.currency) return KeyReused(order.key, "currency");
  return payout;
}

absl::Status Books::DecidePayout(const std::string& key, bool pay, absl::Time now, std::optional<Record>& effect,
                                 const std::string& reason) {
  const Payout* payout = FindPayout(key);
  if (payout == nullptr) return absl::NotFoundError("no payout has that key");
  if (payout->state == (pay ? Payout::State::kPaid : Payout::State::kRefused)) return absl::OkStatus();
  if (payout->state != Payout::State::kPending) {
    ErrorDetail detail;
    detail.reason = "PAYMENT_DECIDED";
    return MakeError(absl::StatusCode::kFailedPrecondition, "it was decided otherwise before", detail);
  }
  Record record;
  record.effect = pay ? Effect::kPay : Effect::kRefusePayout;
  record.key = key;
  record.order_id = payout->payout_id;
  record.destination = payout->destination;
  record.amount_minor = payout->amount_minor;
  record.currency = payout->currency;
  if (pay) {
    record.reference = fmt::format("po_{}", references_ + 1);
  } else {
    record.reason = reason;
  }
  record.time = now;
  ApplyNew(effect, std::move(record));
  return absl::OkStatus();
}

void Books::DecidePayoutInTime(const std::string& key, absl::Time now, std::optional<Record>& effect) {
  const Payout* payout = FindPayout(key);
  if (payout == nullptr || payout->state != Payout::State::kPending || payout->until > now) return;
  DecidePayout(key, /*pay=*/true, now, effect).IgnoreError();  // it is pending
}

absl::StatusOr<AssignAnswer> Books::Assign(const std::string& key, const std::string& order_id, bool decline,
                                           absl::Time now, std::optional<Record>& effect) {
  if (auto status = CheckKey(key, order_id); !status.ok()) return status;
  auto it = assignments_.find(key);
  if (it == assignments_.end()) {
    Record record;
    bool none = decline || free_.empty();
    record.effect = none ? Effect::kNoDriver : Effect::kAssign;
    record.key = key;
    record.order_id = order_id;
    if (!none) record.driver_id = free_.front();
    record.time = now;
    ApplyNew(effect, std::move(record));
    it = assignments_.find(key);
  }
  const Assignment& assignment = it->second;
  if (assignment.order_id != order_id) return KeyReused(key, "order_id");
  AssignAnswer answer;
  answer.driver_id = assignment.driver_id;
  if (assignment.state == Assignment::State::kRefused) answer.reason = "NO_DRIVER_AVAILABLE";
  if (assignment.state == Assignment::State::kClosed) answer.reason = "KEY_CLOSED";
  return answer;
}

absl::StatusOr<std::string> Books::Release(const std::string& key, const std::string& order_id, absl::Time now,
                                           std::optional<Record>& effect) {
  if (auto status = CheckKey(key, order_id); !status.ok()) return status;
  auto it = assignments_.find(key);
  if (it != assignments_.end() && it->second.order_id != order_id) return KeyReused(key, "order_id");
  if (it == assignments_.end() || it->second.state == Assignment::State::kAssigned) {
    Record record;
    record.effect = it == assignments_.end() ? Effect::kCloseAssignment : Effect::kRelease;
    record.key = key;
    record.order_id = order_id;
    if (it != assignments_.end()) record.driver_id = it->second.driver_id;
    record.time = now;
    ApplyNew(effect, std::move(record));
    it = assignments_.find(key);
  }
  return it->second.driver_id;
}

void Books::Purge(absl::Time now, std::optional<Record>& effect) {
  Record record;
  record.effect = Effect::kPurge;
  record.time = now;
  ApplyNew(effect, std::move(record));
}

const Payment* Books::FindPayment(const std::string& key) const {
  auto it = payments_.find(key);
  return it == payments_.end() ? nullptr : &it->second;
}

const Payout* Books::FindPayout(const std::string& key) const {
  auto it = payouts_.find(key);
  return it == payouts_.end() ? nullptr : &it->second;
}

std::optional<std::string> Books::FindKey(const std::string& token) const {
  auto it = tokens_.find(token);
  if (it == tokens_.end()) return std::nullopt;
  return it->second;
}

void Books::ApplyNew(std::optional<Record>& effect, Record record) {
  Apply(record);
  effect = std::move(record);
}

void Books::Apply(const Record& record) {
  switch (record.effect) {
    case Effect::kCharge:
    case Effect::kAuthorize:
    case Effect::kCapture:
    case Effect::kRefuseCapture:
    case Effect::kVoid:
    case Effect::kDecline:
    case Effect::kPending:
    case Effect::kRefund:
    case Effect::kRefundPart:
    case Effect::kRefusePart:
    case Effect::kChargeBack:
    case Effect::kClose:
      ApplyPayment(record);
      return;
    case Effect::kAssign:
    case Effect::kNoDriver:
    case Effect::kRelease:
    case Effect::kCloseAssignment:
      ApplyAssignment(record);
      return;
    case Effect::kPurge:
      payments_.clear();
      tokens_.clear();
      return;
    case Effect::kPay:
    case Effect::kRefusePayout:
    case Effect::kPendingPayout:
      ApplyPayout(record);
      return;
  }
}

void Books::ApplyPayment(const Record& record) {
  Payment& payment = payments_[record.key];
  payment.order_id = record.order_id;
  payment.time = record.time;
  if (!record.reference.empty() || !record.token.empty()) ++references_;
  switch (record.effect) {
    case Effect::kCharge:
      payment.state = Payment::State::kCharged;
      payment.amount_minor = record.amount_minor;
      payment.currency = record.currency;
      payment.reference = record.reference;
      payment.charged_at = record.time;
      ++payment.charges;
      payment.charged_minor += record.amount_minor;
      return;
    case Effect::kAuthorize:
      payment.state = Payment::State::kAuthorized;
      payment.amount_minor = record.amount_minor;
      payment.currency = record.currency;
      payment.authorization = record.reference;
      payment.held_minor = record.amount_minor;
      payment.held_until = record.until.value_or(absl::InfiniteFuture());
      payment.hold = payment.held_until - record.time;
      return;
    case Effect::kCapture:
      payment.state = Payment::State::kCharged;
      payment.capture_asked_minor = record.amount_minor;
      payment.reference = record.reference;
      payment.charged_at = record.time;
      payment.held_minor = 0;
      ++payment.charges;
      payment.charged_minor += record.amount_minor;
      return;
    case Effect::kRefuseCapture:
      payment.capture_asked_minor = record.amount_minor;
      payment.capture_refusal = record.reason;
      return;
    case Effect::kDecline:
      payment.state = Payment::State::kDeclined;
      payment.amount_minor = record.amount_minor;
      payment.currency = record.currency;
      payment.reason = record.reason;
      return;
    case Effect::kPending:
      payment.state = Payment::State::kPending;
      payment.amount_minor = record.amount_minor;
      payment.currency = record.currency;
      payment.token = record.token;
      payment.until = record.until.value_or(absl::InfiniteFuture());
      payment.expires = record.expires;
      payment.lapses = record.lapses;
      payment.hold = record.hold;
      tokens_[record.token] = record.key;
      return;
    case Effect::kRefund:
      payment.state = Payment::State::kRefunded;
      payment.refund_reference = record.reference;
      payment.refunded_at = record.time;
      payment.rest_minor = record.amount_minor;
      ++payment.refunds;
      payment.refunded_minor += record.amount_minor;
      return;
    case Effect::kRefundPart:
    case Effect::kRefusePart:
      payment.parts[record.refund_id] = {record.amount_minor, record.reference, record.reason, record.time};
      if (record.effect == Effect::kRefundPart) payment.refunded_minor += record.amount_minor;
      return;
    case Effect::kChargeBack:
      payment.charged_back_at = record.time;
      payment.charged_back_reference = record.reference;
      payment.charged_back_minor = record.amount_minor;
      return;
    default:  // closed, or voided
      payment.state = Payment::State::kClosed;
      payment.held_minor = 0;
      return;
  }
}

void Books::ApplyPayout(const Record& record) {
  Payout& payout = payouts_[record.key];
  payout.payout_id = record.order_id;
  payout.destination = record.destination;
  payout.amount_minor = record.amount_minor;
  payout.currency = record.currency;
  payout.time = record.time;
  if (!record.reference.empty() || !record.token.empty()) ++references_;
  switch (record.effect) {
    case Effect::kPay:
      payout.state = Payout::State::kPaid;
      payout.reference = record.reference;
      ++payout.pays;
      payout.paid_minor += record.amount_minor;
      return;
    case Effect::kPendingPayout:
      payout.state = Payout::State::kPending;
      payout.token = record.token;
      payout.until = record.until.value_or(absl::InfiniteFuture());
      tokens_[record.token] = record.key;
      return;
    default:
      payout.state = Payout::State::kRefused;
      payout.reason = record.reason;
      return;
  }
}

void Books::ApplyAssignment(const Record& record) {
  Assignment& assignment = assignments_[record.key];
  assignment.order_id = record.order_id;
  switch (record.effect) {
    case Effect::kAssign: {
      assignment.state = Assignment::State::kAssigned;
      assignment.driver_id = record.driver_id;
      // The front one, except when reading back a log that was written with another fleet size.
      auto driver = std::find(free_.begin(), free_.end(), record.driver_id);
      if (driver != free_.end()) free_.erase(driver);
      return;
    }
    case Effect::kNoDriver:
      assignment.state = Assignment::State::kRefused;
      return;
    case Effect::kRelease:
      assignment.state = Assignment::State::kReleased;
      free_.push_back(record.driver_id);
      return;
    default:
      assignment.state = Assignment::State::kClosed;
      return;
  }
}

}  // namespace waybill::sandbox

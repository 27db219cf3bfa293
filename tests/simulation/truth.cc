#include "tests/simulation/truth.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "saga/state.h"
#include "services/order/place_order.h"

namespace waybill::simulation {

using domain::PaymentAttempt;
using saga::State;
using storage::OrderRecord;

Truth::Truth(storage::testing::MemoryOrderBook& book) : book_(book) {
  book_.on_write = [this](const auto& row) { OnWrite(row); };
}

void Truth::Wrong(std::string what) {
  if (wrong_.empty()) wrong_ = std::move(what);
}

Truth::Version Truth::VersionOf(const OrderRecord& record) {
  const auto& driver = record.payload.driver;
  return {record.seq, record.state, driver ? fmt::format("{}/{}", driver->driver_id, driver->slot) : std::string(),
          record.payload.charge.has_value(), record.payload.refund.has_value()};
}

void Truth::OnWrite(const saga::testing::MemoryBook::Row& row) {
  const saga::Record& header = *row.record;
  if (static_cast<int64_t>(row.log.size()) != header.seq) {
    Wrong(fmt::format("{} has {} entries, and is at {}", header.id.ToString(), row.log.size(), header.seq));
  }
  if (saga::IsUnfinished(header.state)) {
    unfinished_.insert(header.id);
  } else {
    unfinished_.erase(header.id);
  }
  if (header.kind != domain::Order::kKind) return;
  const OrderRecord& record = saga::As<domain::Order>(header);
  std::vector<Version>& versions = versions_[record.id];
  Version version = VersionOf(record);
  if (!versions.empty() && version.state < versions.back().state) {
    Wrong(fmt::format("{} went back from {} to {}", record.id.ToString(), Name(versions.back().state),
                      Name(version.state)));
  }
  versions.push_back(std::move(version));
  TakeDriver(record);
}

void Truth::TakeDriver(const OrderRecord& record) {
  std::string& holds = holds_[record.id];
  const std::string driver = record.payload.driver ? record.payload.driver->driver_id : std::string();
  if (driver == holds) return;
  if (!holds.empty()) --held_[holds];
  holds = driver;
  if (driver.empty()) return;
  auto capacity = book_.capacities.find(driver);
  const int allowed = capacity == book_.capacities.end() ? 1 : capacity->second;
  if (++held_[driver] > allowed) Wrong(fmt::format("{} holds {} orders of {}", driver, held_[driver], allowed));
}

void Truth::CheckAnswer(const OrderRecord& told, std::string_view to_what) {
  const std::vector<Version>& versions = versions_[told.id];
  if (std::find(versions.begin(), versions.end(), VersionOf(told)) != versions.end()) return;
  const Version version = VersionOf(told);
  Wrong(fmt::format("{} was answered that {} is {} at {} with driver '{}', which it never was", to_what,
                    told.id.ToString(), Name(told.state), version.seq, version.driver));
}

void Truth::CheckTransition(const Uuid& id, const order::Transition& told) {
  if (told.accepted) return;
  const auto row = book_.rows.find(id);
  const auto at = static_cast<size_t>(told.entry.seq - 1);
  if (row == book_.rows.end() || at >= row->second.log.size()) {
    return Wrong(fmt::format("a watch of {} was sent entry {}, which is not there", id.ToString(), told.entry.seq));
  }
  const saga::LogEntry& entry = row->second.log[at];
  if (entry.step == told.entry.step && entry.outcome == told.entry.outcome && entry.state == told.entry.state) return;
  Wrong(fmt::format("a watch of {} was sent another entry {} than there is", id.ToString(), told.entry.seq));
}

std::optional<int64_t> Truth::EndOf(const Uuid& id) const {
  const auto row = book_.rows.find(id);
  if (row == book_.rows.end() || !saga::IsTerminal(row->second.record->state)) return std::nullopt;
  return static_cast<int64_t>(row->second.log.size());
}

void Truth::CheckEffect(const std::string& gateway, const sandbox::Record& effect) {
  std::map<std::string, Money>& all = money_[effect.order_id];
  Money& here = all[gateway];
  if (effect.effect == sandbox::Effect::kCharge) {
    ++here.charges;
    here.charged_minor += effect.amount_minor;
  } else if (effect.effect == sandbox::Effect::kRefund || effect.effect == sandbox::Effect::kRefundPart) {
    ++(effect.effect == sandbox::Effect::kRefund ? here.refunds : here.parts);
    here.refunded_minor += effect.amount_minor;
  }
  if (IsForgotten(effect.order_id)) return;
  const auto holding = std::count_if(all.begin(), all.end(), [](const auto& one) { return one.second.holds(); });
  if (here.charges > 1 || holding > 1) Wrong(fmt::format("{} was {} at once", effect.order_id, Describe(all)));
  if (here.refunded_minor > here.charged_minor) {
    Wrong(fmt::format("of the {} that {} was charged {} have gone back", here.charged_minor, effect.order_id,
                      here.refunded_minor));
  }
}

Truth::Money Truth::MoneyOf(const sandbox::Payment& payment) {
  const auto parts = std::count_if(payment.parts.begin(), payment.parts.end(),
                                   [](const auto& part) { return !part.second.reference.empty(); });
  return {payment.charges, payment.refunds, static_cast<int>(parts), payment.charged_minor, payment.refunded_minor};
}

void Truth::Forgot(const std::string& gateway, const std::set<std::string>& orders, const sandbox::Books& books) {
  forgotten_.insert(orders.begin(), orders.end());
  for (auto& [order_id, money] : money_) money.erase(gateway);
  for (const auto& [key, payment] : books.payments()) money_[payment.order_id][gateway] = MoneyOf(payment);
}

std::string Truth::Describe(const std::map<std::string, Money>& money) {
  std::string text;
  for (const auto& [gateway, moved] : money) {
    if (moved.charges + moved.refunds == 0) continue;
    if (!text.empty()) text += ", ";
    text += fmt::format("charged {} and refunded {} times", moved.charges, moved.refunds);
    if (moved.parts > 0) text += fmt::format(" and in {} parts", moved.parts);
    if (!gateway.empty()) text += " at " + gateway;
  }
  return text.empty() ? "never charged" : text;
}

void Truth::CheckRefund(const domain::PartialRefund& told) {
  const auto row = book_.rows.find(told.saga_id);
  if (row == book_.rows.end()) return Wrong(fmt::format("refund {} was answered, and is in no book", told.refund_id));
  if (told.state == domain::PartialRefund::State::kOpen) return;
  const auto [known, fresh] = told_refunds_.emplace(told.saga_id, told.state);
  if (!fresh && known->second != told.state) {
    Wrong(fmt::format("refund {} was {}, and then {}", told.refund_id, domain::Name(known->second),
                      domain::Name(told.state)));
  }
}

void Truth::CheckEnd(const GatewayBooks& gateways, const sandbox::Books* dispatcher, absl::Time now) {
  const std::map<Uuid, Deeds> deeds = DeedsIn(gateways, dispatcher);
  for (const auto& [id, row] : book_.rows) {
    // The payer has time left: a plan may be shrunk to no more than that.
    if (row.waiting && row.record->wakes_at > now) continue;
    if (saga::IsUnfinished(row.record->state)) {
      Wrong(fmt::format("{} is still {}, and waits for '{}'", id.ToString(), Name(row.record->state),
                        row.record->waits_for));
      continue;
    }
    if (row.record->kind != domain::Order::kKind) continue;
    const OrderRecord& record = saga::As<domain::Order>(*row.record);
    // Ended by hand: what of it is not as it should be is a person's affair.
    const bool resolved =
        IsForgotten(id.ToString()) || std::any_of(row.log.begin(), row.log.end(), [](const saga::LogEntry& entry) {
          return entry.outcome == saga::LogOutcome::kResolved;
        });
    const auto done = deeds.find(id);
    CheckMoney(record, done == deeds.end() ? Deeds() : done->second, resolved);
    if (!resolved) CheckAttempts(record, gateways);
    if (dispatcher != nullptr) CheckAssignment(record, done == deeds.end() ? Deeds() : done->second, resolved);
    const bool holds = record.payload.driver.has_value();
    if (holds != (record.state == State::kSucceeded)) {
      Wrong(fmt::format("{} is {}, and {} a driver", id.ToString(), Name(record.state), holds ? "holds" : "has not"));
    }
  }
  CheckKeys(gateways, dispatcher);
  CheckRefunds(gateways);
  for (const auto& [id, promise] : promises_) {
    const State state = book_.rows.at(id).record->state;
    const bool for_good = state == State::kClosed || state == State::kResolved;
    const bool back = state == State::kCompensated || state == State::kResolved;
    const bool kept = promise == Promise::kCancelled || promise == Promise::kNotConfirmed ? back : for_good;
    if (kept) continue;
    constexpr std::string_view kTold[] = {"that it is cancelled", "that it is completed",
                                          "that it cannot be cancelled any more",
                                          "that it has failed and cannot be completed"};
    Wrong(fmt::format("somebody was told of {} {}, and it ended {}", id.ToString(), kTold[static_cast<int>(promise)],
                      Name(state)));
  }
}

// Over all of their entries: each key is charged once at most, but an order may have been charged under two.
std::map<Uuid, Truth::Deeds> Truth::DeedsIn(const GatewayBooks& gateways, const sandbox::Books* dispatcher) {
  std::map<Uuid, Deeds> deeds;
  for (const auto& [gateway, books] : gateways) {
    for (const auto& [key, payment] : books->payments()) {
      const std::optional<Uuid> id = Uuid::Parse(payment.order_id);
      if (!id) continue;
      Money& money = deeds[*id].money[gateway];
      const Money more = MoneyOf(payment);
      money = {money.charges + more.charges, money.refunds + more.refunds, money.parts + more.parts,
               money.charged_minor + more.charged_minor, money.refunded_minor + more.refunded_minor};
    }
  }
  if (dispatcher == nullptr) return deeds;
  for (const auto& [key, assignment] : dispatcher->assignments()) {
    const std::optional<Uuid> id = Uuid::Parse(assignment.order_id);
    if (!id || assignment.state != sandbox::Assignment::State::kAssigned) continue;
    ++deeds[*id].assignments;
    deeds[*id].driver_id = assignment.driver_id;
  }
  return deeds;
}

// Whatever the participants have is explained by an order that is in the books.
void Truth::CheckKeys(const GatewayBooks& gateways, const sandbox::Books* dispatcher) {
  for (const auto& [gateway, books] : gateways) {
    for (const auto& [key, payment] : books->payments()) CheckPaymentKey(gateway, key, payment.order_id);
  }
  if (dispatcher == nullptr) return;
  for (const auto& [key, assignment] : dispatcher->assignments()) {
    const std::optional<Uuid> id = Uuid::Parse(assignment.order_id);
    if (!id || !book_.rows.contains(*id)) {
      Wrong(fmt::format("key {} is of an order that is in no book: {}", key, assignment.order_id));
    } else if (key != order::AssignmentKey(*id)) {
      Wrong(fmt::format("key {} is not one of order {}", key, assignment.order_id));
    }
  }
}

// An attempt is durable before its gateway is asked.
void Truth::CheckPaymentKey(const std::string& gateway, const std::string& key, const std::string& order_id) {
  const std::optional<Uuid> id = Uuid::Parse(order_id);
  const auto row = id ? book_.rows.find(*id) : book_.rows.end();
  if (row == book_.rows.end()) {
    return Wrong(fmt::format("key {} is of an order that is in no book: {}", key, order_id));
  }
  const std::vector<PaymentAttempt>& attempts = saga::As<domain::Order>(*row->second.record).payload.attempts;
  bool known = gateway.empty() && attempts.empty() && key == domain::PaymentKey(order_id, 1);
  for (size_t number = 1; number <= attempts.size(); ++number) {
    known |= attempts[number - 1].gateway == gateway && key == domain::PaymentKey(order_id, number);
  }
  if (!known) Wrong(fmt::format("key {} is not one of order {} at '{}'", key, order_id, gateway));
}

void Truth::CheckMoney(const OrderRecord& record, const Deeds& deeds, bool resolved) {
  const std::string id = record.id.ToString();
  const std::string moved = Describe(deeds.money);
  if (IsForgotten(id)) return;
  int held = 0;
  for (const auto& [gateway, money] : deeds.money) {
    if (money.charges > 1 || money.refunds > money.charges) Wrong(fmt::format("{} was {}", id, moved));
    held += money.charges - money.refunds;
  }
  if (resolved) return;
  const bool keeps = record.state == State::kSucceeded || record.state == State::kClosed;
  const bool all_back =
      std::none_of(deeds.money.begin(), deeds.money.end(), [](const auto& one) { return one.second.holds(); });
  if (held != (keeps ? 1 : 0) || (!keeps && !all_back)) {
    Wrong(fmt::format("{} is {}, and was {}", id, Name(record.state), moved));
  }
  // What another gateway took before is in its attempt alone.
  const std::vector<PaymentAttempt>& attempts = record.payload.attempts;
  const auto here = deeds.money.find(attempts.empty() ? "" : attempts.back().gateway);
  const Money last = here == deeds.money.end() ? Money() : here->second;
  const bool unheard = !attempts.empty() && !record.payload.charge && last.refunds == 1 &&
                       attempts.back().state == PaymentAttempt::State::kRefunded;
  if (unheard) return;
  if (record.payload.charge.has_value() != (last.charges > 0) ||
      record.payload.refund.has_value() != (last.refunds > 0)) {
    Wrong(fmt::format("the books say of the money of {} otherwise than the gateway: it was {}", id, moved));
  }
  const std::optional<domain::Refund>& refund = record.payload.refund;
  if (refund && (refund->amount_minor != last.refunded_minor || last.holds())) {
    Wrong(fmt::format("{} of the money of {} went back by our books, and {} by the gateway's", refund->amount_minor, id,
                      last.refunded_minor));
  }
}

// Each part is what its gateway says, and no gateway has given back one that is in no book.
void Truth::CheckRefunds(const GatewayBooks& gateways) {
  std::map<std::string, size_t> parts;  // that are done, by the charge's key
  for (const auto& [id, row] : book_.rows) {
    if (row.record->kind != domain::PartialRefund::kKind) continue;
    const domain::PartialRefund& refund = saga::As<domain::PartialRefund>(*row.record).payload;
    if (IsForgotten(refund.order_id.ToString())) continue;
    const std::string name = fmt::format("refund {} of {}", refund.refund_id, refund.order_id.ToString());
    if (refund.state == domain::PartialRefund::State::kOpen) Wrong(fmt::format("{} is left open", name));
    if (const auto told = told_refunds_.find(id); told != told_refunds_.end() && told->second != refund.state) {
      Wrong(fmt::format("somebody was told that {} is {}, and it is {}", name, domain::Name(told->second),
                        domain::Name(refund.state)));
    }
    const auto books = gateways.find(refund.gateway);
    const sandbox::Payment* payment = books == gateways.end() ? nullptr : books->second->FindPayment(refund.charge_key);
    const auto part = payment == nullptr ? decltype(payment->parts.begin()){} : payment->parts.find(refund.refund_id);
    const bool there = payment != nullptr && part != payment->parts.end() && !part->second.reference.empty();
    const bool done = refund.state == domain::PartialRefund::State::kDone;
    if (done != there || (there && part->second.amount_minor != refund.amount_minor)) {
      Wrong(fmt::format("{} is {}, and the gateway has {}given it back", name, domain::Name(refund.state),
                        there ? "" : "not "));
    }
    if (done) ++parts[refund.charge_key];
  }
  for (const auto& [gateway, books] : gateways) {
    for (const auto& [key, payment] : books->payments()) {
      if (IsForgotten(payment.order_id)) continue;
      const auto given = static_cast<size_t>(std::count_if(
          payment.parts.begin(), payment.parts.end(), [](const auto& part) { return !part.second.reference.empty(); }));
      if (given != parts[key])
        Wrong(fmt::format("of {} {} parts went back, and our books have {}", key, given, parts[key]));
    }
  }
}

// Our word on each attempt is its gateway's, none is left open, and the money is at the last one alone.
void Truth::CheckAttempts(const OrderRecord& record, const GatewayBooks& gateways) {
  const std::vector<PaymentAttempt>& attempts = record.payload.attempts;
  for (size_t number = 1; number <= attempts.size(); ++number) {
    const PaymentAttempt& attempt = attempts[number - 1];
    const auto at = gateways.find(attempt.gateway);
    if (at == gateways.end()) {
      Wrong(fmt::format("{} was tried at '{}', which there is not", record.id.ToString(), attempt.gateway));
      continue;
    }
    CheckAttempt(record, number, at->second->FindPayment(domain::PaymentKey(record.id.ToString(), number)));
  }
}

void Truth::CheckAttempt(const OrderRecord& record, size_t number, const sandbox::Payment* payment) {
  const std::vector<PaymentAttempt>& attempts = record.payload.attempts;
  const PaymentAttempt& attempt = attempts[number - 1];
  const std::string name = fmt::format("attempt {} of {} at {}", number, record.id.ToString(), attempt.gateway);
  const bool last = number == attempts.size();
  const bool keeps = record.state == State::kSucceeded || record.state == State::kClosed;
  if (last && keeps ? attempt.state != PaymentAttempt::State::kApproved : !domain::IsOver(attempt.state)) {
    return Wrong(
        fmt::format("{} is left {}, and the order is {}", name, domain::Name(attempt.state), Name(record.state)));
  }
  const int charges = payment == nullptr ? 0 : payment->charges, refunds = payment == nullptr ? 0 : payment->refunds;
  bool right = false;
  switch (attempt.state) {
    case PaymentAttempt::State::kApproved:
      right = charges == 1 && refunds == 0;  // parts of it may have gone back
      break;
    case PaymentAttempt::State::kRefunded:
      right = charges == 1 && refunds == 1;
      break;
    case PaymentAttempt::State::kNotSent:
      right = payment == nullptr;
      break;
    default:
      right = charges == 0 && (payment == nullptr || payment->state == sandbox::Payment::State::kDeclined ||
                               payment->state == sandbox::Payment::State::kClosed);
      break;
  }
  if (right) return;
  Wrong(fmt::format("{} is {}, and the gateway charged {} and refunded {} times", name, domain::Name(attempt.state),
                    charges, refunds));
}

void Truth::CheckAssignment(const OrderRecord& record, const Deeds& deeds, bool resolved) {
  const std::string id = record.id.ToString();
  if (deeds.assignments > 1) Wrong(fmt::format("the dispatcher has {} drivers for {}", deeds.assignments, id));
  if (resolved) return;
  const bool assigned = deeds.assignments > 0;
  if (assigned != (record.state == State::kSucceeded)) {
    Wrong(fmt::format("{} is {}, and the dispatcher {} a driver for it", id, Name(record.state),
                      assigned ? "has" : "has not"));
  } else if (assigned && deeds.driver_id != record.payload.driver->driver_id) {
    Wrong(fmt::format("{} has another driver than the dispatcher gave it", id));
  }
}

}  // namespace waybill::simulation

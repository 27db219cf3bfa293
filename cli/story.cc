#include "cli/story.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "cli/money.h"
#include "cli/table.h"
#include "cli/values.h"
#include "fmt/format.h"

namespace waybill::cli {
namespace {

using Align = Column::Align;
using Overflow = Column::Overflow;

constexpr int kIndent = 2;

// "who" of a line: its step with the attempt, where that says something.
std::string Who(const LogLine& line) {
  if (line.step.empty()) return "-";
  return line.attempt > 1 ? fmt::format("{} (attempt {})", line.step, line.attempt) : line.step;
}

std::string Since(std::optional<absl::Time> previous, absl::Time time) {
  return previous ? "+" + ShowDuration(std::max(time - *previous, absl::ZeroDuration())) : "";
}

std::string Ago(absl::Time time, absl::Time now) {
  if (time > now) return "in " + ShowDuration(time - now);
  return ShowDuration(now - time) + " ago";
}

std::string Reason(const std::string& reason, const std::string& detail) {
  return detail.empty() ? reason : fmt::format("{}: {}", reason, detail);
}

// Names of facts in one column, facts in the other.
class Facts {
 public:
  void Add(std::string name, std::string text, Style style = Style::kPlain) {
    table_.Add({Cell(std::move(name), Style::kFaint), Cell(std::move(text), style)});
  }
  std::string Render(const Terminal& terminal) const { return table_.Render(terminal); }

 private:
  Table table_{{{"", Align::kLeft, Overflow::kKeep}, {"", Align::kLeft, Overflow::kWrap}}, kIndent};
};

std::string Title(std::string_view what, const std::string& id, const std::string& state, const Terminal& terminal) {
  return fmt::format("{} {}  {}\n", what, Paint(Printable(id), Style::kBold, terminal),
                     Paint(Printable(state), StyleOf(state), terminal));
}

// For a command that people copy into a shell. A participant chose the word, so it may be anything that is visible.
std::string ShellWord(const std::string& word) {
  auto is_plain = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("_-./:@%+,").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return word;
  return fmt::format("'{}'", absl::StrReplaceAll(word, {{"'", "'\\''"}}));
}

std::string Attention(bool needs_attention) { return needs_attention ? "yes" : ""; }

// When the first of its waits is over.
std::string Wakes(const SagaView& saga, absl::Time now) {
  if (saga.waits.empty()) return "";
  const auto first = std::min_element(saga.waits.begin(), saga.waits.end(),
                                      [](const WaitView& a, const WaitView& b) { return a.until < b.until; });
  return Ago(first->until, now);
}

}  // namespace

Style StyleOf(std::string_view state_or_outcome) {
  struct Row {
    std::string_view name;
    Style style;
  };
  constexpr Row kStyles[] = {
      {"CONFIRMED", Style::kGood},
      {"COMPLETED", Style::kGood},
      {"SUCCEEDED", Style::kGood},
      {"CLOSED", Style::kGood},
      {"succeeded", Style::kGood},
      {"closed", Style::kGood},
      {"undone", Style::kGood},
      {"FAILED", Style::kBad},
      {"COMPENSATED", Style::kBad},
      {"rejected", Style::kBad},
      {"undo_failed", Style::kBad},
      {"needs_attention", Style::kBad},
      {"AWAITING_PAYMENT", Style::kWaiting},
      {"AWAITING_REVIEW", Style::kWaiting},
      {"PENDING", Style::kWaiting},
      {"COMPENSATING", Style::kWaiting},
      {"RUNNING", Style::kWaiting},
      {"unknown", Style::kWaiting},
      {"recovered", Style::kWaiting},
      {"waiting", Style::kWaiting},
      {"signalled", Style::kWaiting},
      {"again", Style::kWaiting},
      {"CANCELLED", Style::kFaint},
      {"RESOLVED", Style::kFaint},
      {"cancelled", Style::kFaint},
      {"resolved", Style::kFaint},
  };
  for (const Row& row : kStyles) {
    if (row.name == state_or_outcome) return row.style;
  }
  return Style::kPlain;
}

std::string Verdict(const OrderView& order) {
  int64_t charged = order.payment ? order.payment->charged_minor : 0;
  int64_t refunded = order.payment ? order.payment->refunded_minor : 0;
  std::string why = Reason(order.failure_reason, order.failure_detail);
  std::string back = refunded == charged ? "all of it went back"
                     : refunded > 0      ? ShowMoney(refunded, order.currency) + " went back"
                                         : "none of it went back";
  if (order.status == "COMPENSATING" && refunded == 0) back += " yet";
  const bool held = order.payment && order.payment->authorized_minor > 0 && charged == 0;
  std::string money = charged != 0 ? fmt::format("{} was charged, {}.", ShowMoney(charged, order.currency), back)
                      : !held      ? "Nothing was charged."
                      : order.payment->voided ? "Nothing was charged: what was held is let go."
                                              : "Nothing was charged; what is held is to be let go.";
  if (order.status == "PENDING") {
    if (held) {
      return fmt::format("Under way: {} is held, and not charged yet.",
                         ShowMoney(order.payment->authorized_minor, order.currency));
    }
    return charged == 0 ? "Under way: not charged yet."
                        : fmt::format("Under way: {} charged, a driver is being looked for.",
                                      ShowMoney(charged, order.currency));
  }
  if (order.status == "AWAITING_PAYMENT") {
    return fmt::format("Waiting for the payer: nothing is charged yet.{}{}",
                       order.checkout_url.empty() ? "" : " Pay at " + order.checkout_url + " .",
                       order.checkout_expires ? " Until " + ShowTime(*order.checkout_expires) + "." : "");
  }
  if (order.status == "AWAITING_REVIEW") {
    return fmt::format("Waiting for a person: nothing is charged yet. See `waybill risk show {}`.", order.id);
  }
  if (order.status == "CONFIRMED") {
    return fmt::format("Charged {}, and driver {} has it.", ShowMoney(charged, order.currency), order.driver);
  }
  if (order.status == "COMPLETED") return fmt::format("Delivered; {} charged.", ShowMoney(charged, order.currency));
  if (order.status == "COMPENSATING") {
    return fmt::format(
        "Being turned back ({}). {}{}", why, money,
        order.needs_attention ? fmt::format(" It keeps failing: see `waybill saga show {}`.", order.id) : "");
  }
  if (order.status == "CANCELLED") return fmt::format("Cancelled ({}). {}", why, money);
  if (order.status == "FAILED") return fmt::format("Turned back ({}). {}", why, money);
  if (order.status == "RESOLVED") return fmt::format("Settled by hand ({}). {}", why, money);
  return "";
}

std::string RenderLog(const std::vector<LogLine>& log, const Terminal& terminal) {
  Table table({{"#", Align::kRight},
               {"time"},
               {"after", Align::kRight},
               {"step"},
               {"outcome"},
               {"then"},
               {"detail", Align::kLeft, Overflow::kWrap}},
              kIndent);
  std::optional<absl::Time> previous;
  // Over more than a day, a time of day alone would mislead.
  bool dated = !log.empty() && log.back().time - log.front().time > absl::Hours(24);
  for (const LogLine& line : log) {
    table.Add({std::to_string(line.sequence), dated ? ShowTime(line.time) : ShowTimeOfDay(line.time),
               Since(previous, line.time), Who(line), Cell(line.outcome, StyleOf(line.outcome)),
               Cell(line.state, StyleOf(line.state)), line.detail});
    previous = line.time;
  }
  return table.Render(terminal);
}

std::string RenderLogLine(const LogLine& line, std::optional<absl::Time> previous, const Terminal& terminal) {
  auto pad = [](std::string text, int width) {
    return std::string(static_cast<size_t>(std::max(0, width - DisplayWidth(text))), ' ');
  };
  std::string since = Since(previous, line.time);
  std::string who = Printable(Who(line));
  std::string outcome = Printable(line.outcome);
  std::string state = Printable(line.state);
  std::string out = fmt::format("{:>3}  {}  {}{}  {}{}  {}{}  {}", line.sequence, ShowTimeOfDay(line.time),
                                pad(since, 9), since, who, pad(who, 26), Paint(outcome, StyleOf(outcome), terminal),
                                pad(outcome, 15), Paint(state, StyleOf(state), terminal));
  if (!line.detail.empty()) out += pad(state, 12) + "  " + Printable(line.detail);
  return out + "\n";
}

std::string ShowRefund(const RefundView& refund) {
  std::string text = fmt::format("{} {}", ShowMoney(refund.amount_minor, refund.currency), refund.state);
  if (!refund.refusal.empty()) text += fmt::format(" ({})", refund.refusal);
  if (refund.decided_at) text += " at " + ShowTimeOfDay(*refund.decided_at);
  if (!refund.gateway_reference.empty()) text += fmt::format(" (reference {})", refund.gateway_reference);
  if (!refund.reason.empty()) text += ": " + refund.reason;
  return text;
}

std::string RenderOrder(const OrderView& order, absl::Time now, const Terminal& terminal) {
  Facts facts;
  facts.Add("user", order.user);
  facts.Add("amount", ShowMoney(order.amount_minor, order.currency));
  if (order.payment) {
    const PaymentView& payment = *order.payment;
    const bool held_first = payment.authorized_minor > 0;
    const std::string by = payment.gateway.empty() ? "" : " by " + payment.gateway;
    const auto at = [](const std::optional<absl::Time>& time) { return time ? " at " + ShowTimeOfDay(*time) : ""; };
    std::string text =
        held_first
            ? ShowMoney(payment.authorized_minor, order.currency) + " authorized" + by + at(payment.authorized_at)
            : ShowMoney(payment.charged_minor, order.currency) + " charged" + by + at(payment.charged_at);
    if (held_first && payment.charged_minor > 0) text += ", captured" + at(payment.charged_at);
    if (payment.voided) {
      text += ", voided";
    } else if (held_first && payment.charged_minor == 0 && payment.authorization_expires) {
      text += ", until " + ShowTime(*payment.authorization_expires);
    }
    if (payment.refunded_minor > 0) {
      text += fmt::format(", {} refunded", ShowMoney(payment.refunded_minor, order.currency));
      if (payment.refunded_at) text += " at " + ShowTimeOfDay(*payment.refunded_at);
    }
    if (!payment.gateway_reference.empty()) text += fmt::format(" (reference {})", payment.gateway_reference);
    facts.Add("payment", text);
  }
  for (const RefundView& refund : order.refunds) {
    facts.Add("refund", fmt::format("{} {}", refund.refund_id, ShowRefund(refund)));
  }
  if (!order.driver.empty()) facts.Add("driver", order.driver);
  if (order.pickup) facts.Add("pickup", ShowPoint(*order.pickup));
  facts.Add("key", order.key);
  for (const auto& [key, value] : order.metadata) facts.Add("metadata", fmt::format("{}={}", key, value));
  facts.Add("created", fmt::format("{} ({})", ShowTime(order.created), Ago(order.created, now)));
  if (order.needs_attention) facts.Add("attention", "needed", Style::kBad);

  std::string out = Title("order", order.id, order.status, terminal) + facts.Render(terminal);
  if (!order.log.empty()) out += "\n" + RenderLog(order.log, terminal);
  if (std::string verdict = Verdict(order); !verdict.empty()) out += "\n" + Printable(verdict) + "\n";
  return out;
}

std::string RenderOrders(const std::vector<OrderView>& orders, absl::Time now, const Terminal& terminal) {
  Table table({{"order"},
               {"status"},
               {"amount", Align::kRight},
               {"user", Align::kLeft, Overflow::kCut},
               {"driver", Align::kLeft, Overflow::kCut},
               {"age", Align::kRight},
               {"why", Align::kLeft, Overflow::kCut}});
  for (const OrderView& order : orders) {
    table.Add({order.id, Cell(order.status, StyleOf(order.status)), ShowMoney(order.amount_minor, order.currency),
               order.user, order.driver, ShowDuration(now - order.created),
               Reason(order.failure_reason, order.failure_detail)});
  }
  return table.Render(terminal);
}

std::string RenderSaga(const SagaView& saga, absl::Time now, const Terminal& terminal) {
  Facts facts;
  facts.Add("kind", fmt::format("{}, version {}", saga.kind, saga.version));
  if (!saga.step.empty()) facts.Add("stands at", fmt::format("{}, attempt {}", saga.step, saga.attempt));
  if (!saga.failure_reason.empty()) facts.Add("turned back", Reason(saga.failure_reason, saga.failure_detail));
  if (saga.lease_until) {
    facts.Add("lease",
              fmt::format(
                  "{} holds it until {} ({})", saga.owner.empty() ? "nobody" : saga.owner, ShowTime(*saga.lease_until),
                  *saga.lease_until > now ? Ago(*saga.lease_until, now) : "expired " + Ago(*saga.lease_until, now)));
  }
  for (const WaitView& wait : saga.waits) {
    const std::string of = saga.waits.size() > 1 ? fmt::format("{}'s", wait.step) : "its";
    facts.Add("waits for", fmt::format("a signal of {} {} with the token {}, until {} ({})", of, wait.action,
                                       wait.token, ShowTime(wait.until), Ago(wait.until, now)));
  }
  facts.Add("epoch", std::to_string(saga.epoch));
  facts.Add("created", fmt::format("{} ({})", ShowTime(saga.created), Ago(saga.created, now)));
  facts.Add("updated", fmt::format("{} ({})", ShowTime(saga.updated), Ago(saga.updated, now)));
  if (!saga.traceparent.empty()) facts.Add("trace", saga.traceparent);
  if (saga.needs_attention) facts.Add("attention", "needed", Style::kBad);

  std::string out = Title("saga", saga.id, saga.state, terminal) + facts.Render(terminal);
  if (!saga.log.empty()) out += "\n" + RenderLog(saga.log, terminal);
  const std::string id = Printable(saga.id);
  if (!saga.waits.empty()) out += "\nNobody drives it meanwhile. To say by hand what became of it:\n";
  for (const WaitView& wait : saga.waits) {
    out += fmt::format(
        "waybill saga signal {} --step {}{} --token={} --outcome OUTCOME\n", id, Printable(ShellWord(wait.step)),
        wait.action == "do" ? "" : " --action " + Printable(ShellWord(wait.action)), Printable(ShellWord(wait.token)));
  }
  if (saga.needs_attention) {
    out += fmt::format("\nIt is still being retried. To try now: waybill saga retry {}\n", id);
    out += fmt::format("To end it by hand: waybill saga resolve {} --reason TEXT\n", id);
  }
  return out;
}

std::string RenderSagas(const std::vector<SagaView>& sagas, absl::Time now, const Terminal& terminal) {
  Table table({{"saga"},
               {"kind"},
               {"state"},
               {"step"},
               {"attempt", Align::kRight},
               {"attention"},
               {"age", Align::kRight},
               {"wakes"},
               {"owner", Align::kLeft, Overflow::kCut},
               {"why", Align::kLeft, Overflow::kCut}});
  for (const SagaView& saga : sagas) {
    table.Add({saga.id, saga.kind, Cell(saga.state, StyleOf(saga.state)), saga.step,
               saga.step.empty() ? "" : std::to_string(saga.attempt),
               Cell(Attention(saga.needs_attention), Style::kBad), ShowDuration(now - saga.created), Wakes(saga, now),
               saga.owner, Reason(saga.failure_reason, saga.failure_detail)});
  }
  return table.Render(terminal);
}

}  // namespace waybill::cli

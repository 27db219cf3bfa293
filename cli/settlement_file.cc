#include "cli/settlement_file.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "cli/money.h"
#include "domain/currency.h"
#include "fmt/format.h"
#include "runtime/csv.h"

namespace waybill::cli {

using storage::LineKind;

// What a column is called: ours first, then what gateways call it.
struct SettlementFile::Name {
  Column column;
  std::vector<std::string_view> names;
};

namespace {

constexpr size_t kRowMax = 64 * 1024;
constexpr char kSeparators[] = {',', ';', '\t', '|'};

constexpr std::pair<std::string_view, LineKind> kKinds[] = {
    {"charge", LineKind::kCharge},         {"payment", LineKind::kCharge},     {"capture", LineKind::kCharge},
    {"sale", LineKind::kCharge},           {"refund", LineKind::kRefund},      {"fee", LineKind::kFee},
    {"chargeback", LineKind::kChargeback}, {"dispute", LineKind::kChargeback},
};

bool IsZero(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0.") == std::string_view::npos && text.find('0') != text.npos;
}

}  // namespace

absl::StatusOr<SettlementFile> SettlementFile::Open(const std::string& path, const SettlementFormat& format) {
  SettlementFile file;
  file.path_ = path;
  file.format_ = format;
  file.in_.open(path, std::ios::binary);
  if (!file.in_) return absl::NotFoundError(fmt::format("{}: cannot be read", path));
  if (absl::Status wrong = file.ReadHeader(); !wrong.ok()) return wrong;
  return file;
}

absl::Status SettlementFile::ReadHeader() {
  static const Name kNames[] = {
      {kKind, {"kind", "type"}},
      {kReference, {"reference", "order_id", "merchant_reference", "idempotency_key"}},
      {kGatewayReference, {"gateway_reference", "psp_reference", "transaction_id", "id"}},
      {kAmount, {"amount", "gross"}},
      {kFee, {"fee", "fees", "commission"}},
      {kCurrency, {"currency"}},
      {kTime, {"booked_at", "time", "created", "date"}},
      {kPayout, {"payout", "payout_id", "batch"}},
  };
  std::string line;
  if (!std::getline(in_, line)) {
    return in_.bad() ? CutOff() : absl::InvalidArgumentError(fmt::format("{}: is empty", path_));
  }
  ++line_;
  if (line.ends_with('\r')) line.pop_back();
  if (line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
  size_t most = 0;
  for (const char separator : kSeparators) {
    std::vector<std::string> fields;
    if (SplitCsvRow(line, separator, fields) != CsvRow::kWhole || fields.size() <= most) continue;
    most = fields.size();
    separator_ = separator;
    header_ = std::move(fields);
  }
  const auto find = [this](std::string_view name) -> std::optional<size_t> {
    for (size_t i = 0; i < header_.size(); ++i) {
      if (absl::AsciiStrToLower(header_[i]) == absl::AsciiStrToLower(std::string(name))) return i;
    }
    return std::nullopt;
  };
  for (const auto& [column, names] : kNames) {
    const auto given = format_.columns.find(std::string(names.front()));
    if (given != format_.columns.end()) {
      at_[column] = find(given->second);
      if (!at_[column])
        return Wrong(fmt::format("there is no column {}; there are {}", given->second, fmt::join(header_, ", ")));
      continue;
    }
    for (const std::string_view name : names) {
      if (!at_[column]) at_[column] = find(name);
    }
  }
  for (const auto& [ours, theirs] : format_.columns) {
    const bool known = std::any_of(std::begin(kNames), std::end(kNames),
                                   [&ours = ours](const Name& name) { return name.names.front() == ours; });
    if (!known)
      return absl::InvalidArgumentError(
          fmt::format("--column: there is no {}; there are kind, reference, gateway_reference, amount, fee, currency, "
                      "booked_at and payout",
                      ours));
  }
  for (const Column needed : {kKind, kAmount, kTime}) {
    if (!at_[needed]) {
      return Wrong(fmt::format("no column is the {}: name it with --column {}=NAME; there are {}",
                               kNames[needed].names.front(), kNames[needed].names.front(), fmt::join(header_, ", ")));
    }
  }
  if (!at_[kReference] && !at_[kGatewayReference]) {
    return Wrong("no column says whose the money is: name it with --column reference=NAME or gateway_reference=NAME");
  }
  if (!at_[kCurrency] && format_.currency.empty()) return Wrong("no column is the currency: say it with --currency");
  return absl::OkStatus();
}

absl::Status SettlementFile::CutOff() const {
  return absl::DataLossError(fmt::format("{}: cannot be read beyond line {}", path_, line_));
}

absl::StatusOr<bool> SettlementFile::ReadFields() {
  std::string row, line;
  while (std::getline(in_, line)) {
    ++line_;
    if (line.ends_with('\r')) line.pop_back();
    row += line;
    if (row.size() > kRowMax) return Wrong("is longer than a row can be");
    switch (SplitCsvRow(row, separator_, fields_)) {
      case CsvRow::kWhole:
        // Such as an amount with commas that is not in quotes.
        if (fields_.size() > header_.size()) {
          return Wrong(fmt::format("has {} fields, and the header {}", fields_.size(), header_.size()));
        }
        return true;
      case CsvRow::kOpen:
        row += '\n';
        continue;
      case CsvRow::kBad:
        return Wrong("text follows a closing quote");
    }
  }
  if (in_.bad()) return CutOff();
  if (!row.empty()) return Wrong("a quote is left open");
  return false;
}

absl::StatusOr<std::optional<SettlementRow>> SettlementFile::Next() {
  while (true) {
    absl::StatusOr<bool> there = ReadFields();
    if (!there.ok()) return there.status();
    if (!*there) return std::nullopt;
    const bool empty =
        std::all_of(fields_.begin(), fields_.end(), [](const std::string& field) { return field.empty(); });
    if (empty) {
      ++skipped_;
      continue;
    }
    absl::StatusOr<std::optional<SettlementRow>> taken = Take();
    if (!taken.ok() || *taken) return taken;
    ++skipped_;
  }
}

absl::StatusOr<std::optional<SettlementRow>> SettlementFile::Take() {
  SettlementRow row;
  const std::string kind = absl::AsciiStrToLower(Field(kKind));
  if (std::find(format_.skip.begin(), format_.skip.end(), kind) != format_.skip.end()) return std::nullopt;
  const auto of_file = format_.kinds.find(kind);
  const auto* known =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& each) { return each.first == kind; });
  if (known == std::end(kKinds) && of_file == format_.kinds.end()) {
    return Wrong(
        kKind, fmt::format("\"{}\" is neither charge, refund, fee nor chargeback; leave such lines out with --skip {}",
                           kind, kind));
  }
  row.kind = of_file != format_.kinds.end() ? of_file->second : known->second;
  row.reference = Field(kReference);
  row.gateway_reference = Field(kGatewayReference);
  row.payout = Field(kPayout);
  row.currency = at_[kCurrency] ? absl::AsciiStrToUpper(Field(kCurrency)) : format_.currency;
  if (!domain::CurrencyExponent(row.currency)) {
    return Wrong(kCurrency, fmt::format("\"{}\" is not an ISO 4217 currency", row.currency));
  }
  absl::StatusOr<int64_t> amount = TakeAmount(kAmount, row.currency);
  if (!amount.ok()) return amount.status();
  // Some files write what goes back as a charge below zero, and some all that goes back below zero. A refund that goes
  // the other way than others is one that was taken back.
  if (*amount < 0 && row.kind == LineKind::kCharge) {
    row.kind = LineKind::kRefund;
  } else if (*amount != 0 && row.kind != LineKind::kCharge) {
    const auto [first, fresh] = negative_.emplace(row.kind, *amount < 0);
    if (!fresh && first->second != (*amount < 0)) {
      return Wrong(kAmount, fmt::format("goes the other way than the {}s before: a reversal has to be settled by hand; "
                                        "give it a kind of its own, and leave it out with --skip",
                                        storage::Name(row.kind)));
    }
  }
  row.amount_minor = std::abs(*amount);
  if (at_[kFee] && !Field(kFee).empty()) {
    absl::StatusOr<int64_t> fee = TakeAmount(kFee, row.currency);
    if (!fee.ok()) return fee.status();
    row.fee_minor = format_.negate_fees ? -*fee : *fee;
    if (row.fee_minor < 0) {
      return Wrong(kFee, format_.negate_fees ? "is given back: say it as a line of its own"
                                             : "is negative: if the file writes fees so, say --negate-fees");
    }
  }
  const std::string& time = Field(kTime);
  std::string why;
  if (!absl::ParseTime(absl::RFC3339_full, time, &row.booked_at, &why) &&
      !absl::ParseTime("%Y-%m-%d %H:%M:%E*S", time, format_.zone, &row.booked_at, &why) &&
      !absl::ParseTime("%Y-%m-%dT%H:%M:%E*S", time, format_.zone, &row.booked_at, &why) &&
      !absl::ParseTime("%Y-%m-%d", time, format_.zone, &row.booked_at, &why)) {
    return Wrong(kTime,
                 fmt::format("\"{}\" is no time, like 2026-01-31T12:00:00Z, 2026-01-31 12:00:00 or 2026-01-31", time));
  }
  if (row.kind != LineKind::kFee && row.reference.empty() && row.gateway_reference.empty()) {
    return Wrong("has neither our reference nor the gateway's");
  }
  row.number = ++rows_;
  return row;
}

absl::StatusOr<int64_t> SettlementFile::TakeAmount(Column column, const std::string& currency) const {
  std::string text = Field(column);
  if (format_.decimal_comma) {
    for (size_t at = 0; (at = text.find('.', at)) != std::string::npos; text.erase(at, 1)) {  // between thousands
      const size_t end = std::min(text.find_first_not_of("0123456789", at + 1), text.size());
      if (end - at != 4) return Wrong(column, fmt::format("\"{}\" has a point that parts no thousands", Field(column)));
    }
    std::replace(text.begin(), text.end(), ',', '.');
  }
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.erase(0, 1);
  int64_t minor = 0;
  if (format_.minor_units) {
    if (text.empty() || !std::all_of(text.begin(), text.end(), absl::ascii_isdigit) ||
        !absl::SimpleAtoi(text, &minor)) {
      return Wrong(column, fmt::format("\"{}\" is not a whole number of minor units", Field(column)));
    }
  } else if (!IsZero(text)) {
    absl::StatusOr<int64_t> parsed = ParseMoney(text, currency);
    if (!parsed.ok()) {
      std::string why(parsed.status().message());
      return Wrong(column, why.substr(why.find(": ") + 2));
    }
    minor = *parsed;
  }
  return negative ? -minor : minor;
}

const std::string& SettlementFile::Field(Column column) const {
  static const std::string kNothing;
  if (!at_[column] || *at_[column] >= fields_.size()) return kNothing;
  return fields_[*at_[column]];
}

absl::Status SettlementFile::Wrong(Column column, const std::string& what) const {
  return Wrong(fmt::format("{}: {}", at_[column] ? header_[*at_[column]] : "currency", what));
}

absl::Status SettlementFile::Wrong(const std::string& what) const {
  return absl::InvalidArgumentError(fmt::format("{}:{}: {}", path_, line_, what));
}

}  // namespace waybill::cli

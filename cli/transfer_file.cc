#include "cli/transfer_file.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "cli/money.h"
#include "fmt/format.h"
#include "runtime/csv.h"

namespace waybill::cli {
namespace {

constexpr size_t kRowMax = 64 << 10;
constexpr std::string_view kColumns[] = {"id",
                                         "from",
                                         "to",
                                         "amount",
                                         "currency",
                                         "code",
                                         "user_data",
                                         "phase",
                                         "pending_id",
                                         "timeout_seconds",
                                         "linked",
                                         "balancing_debit",
                                         "balancing_credit",
                                         "corrects"};

class Reader {
 public:
  Reader(std::istream& in, std::string name) : in_(in), name_(std::move(name)) {}

  absl::StatusOr<std::vector<TransferLine>> Read() {
    absl::StatusOr<bool> there = ReadFields();
    if (!there.ok()) return there.status();
    if (!*there) return absl::InvalidArgumentError(fmt::format("{}: is empty", name_));
    if (absl::Status header = TakeHeader(); !header.ok()) return header;
    std::vector<TransferLine> lines;
    while (true) {
      there = ReadFields();
      if (!there.ok()) return there.status();
      if (!*there) return lines;
      if (fields_.size() == 1 && fields_[0].empty()) continue;  // an empty line
      absl::StatusOr<ledger::NewTransfer> transfer = Take();
      if (!transfer.ok()) return transfer.status();
      lines.push_back({line_, *std::move(transfer)});
    }
  }

 private:
  absl::Status Wrong(const std::string& what) const {
    return absl::InvalidArgumentError(fmt::format("{}:{}: {}", name_, line_, what));
  }
  absl::Status Wrong(std::string_view column, const std::string& what) const {
    return Wrong(fmt::format("{}: {}", column, what));
  }

  // The next row; false: there is none.
  absl::StatusOr<bool> ReadFields() {
    std::string row, line;
    while (std::getline(in_, line)) {
      ++line_;
      if (line.ends_with('\r')) line.pop_back();
      if (line_ == 1 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
      row += line;
      if (row.size() > kRowMax) return Wrong("is longer than a row can be");
      switch (SplitCsvRow(row, ',', fields_)) {
        case CsvRow::kWhole:
          return true;
        case CsvRow::kOpen:
          row += '\n';
          continue;
        case CsvRow::kBad:
          return Wrong("text follows a closing quote");
      }
    }
    if (in_.bad()) return absl::DataLossError(fmt::format("{}: cannot be read beyond line {}", name_, line_));
    if (!row.empty()) return Wrong("a quote is left open");
    return false;
  }

  absl::Status TakeHeader() {
    for (size_t i = 0; i < fields_.size(); ++i) {
      if (std::find(std::begin(kColumns), std::end(kColumns), fields_[i]) == std::end(kColumns)) {
        return Wrong(fmt::format("there is no column \"{}\"; there are {}", fields_[i], fmt::join(kColumns, ", ")));
      }
      if (!at_.emplace(fields_[i], i).second) return Wrong(fields_[i], "stands there twice");
    }
    if (!at_.contains("id")) return Wrong("there is no column id, without which nothing could be repeated");
    width_ = fields_.size();
    return absl::OkStatus();
  }

  const std::string& Field(std::string_view column) const {
    static const std::string& none = *new std::string();
    const auto at = at_.find(column);
    return at == at_.end() || at->second >= fields_.size() ? none : fields_[at->second];
  }
  absl::Status TakeFlag(std::string_view column, bool& out) const {
    const std::string& text = Field(column);
    out = text == "yes";
    return text.empty() || out || text == "no" ? absl::OkStatus() : Wrong(column, "is neither yes nor no");
  }
  template <typename Number>
  absl::Status TakeNumber(std::string_view column, Number& out) const {
    const std::string& text = Field(column);
    if (text.empty() || absl::SimpleAtoi(text, &out)) return absl::OkStatus();
    return Wrong(column, fmt::format("\"{}\" is not a whole number", text));
  }

  absl::StatusOr<ledger::NewTransfer> Take() const {
    if (fields_.size() != width_) {
      std::string what = fmt::format("has {} fields, and the header {}", fields_.size(), width_);
      for (const auto& [column, at] : at_) {
        if (at == fields_.size()) what += fmt::format(": {} is the first that is missing", column);
      }
      return Wrong(what);
    }
    ledger::NewTransfer transfer;
    transfer.id = Field("id");
    if (transfer.id.empty()) return Wrong("id", "is missing");
    transfer.debit_account = Field("from");
    transfer.credit_account = Field("to");
    transfer.currency = Field("currency");
    transfer.user_data = Field("user_data");
    transfer.pending_id = Field("pending_id");
    transfer.corrects = Field("corrects");
    if (const std::string& phase = Field("phase"); !phase.empty()) {
      const std::optional<ledger::Phase> parsed = ledger::ParsePhase(phase);
      if (!parsed) return Wrong("phase", fmt::format("\"{}\" is none of single, pending, post and void", phase));
      transfer.phase = *parsed;
    }
    const bool ends = transfer.phase == ledger::Phase::kPost || transfer.phase == ledger::Phase::kVoid;
    transfer.code = ends ? 0 : 1;
    for (const absl::Status& taken :
         {TakeNumber("code", transfer.code), TakeNumber("timeout_seconds", transfer.timeout_seconds),
          TakeFlag("linked", transfer.linked), TakeFlag("balancing_debit", transfer.balancing_debit),
          TakeFlag("balancing_credit", transfer.balancing_credit)}) {
      if (!taken.ok()) return taken;
    }
    if (const std::string& amount = Field("amount"); !amount.empty()) {
      if (transfer.currency.empty()) return Wrong("currency", "is missing; write it like EUR");
      absl::StatusOr<int64_t> minor = ParseMoney(amount, transfer.currency);
      if (!minor.ok()) return Wrong(std::string(minor.status().message()));
      transfer.amount_minor = *minor;
    }
    const bool balances = transfer.balancing_debit || transfer.balancing_credit;
    for (const auto& [column, needed] : {std::pair("from", !ends), std::pair("to", !ends),
                                         std::pair("amount", !ends && !balances), std::pair("pending_id", ends)}) {
      if (needed && Field(column).empty()) {
        return Wrong(column, at_.contains(column) ? "is missing" : "is missing, and the header has no such column");
      }
    }
    return transfer;
  }

  std::istream& in_;
  const std::string name_;
  std::map<std::string, size_t, std::less<>> at_;
  size_t width_ = 0;
  std::vector<std::string> fields_;
  int line_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<TransferLine>> ReadTransfers(std::istream& in, const std::string& name) {
  return Reader(in, name).Read();
}

std::string_view ColumnOf(std::string_view field) {
  constexpr std::pair<std::string_view, std::string_view> kOthers[] = {{"transfer_id", "id"},
                                                                       {"debit_account_id", "from"},
                                                                       {"credit_account_id", "to"},
                                                                       {"amount_minor", "amount"},
                                                                       {"corrects_id", "corrects"}};
  for (const auto& [name, column] : kOthers) {
    if (name == field) return column;
  }
  return field;
}

size_t NextRequest(const std::vector<TransferLine>& lines, size_t from, size_t max) {
  const size_t end = std::min(lines.size(), from + max);
  // Back to where a chain ends.
  for (size_t to = end; to > from; --to) {
    if (!lines[to - 1].transfer.linked || to == lines.size()) return to - from;
  }
  // Or on to where this one does: the ledger says what is too long.
  size_t to = end;
  while (to < lines.size() && lines[to - 1].transfer.linked) ++to;
  return to - from;
}

}  // namespace waybill::cli

#include "services/ledger/broker_messages.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <limits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/status.h"
#include "services/ledger/results.h"

namespace waybill::ledger {
namespace {

using AnswerJson = nlohmann::ordered_json;

struct Other {};  // a list, an object, null, or a number that is not whole
using Value = std::variant<Other, bool, int64_t, std::string>;
using Field = std::pair<std::string, Value>;

// The fields of one object, in their order; what is within others is passed over.
class FieldReader final : public nlohmann::json_sax<AnswerJson> {
 public:
  bool key(string_t& name) override {
    if (depth_ != 1) return true;
    for (const Field& field : fields) {
      if (field.first == name) duplicate = name;
    }
    fields.emplace_back(name, Other());
    return true;
  }
  bool string(string_t& text) override { return Put(text); }
  bool number_integer(number_integer_t number) override { return Put(int64_t{number}); }
  bool number_unsigned(number_unsigned_t number) override {
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return Put(Other());
    return Put(static_cast<int64_t>(number));
  }
  bool number_float(number_float_t /*number*/, const string_t& /*text*/) override { return Put(Other()); }
  bool null() override { return Put(Other()); }
  bool boolean(bool value) override { return Put(value); }
  bool binary(binary_t& /*bytes*/) override { return false; }
  bool start_object(size_t /*elements*/) override {
    is_object |= depth_ == 0;
    return ++depth_ > 0;
  }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(size_t /*elements*/) override { return depth_++ > 0; }  // the whole is an object
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(size_t position, const std::string& /*token*/, const nlohmann::detail::exception& /*why*/) override {
    failed_at = position;
    return false;
  }

  std::vector<Field> fields;
  std::string duplicate;
  bool is_object = false;
  size_t failed_at = 0;

 private:
  bool Put(Value value) {
    if (depth_ == 1 && !fields.empty()) fields.back().second = std::move(value);
    return depth_ > 0;
  }

  int depth_ = 0;
};

absl::Status Malformed(std::string_view why) { return domain::ReasonError("MALFORMED_REQUEST", why); }

class MessageReader {
 public:
  // MALFORMED_REQUEST: no object of JSON. Whatever is not among `known` is a violation.
  static absl::StatusOr<MessageReader> Read(std::string_view body, std::initializer_list<std::string_view> known) {
    if (body.size() > kMessageMax) return Malformed(fmt::format("the message is longer than {} bytes", kMessageMax));
    FieldReader fields;
    if (!AnswerJson::sax_parse(body, &fields)) {
      return Malformed(fields.failed_at > 0 ? fmt::format("no JSON from byte {} on", fields.failed_at)
                                            : std::string("the message is no JSON object"));
    }
    if (!fields.is_object) return Malformed("the message is no JSON object");
    if (!fields.duplicate.empty()) return Malformed(fmt::format("\"{}\" is there twice", fields.duplicate));
    MessageReader reader;
    reader.fields_ = std::move(fields.fields);
    for (const auto& [name, value] : reader.fields_) {
      if (std::find(known.begin(), known.end(), name) == known.end())
        reader.violations_.Add(name, "there is no such field");
    }
    return reader;
  }

  std::string Text(std::string_view name, bool required = false) {
    const Value* value = Find(name);
    if (value == nullptr) {
      if (required) violations_.Add(std::string(name), "is required");
      return "";
    }
    const auto* text = std::get_if<std::string>(value);
    if (text == nullptr) {
      violations_.Add(std::string(name), "is no string");
      return "";
    }
    if (required && text->empty()) violations_.Add(std::string(name), "is required");
    return *text;
  }
  std::string Id(std::string_view name, bool required) {
    std::string id = Text(name, required);
    if (!id.empty() && !IsId(id)) violations_.Add(std::string(name), "is not 1 to 64 of A-Z a-z 0-9 . _ : -");
    return id;
  }
  // A number, or its digits in a string, as 64 bits do not fit into every reader's numbers.
  // 0 when there is none; nothing when it is wrong, which is a violation then.
  std::optional<int64_t> Integer(std::string_view name, int64_t max = std::numeric_limits<int64_t>::max()) {
    const Value* value = Find(name);
    if (value == nullptr) return 0;
    int64_t number = 0;
    if (const auto* found = std::get_if<int64_t>(value)) {
      number = *found;
    } else {
      const auto* text = std::get_if<std::string>(value);
      const char* end = text == nullptr ? nullptr : text->data() + text->size();
      const bool whole = text != nullptr && !text->empty() && [&] {
        const auto [at, error] = std::from_chars(text->data(), end, number);
        return error == std::errc() && at == end;
      }();
      if (!whole) {
        violations_.Add(std::string(name), "is no whole number of 64 bits");
        return std::nullopt;
      }
    }
    if (number < 0 || number > max) {
      violations_.Add(std::string(name), fmt::format("is not between 0 and {}", max));
      return std::nullopt;
    }
    return number;
  }
  bool Flag(std::string_view name) {
    const Value* value = Find(name);
    if (value == nullptr) return false;
    if (const auto* flag = std::get_if<bool>(value)) return *flag;
    violations_.Add(std::string(name), "is neither true nor false");
    return false;
  }
  std::optional<absl::Time> Time(std::string_view name) {
    if (Find(name) == nullptr) return std::nullopt;
    absl::Time time;
    if (!absl::ParseTime(absl::RFC3339_full, Text(name), &time, nullptr)) {
      violations_.Add(std::string(name), "is no time such as 2027-01-15T08:00:00Z");
      return std::nullopt;
    }
    return time;
  }

  domain::Violations& violations() { return violations_; }
  absl::Status Finish() { return std::move(violations_).ToStatus(); }

 private:
  const Value* Find(std::string_view name) const {
    for (const Field& field : fields_) {
      if (field.first == name) return &field.second;
    }
    return nullptr;
  }

  std::vector<Field> fields_;
  domain::Violations violations_;
};

constexpr int64_t kCodeMax = std::numeric_limits<int32_t>::max();

std::string Dump(const AnswerJson& json) { return json.dump(-1, ' ', false, AnswerJson::error_handler_t::replace); }

// 64-bit integers are strings, as in proto3's JSON.
std::string Digits(int64_t number) { return fmt::format("{}", number); }

AnswerJson ErrorOf(const absl::Status& status) {
  const ErrorDetail detail = GetErrorDetail(status);
  AnswerJson error;
  error["reason"] = detail.reason.empty() ? absl::StatusCodeToString(status.code()) : detail.reason;
  error["message"] = std::string(status.message());
  for (const auto& [field, problem] : detail.violations) {
    error["fields"].push_back(AnswerJson{{"field", field}, {"problem", problem}});
  }
  return error;
}

std::string TimeText(absl::Time time) { return absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone()); }

}  // namespace

absl::StatusOr<NewTransfer> ParseTransaction(std::string_view body) {
  absl::StatusOr<MessageReader> reader = MessageReader::Read(
      body, {"idempotencyKey", "phase", "debitAccountId", "creditAccountId", "currency", "code", "userData",
             "amountMinor", "pendingId", "timeoutSeconds", "balancingDebit", "balancingCredit", "correctsId"});
  if (!reader.ok()) return reader.status();
  NewTransfer transfer;
  transfer.id = reader->Id("idempotencyKey", /*required=*/true);
  if (const std::string phase = reader->Text("phase"); !phase.empty()) {
    const std::optional<Phase> parsed = ParsePhase(phase);
    if (!parsed || *parsed == Phase::kExpired) {
      reader->violations().Add("phase", "is none of single, pending, post and void");
    } else {
      transfer.phase = *parsed;
    }
  }
  const bool ends_another = transfer.phase == Phase::kPost || transfer.phase == Phase::kVoid;
  transfer.debit_account = reader->Id("debitAccountId", !ends_another);
  transfer.credit_account = reader->Id("creditAccountId", !ends_another);
  transfer.currency = reader->Text("currency", !ends_another);
  transfer.code = static_cast<int32_t>(reader->Integer("code", kCodeMax).value_or(0));
  transfer.user_data = reader->Text("userData");
  const std::optional<int64_t> amount = reader->Integer("amountMinor");
  transfer.amount_minor = amount.value_or(0);
  transfer.pending_id = reader->Id("pendingId", ends_another);
  transfer.timeout_seconds = reader->Integer("timeoutSeconds", kTimeoutMax).value_or(0);
  transfer.balancing_debit = reader->Flag("balancingDebit");
  transfer.balancing_credit = reader->Flag("balancingCredit");
  transfer.corrects = reader->Id("correctsId", false);
  if (transfer.code == 0 && !ends_another) transfer.code = 1;
  if (amount == 0 && !ends_another && !transfer.balancing_debit && !transfer.balancing_credit) {
    reader->violations().Add("amountMinor", "is not above 0");
  }
  if (absl::Status status = reader->Finish(); !status.ok()) return status;
  return transfer;
}

absl::StatusOr<BalanceQuestion> ParseBalanceQuestion(std::string_view body) {
  absl::StatusOr<MessageReader> reader = MessageReader::Read(body, {"requestId", "accountId", "at", "answerQueue"});
  if (!reader.ok()) return reader.status();
  BalanceQuestion question;
  question.request_id = reader->Text("requestId");
  question.account = reader->Id("accountId", /*required=*/true);
  question.at = reader->Time("at");
  question.answer_queue = reader->Text("answerQueue");
  if (absl::Status status = reader->Finish(); !status.ok()) return status;
  return question;
}

absl::StatusOr<Refund> ParseRefund(std::string_view body) {
  absl::StatusOr<MessageReader> reader =
      MessageReader::Read(body, {"idempotencyKey", "transferId", "amountMinor", "code", "userData"});
  if (!reader.ok()) return reader.status();
  Refund refund;
  refund.id = reader->Id("idempotencyKey", /*required=*/true);
  refund.transfer = reader->Id("transferId", /*required=*/true);
  refund.amount_minor = reader->Integer("amountMinor").value_or(0);
  refund.code = static_cast<int32_t>(reader->Integer("code", kCodeMax).value_or(0));
  refund.user_data = reader->Text("userData");
  if (!refund.id.empty() && refund.id == refund.transfer) {
    reader->violations().Add("transferId", "is the refund itself");
  }
  if (absl::Status status = reader->Finish(); !status.ok()) return status;
  return refund;
}

absl::StatusOr<NewTransfer> CorrectingTransfer(const Refund& refund, const Transfer& corrected) {
  if (corrected.phase == Phase::kPending || corrected.phase == Phase::kVoid || corrected.phase == Phase::kExpired) {
    return StatusOfMessage(TransferResult::kCorrectedTransferNotPosted, refund.id);
  }
  // What is given back twice is taken.
  if (!corrected.corrects.empty()) {
    return domain::BadField("transferId", "is a refund itself; a transfer with correctsId corrects it");
  }
  if (refund.amount_minor > corrected.amount_minor) {
    return domain::BadField("amountMinor", fmt::format("is more than the {} of the transfer", corrected.amount_minor));
  }
  NewTransfer transfer;
  transfer.id = refund.id;
  transfer.debit_account = corrected.credit_account;
  transfer.credit_account = corrected.debit_account;
  transfer.currency = corrected.currency;
  transfer.code = refund.code > 0 ? refund.code : corrected.code;
  transfer.amount_minor = refund.amount_minor > 0 ? refund.amount_minor : corrected.amount_minor;
  transfer.user_data = refund.user_data;
  transfer.corrects = corrected.id;
  return transfer;
}

std::string KeyOf(std::string_view body) {
  FieldReader fields;
  if (body.size() > kMessageMax) return "";
  AnswerJson::sax_parse(body, &fields);  // as far as it comes
  for (const auto& [name, value] : fields.fields) {
    const auto* text = std::get_if<std::string>(&value);
    if (text != nullptr && (name == "idempotencyKey" || name == "requestId") && text->size() <= 255) return *text;
  }
  return "";
}

absl::Status StatusOfMessage(TransferResult result, const std::string& id) {
  std::string field;
  for (const char letter : FieldOf(result)) {
    if (!field.empty() && field.back() == '_') {
      field.back() = absl::ascii_toupper(letter);
    } else {
      field += letter;
    }
  }
  return StatusOf(result, id, field == "transferId" ? "idempotencyKey" : field);
}

std::string TransferAnswer(const std::string& id, const Outcome& outcome) {
  AnswerJson json;
  json["idempotencyKey"] = id;
  json["result"] = Name(outcome.result);
  if (Done(outcome.result)) {
    json["amountMinor"] = Digits(outcome.amount_minor);
    json["number"] = Digits(outcome.number);
    json["createdAt"] = TimeText(outcome.created_at);
  } else {
    json["error"] = ErrorOf(StatusOfMessage(outcome.result, id));
  }
  return Dump(json);
}

std::string BalanceAnswer(const BalanceQuestion& question, const Account& account, const Balance& balance,
                          absl::Time at) {
  AnswerJson json;
  json["requestId"] = question.request_id;
  json["accountId"] = account.id;
  json["currency"] = account.currency;
  json["debitsPosted"] = Digits(balance.debits_posted);
  json["creditsPosted"] = Digits(balance.credits_posted);
  json["debitsPending"] = Digits(balance.debits_pending);
  json["creditsPending"] = Digits(balance.credits_pending);
  json["available"] = Digits(Available(balance));
  json["version"] = Digits(balance.version);
  json["at"] = TimeText(at);
  return Dump(json);
}

std::string ErrorAnswer(std::string_view key_name, const std::string& key, const absl::Status& status) {
  AnswerJson json;
  json[std::string(key_name)] = key;
  json["error"] = ErrorOf(status);
  return Dump(json);
}

}  // namespace waybill::ledger

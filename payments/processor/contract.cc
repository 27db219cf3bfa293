#include "payments/processor/contract.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace waybill::payments {
namespace {

using Json = nlohmann::json;

// Of an object's own fields; a number that is no integer stays the text that it is.
class PaymentReader final : public nlohmann::json_sax<Json> {
 public:
  bool key(string_t& name) override {
    if (depth_ == 1) key_ = name;
    return true;
  }
  bool string(string_t& text) override {
    if (depth_ == 1 && key_ == "correlationId") payment.id = text;
    if (depth_ == 1 && key_ == "requestedAt") payment.requested_at = text;
    return true;
  }
  bool number_integer(number_integer_t number) override { return Number(fmt::format("{}", number)); }
  bool number_unsigned(number_unsigned_t number) override { return Number(fmt::format("{}", number)); }
  bool number_float(number_float_t, const string_t& text) override { return Number(text); }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return ++depth_ < kDepthMax; }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(size_t) override { return ++depth_ < kDepthMax && depth_ > 1; }
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  ProcessorPayment payment;

 private:
  static constexpr int kDepthMax = 16;

  bool Number(std::string text) {
    if (depth_ == 1 && key_ == "amount") payment.amount = std::move(text);
    return true;
  }

  int depth_ = 0;
  std::string key_;
};

}  // namespace

Uuid ProcessorPaymentId(std::string_view key) {
  // 6ba7b811-9dad-11d1-80b4-00c04fd430c8
  std::string named = "\x6b\xa7\xb8\x11\x9d\xad\x11\xd1\x80\xb4";
  named += std::string("\x00\xc0\x4f\xd4\x30\xc8", 6);
  named += "waybill:";
  named += key;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  EVP_Digest(named.data(), named.size(), digest.data(), &size, EVP_sha1(), nullptr);
  Uuid id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0f) | 0x50);
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

std::string DecimalAmount(int64_t amount_minor, int decimals) {
  std::string digits = fmt::format("{:0{}}", amount_minor, decimals + 1);
  if (decimals > 0) digits.insert(digits.size() - static_cast<size_t>(decimals), ".");
  return digits;
}

std::optional<absl::Time> ParseRequestedAt(const std::string& text) {
  for (const char* format : {absl::RFC3339_full, "%Y-%m-%d%ET%H:%M:%E*S"}) {
    absl::Time time;
    std::string error;
    if (absl::ParseTime(format, text, absl::UTCTimeZone(), &time, &error)) return time;
  }
  return std::nullopt;
}

std::string ToJson(const Uuid& id, int64_t amount_minor, int decimals, absl::Time requested_at) {
  return fmt::format(R"({{"correlationId":"{}","amount":{},"requestedAt":"{}"}})", id.ToString(),
                     DecimalAmount(amount_minor, decimals),
                     absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", requested_at, absl::UTCTimeZone()));
}

std::optional<ProcessorPayment> ParseProcessorPayment(std::string_view json) {
  PaymentReader reader;
  if (!Json::sax_parse(json.begin(), json.end(), &reader)) return std::nullopt;
  if (reader.payment.id.empty() || reader.payment.amount.empty()) return std::nullopt;
  return std::move(reader.payment);
}

std::optional<ProcessorHealth> ParseProcessorHealth(std::string_view json) {
  const Json health = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!health.is_object()) return std::nullopt;
  const auto failing = health.find("failing"), wait = health.find("minResponseTime");
  if (failing == health.end() || !failing->is_boolean() || wait == health.end() || !wait->is_number_unsigned()) {
    return std::nullopt;
  }
  constexpr uint64_t kHour = 3'600'000;
  return ProcessorHealth{failing->get<bool>(), static_cast<int64_t>(std::min(wait->get<uint64_t>(), kHour))};
}

}  // namespace waybill::payments

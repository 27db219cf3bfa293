// What goes through RabbitMQ, in words of our own: a body and what is said about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace waybill::amqp {

// Times to the second, as AMQP has them. Lists and tables are not among them: they are dropped when they are read.
using HeaderValue = std::variant<std::string, int64_t, bool, double, absl::Time>;
using Headers = std::vector<std::pair<std::string, HeaderValue>>;

const HeaderValue* FindHeader(const Headers& headers, std::string_view name);
std::string HeaderText(const Headers& headers, std::string_view name);  // "" when there is none, or it is no text
std::optional<int64_t> HeaderInteger(const Headers& headers, std::string_view name);
void SetHeader(Headers& headers, std::string_view name, HeaderValue value);  // in the place of another of that name
void RemoveHeader(Headers& headers, std::string_view name);

struct Message {
  std::string body;
  std::string content_type;
  std::string content_encoding;
  std::string correlation_id;
  std::string reply_to;
  std::string message_id;
  std::string type;
  std::string app_id;
  std::optional<absl::Time> timestamp;
  std::optional<uint8_t> priority;
  Headers headers;
  bool persistent = true;
};

// All headers of a message go into one frame.
inline constexpr size_t kHeadersMax = 100 * 1'024;
size_t SizeOf(const Headers& headers);  // about
// One that arrives with more has none: small ones take more memory here than on the way.
inline constexpr size_t kHeadersCountMax = 512;

// BAD_REQUEST names what AMQP cannot carry: a property or a name of more than 255 bytes, or too many headers.
absl::Status CheckMessage(const std::string& queue, const Message& message);

}  // namespace waybill::amqp

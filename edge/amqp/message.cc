#include "edge/amqp/message.h"

#include <algorithm>

#include "domain/reasons.h"

namespace waybill::amqp {

const HeaderValue* FindHeader(const Headers& headers, std::string_view name) {
  const auto found =
      std::find_if(headers.begin(), headers.end(), [&](const auto& header) { return header.first == name; });
  return found == headers.end() ? nullptr : &found->second;
}

std::string HeaderText(const Headers& headers, std::string_view name) {
  const HeaderValue* value = FindHeader(headers, name);
  const std::string* text = value == nullptr ? nullptr : std::get_if<std::string>(value);
  return text == nullptr ? "" : *text;
}

std::optional<int64_t> HeaderInteger(const Headers& headers, std::string_view name) {
  const HeaderValue* value = FindHeader(headers, name);
  const int64_t* integer = value == nullptr ? nullptr : std::get_if<int64_t>(value);
  return integer == nullptr ? std::nullopt : std::optional(*integer);
}

void SetHeader(Headers& headers, std::string_view name, HeaderValue value) {
  RemoveHeader(headers, name);
  headers.emplace_back(std::string(name), std::move(value));
}

void RemoveHeader(Headers& headers, std::string_view name) {
  headers.erase(
      std::remove_if(headers.begin(), headers.end(), [&](const auto& header) { return header.first == name; }),
      headers.end());
}

size_t SizeOf(const Headers& headers) {
  constexpr size_t kKindAndLengths = 6;
  size_t size = 0;
  for (const auto& [name, value] : headers) {
    const auto* text = std::get_if<std::string>(&value);
    size += kKindAndLengths + name.size() + (text == nullptr ? 8 : text->size());
  }
  return size;
}

absl::Status CheckMessage(const std::string& queue, const Message& message) {
  constexpr size_t kShortMax = 255;
  domain::Violations violations;
  const auto check = [&](std::string_view name, const std::string& text) {
    if (text.size() > kShortMax) violations.Add(std::string(name), "is longer than 255 bytes");
  };
  check("queue", queue);
  check("content_type", message.content_type);
  check("content_encoding", message.content_encoding);
  check("correlation_id", message.correlation_id);
  check("reply_to", message.reply_to);
  check("message_id", message.message_id);
  check("type", message.type);
  check("app_id", message.app_id);
  for (const auto& [name, value] : message.headers) check("headers", name);
  if (SizeOf(message.headers) > kHeadersMax) violations.Add("headers", "are larger than 100 KiB");
  return std::move(violations).ToStatus();
}

}  // namespace waybill::amqp

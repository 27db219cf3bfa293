// A client of WebSockets that sends just the frames it is told to, right or wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fmt/format.h"
#include "tests/edge/http/http_client.h"

namespace waybill::http {

struct Frame {
  bool fin = true;
  int reserved = 0;
  int opcode = 1;
  std::string payload;
};

inline constexpr int kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

// As a client has to send it; `masked` false: as none may.
inline std::string Bytes(const Frame& frame, bool masked = true) {
  constexpr std::string_view kMask = "\x12\x34\x56\x78";
  std::string bytes;
  bytes.push_back(static_cast<char>((frame.fin ? 0x80 : 0) | frame.reserved << 4 | frame.opcode));
  const size_t size = frame.payload.size();
  const int bit = masked ? 0x80 : 0;
  if (size < 126) {
    bytes.push_back(static_cast<char>(bit | static_cast<int>(size)));
  } else if (size <= 0xFFFF) {
    bytes.push_back(static_cast<char>(bit | 126));
    for (int shift = 8; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(size >> shift));
  } else {
    bytes.push_back(static_cast<char>(bit | 127));
    for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(size >> shift));
  }
  if (masked) bytes.append(kMask);
  for (size_t i = 0; i < size; ++i) {
    bytes.push_back(masked ? static_cast<char>(frame.payload[i] ^ kMask[i % 4]) : frame.payload[i]);
  }
  return bytes;
}

inline Frame CloseFrame(uint16_t code, std::string_view reason = "") {
  std::string payload{static_cast<char>(code >> 8), static_cast<char>(code)};
  return {true, 0, kClose, payload.append(reason)};
}

inline std::string UpgradeRequest(const std::string& path, const std::string& fields = "") {
  return fmt::format(
      "GET {} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
      path, fields);
}

class WebSocketClient : public RawClient {
 public:
  using RawClient::RawClient;

  // The head of the answer.
  std::string Upgrade(const std::string& path, const std::string& fields = "") {
    RawClient::Send(UpgradeRequest(path, fields));
    return ReadUntil("\r\n\r\n");
  }
  void Send(const Frame& frame) { RawClient::Send(Bytes(frame)); }
  void SendText(const std::string& text) { Send({true, 0, kText, text}); }

  // nullopt: the connection has ended.
  std::optional<Frame> Read() {
    const std::optional<std::string> head = ReadExactly(2);
    if (!head) return std::nullopt;
    Frame frame;
    frame.fin = ((*head)[0] & 0x80) != 0;
    frame.reserved = ((*head)[0] >> 4) & 7;
    frame.opcode = (*head)[0] & 15;
    EXPECT_EQ((*head)[1] & 0x80, 0) << "a server masks nothing";
    uint64_t size = (*head)[1] & 0x7F;
    if (size > 125) {
      const std::optional<std::string> longer = ReadExactly(size == 126 ? 2 : 8);
      if (!longer) return std::nullopt;
      size = 0;
      for (const char c : *longer) size = size << 8 | static_cast<unsigned char>(c);
    }
    std::optional<std::string> payload = ReadExactly(size);
    if (!payload) return std::nullopt;
    frame.payload = *std::move(payload);
    return frame;
  }
  // What the next message says; for others than text what they are.
  std::string ReadText() {
    const std::optional<Frame> frame = Read();
    if (!frame) return "(the connection has ended)";
    return frame->opcode == kText && frame->fin ? frame->payload : Describe(*frame);
  }
  // "1000 reason": of the next frame, which closes, and is the last one.
  std::string ReadClose() {
    const std::optional<Frame> frame = Read();
    if (!frame) return "(the connection has ended)";
    EXPECT_FALSE(frame->opcode == kClose && Read().has_value()) << "something came behind the close frame";
    return Describe(*frame);
  }
  static std::string Describe(const Frame& frame) {
    if (frame.opcode != kClose) return fmt::format("(frame {} of {} bytes)", frame.opcode, frame.payload.size());
    if (frame.payload.size() < 2) return "none";
    const int code = static_cast<unsigned char>(frame.payload[0]) << 8 | static_cast<unsigned char>(frame.payload[1]);
    return frame.payload.size() == 2 ? fmt::format("{}", code) : fmt::format("{} {}", code, frame.payload.substr(2));
  }

 private:
  std::optional<std::string> ReadExactly(size_t size) {
    std::string bytes(size, '\0');
    for (size_t at = 0; at < size;) {
      const ssize_t n = recv(fd(), bytes.data() + at, size - at, 0);
      if (n <= 0) return std::nullopt;
      at += static_cast<size_t>(n);
    }
    return bytes;
  }
};

}  // namespace waybill::http

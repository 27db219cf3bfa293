// A client that writes the frames of HTTP/2 itself, for what no gRPC library can be made to send: a timeout of nothing
// or of centuries, a call that is reset in the same breath.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace waybill::rpc {

class RawHttp2 {
 public:
  explicit RawHttp2(int port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(kSettings, 0, 0, ""));
  }
  ~RawHttp2() { close(socket_); }
  RawHttp2(const RawHttp2&) = delete;
  RawHttp2& operator=(const RawHttp2&) = delete;

  // The frames of a whole unary call. Streams have odd numbers that grow.
  static std::string Call(uint32_t stream, const std::string& method, const std::string& message,
                          const std::vector<std::pair<std::string, std::string>>& headers) {
    std::string block = "\x83\x86";  // :method POST, :scheme http
    block += Header(":path", "/" + method) + Header(":authority", "raw") + Header("te", "trailers") +
             Header("content-type", "application/grpc");
    for (const auto& [name, value] : headers) block += Header(name, value);
    return Frame(kHeaders, kEndHeaders, stream, block) +
           Frame(kData, kEndStream, stream, std::string(1, '\0') + Number(message.size(), 4) + message);
  }
  // The client gives the stream up: CANCEL.
  static std::string Reset(uint32_t stream) { return Frame(kReset, 0, stream, Number(8, 4)); }

  // All in one piece, so that the server reads it at once.
  void Send(const std::string& bytes) {
    EXPECT_EQ(send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // Returns when the server has read all that was sent before.
  void AwaitPing() {
    const std::string payload = Number(++pings_, 8);
    Send(Frame(kPing, 0, 0, payload));
    while (true) {
      const std::string header = Receive(9);
      if (header.size() < 9) return;
      const size_t size = static_cast<uint8_t>(header[0]) << 16 | static_cast<uint8_t>(header[1]) << 8 |
                          static_cast<uint8_t>(header[2]);
      const std::string body = Receive(size);
      if (header[3] == kPing && header[4] == kAck && body == payload) return;
    }
  }

 private:
  static constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6;
  static constexpr uint8_t kAck = 1;
  static constexpr uint8_t kEndStream = 1, kEndHeaders = 4;

  static std::string Number(uint64_t number, int bytes) {
    std::string out;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(number >> shift);
    return out;
  }
  static std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
    return Number(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) + Number(stream, 4) + payload;
  }
  // A literal, not indexed, not compressed; both below 127 bytes.
  static std::string Header(const std::string& name, const std::string& value) {
    return std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
  }

  std::string Receive(size_t size) {
    std::string bytes(size, '\0');
    if (size > 0 && recv(socket_, bytes.data(), size, MSG_WAITALL) != static_cast<ssize_t>(size)) {
      ADD_FAILURE() << "the server hung up";
      bytes.clear();
    }
    return bytes;
  }

  const int socket_;
  uint64_t pings_ = 0;
};

}  // namespace waybill::rpc

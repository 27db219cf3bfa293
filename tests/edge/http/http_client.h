// A client that sends just the bytes it is told to.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "gtest/gtest.h"

namespace waybill::http {

class RawClient {
 public:
  explicit RawClient(int port, int family = AF_INET) : fd_(socket(family, SOCK_STREAM, 0)) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<uint16_t>(port));
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = v4.sin_port;
    v6.sin6_addr = in6addr_loopback;
    const int connected = family == AF_INET ? ::connect(fd_, reinterpret_cast<sockaddr*>(&v4), sizeof v4)
                                            : ::connect(fd_, reinterpret_cast<sockaddr*>(&v6), sizeof v6);
    EXPECT_EQ(connected, 0);
  }
  ~RawClient() { close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void Send(const std::string& text) {
    EXPECT_EQ(send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  // Whether somebody listens there.
  static bool Connects(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    return connected;
  }
  // Up to the end of the connection.
  std::string ReadAll() {
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = recv(fd_, buffer, sizeof buffer, 0)) > 0;) text.append(buffer, static_cast<size_t>(n));
    return text;
  }

  // Until `text` has come, or the connection's end.
  std::string ReadUntil(const std::string& text) {
    std::string read;
    char c;
    while (read.find(text) == std::string::npos && recv(fd_, &c, 1, 0) == 1) read.push_back(c);
    return read;
  }
  void HalfClose() { shutdown(fd_, SHUT_WR); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace waybill::http

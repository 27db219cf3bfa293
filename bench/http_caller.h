// One kept connection to an HTTP server, without TLS: a request at a time, each answered with a Content-Length, or by
// 204.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace waybill::bench {

class HttpCaller {
 public:
  HttpCaller() = default;
  ~HttpCaller();
  HttpCaller(HttpCaller&& other) noexcept : fd_(std::exchange(other.fd_, -1)), answer_(std::move(other.answer_)) {}
  HttpCaller& operator=(HttpCaller&&) = delete;

  // `target`: host:port, the host an IPv4 address. INVALID_ARGUMENT, UNAVAILABLE. Blocks.
  absl::Status Connect(const std::string& target);
  int fd() const { return fd_; }

  // Sends it; it is small enough for the socket's buffer. UNAVAILABLE when the connection was closed.
  absl::Status Ask(const std::string& request);
  // Reads what is there: the status code once that completes the answer. Blocks when nothing is.
  absl::StatusOr<std::optional<int>> Read();
  const std::string& answer() const { return answer_; }  // head and body, as far as it came

 private:
  int fd_ = -1;
  std::string answer_;
};

}  // namespace waybill::bench

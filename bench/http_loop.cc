#include "bench/http_loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "fmt/format.h"

namespace waybill::bench {

HttpLoop::HttpLoop(const Timer& timer) : timer_(timer), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

HttpLoop::~HttpLoop() { close(epoll_); }

void HttpLoop::Caller::Call(const std::string& head, const std::string& body, absl::Duration timeout, Done done) {
  const size_t line = std::min(head.find("\r\n"), head.size());
  const std::string request =
      fmt::format("{} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json{}\r\nContent-Length: {}\r\n\r\n{}",
                  head.substr(0, line), target_, head.substr(line), body.size(), body);
  done_ = std::move(done);
  began_ = loop_.Now();
  const int64_t call = ++calls_;
  // Nothing is owed to us, so whatever there is to read is an end.
  char byte;
  if (http_ && (recv(http_->fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)) http_.reset();
  absl::Status sent = absl::UnavailableError("no connection yet");
  if (http_) sent = http_->Ask(request);
  if (!sent.ok()) {
    http_.emplace();
    sent = http_->Connect(target_);
    if (sent.ok()) {
      epoll_event event{EPOLLIN, {this}};
      epoll_ctl(loop_.epoll_, EPOLL_CTL_ADD, http_->fd(), &event);
      sent = http_->Ask(request);
    }
  }
  // What could not be sent is told of later, too: never before this returns.
  loop_.At(sent.ok() ? began_ + timeout : began_, [this, call] {
    if (done_ == nullptr || call != calls_) return;
    http_.reset();
    End(0);
  });
}

void HttpLoop::Caller::Readable() {
  const absl::StatusOr<std::optional<int>> code = http_->Read();
  if (code.ok() && done_ != nullptr) {
    if (*code) End(**code);
    return;
  }
  http_.reset();  // it ended, perhaps between two calls
  if (done_ != nullptr) End(0);
}

void HttpLoop::Caller::End(int code) {
  Answer answer;
  answer.code = code;
  answer.took = loop_.Now() - began_;
  if (http_)
    answer.body = http_->answer().substr(std::min(http_->answer().find("\r\n\r\n") + 4, http_->answer().size()));
  std::exchange(done_, nullptr)(answer);
}

void HttpLoop::Run(const std::function<bool()>& ended) {
  std::array<epoll_event, 64> events;
  while (!ended()) {
    const absl::Duration now = timer_.Now();
    if (!tasks_.empty() && tasks_.begin()->first <= now) {
      const Task task = std::move(tasks_.begin()->second);
      tasks_.erase(tasks_.begin());
      task();
      continue;
    }
    std::optional<timespec> wait;
    if (!tasks_.empty()) wait = absl::ToTimespec(tasks_.begin()->first - now);
    const int count = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), wait ? &*wait : nullptr,
                                   /*sigmask=*/nullptr);
    for (int i = 0; i < count; ++i) static_cast<Caller*>(events[static_cast<size_t>(i)].data.ptr)->Readable();
  }
}

}  // namespace waybill::bench

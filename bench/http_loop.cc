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
  pending_.push_back(
      {fmt::format("{} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json{}\r\nContent-Length: {}\r\n\r\n{}",
                   head.substr(0, line), target_, head.substr(line), body.size(), body),
       timeout, std::move(done)});
  if (pending_.size() == 1) Begin();
}

void HttpLoop::Caller::Begin() {
  const Pending& pending = pending_.front();
  began_ = loop_.Now();
  const int64_t call = ++calls_;
  // Nothing is owed to us, so whatever there is to read is an end.
  char byte;
  if (http_ && (recv(http_->fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)) Disconnect();
  absl::Status sent = absl::UnavailableError("no connection yet");
  if (http_) sent = http_->Ask(pending.request);
  if (!sent.ok()) {
    Disconnect();
    http_.emplace();
    sent = http_->Connect(target_);
    if (sent.ok()) {
      epoll_event event{EPOLLIN, {this}};
      epoll_ctl(loop_.epoll_, EPOLL_CTL_ADD, http_->fd(), &event);
      sent = http_->Ask(pending.request);
    }
  }
  // What could not be sent is told of later, too: never before Call returns.
  loop_.At(sent.ok() ? began_ + pending.timeout : began_, [this, call] {
    if (pending_.empty() || call != calls_) return;
    Disconnect();
    End(0);
  });
}

// A close is not enough: while a child that was forked has not become its program, the socket lives on there, and its
// events would still come.
void HttpLoop::Caller::Disconnect() {
  if (http_) epoll_ctl(loop_.epoll_, EPOLL_CTL_DEL, http_->fd(), nullptr);
  http_.reset();
}

void HttpLoop::Caller::Readable() {
  const absl::StatusOr<std::optional<int>> code = http_->Read();
  if (code.ok() && !pending_.empty()) {
    if (*code) End(**code);
    return;
  }
  Disconnect();  // it ended, perhaps between two calls
  if (!pending_.empty()) End(0);
}

void HttpLoop::Caller::End(int code) {
  Answer answer;
  answer.code = code;
  answer.took = loop_.Now() - began_;
  if (http_) {
    answer.body = http_->answer().substr(std::min(http_->answer().find("\r\n\r\n") + 4, http_->answer().size()));
  }
  const Done done = std::move(pending_.front().done);
  pending_.pop_front();
  ++calls_;  // its time-out is nobody else's
  if (!pending_.empty()) Begin();
  done(answer);
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

#include "bench/webhook_load.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <optional>

#include "absl/time/clock.h"
#include "bench/http_caller.h"
#include "fmt/format.h"
#include "webhooks/signature.h"

namespace waybill::bench {
namespace {

struct WebhookCaller {
  HttpCaller http;
  absl::Duration due;  // of what it asks
};

std::string RequestOf(const WebhookLoadOptions& options, int64_t number) {
  const std::string& body = options.bodies[static_cast<size_t>(number) % options.bodies.size()];
  const std::string id = fmt::format("{}-{}", options.run, number);
  const absl::Time now = absl::Now();
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nWebhook-Id: {}\r\nWebhook-Timestamp: {}\r\n"
      "Webhook-Signature: {}\r\nContent-Length: {}\r\n\r\n{}",
      options.path, options.target, id, absl::ToUnixSeconds(now), webhooks::Sign({options.secret}, id, now, body),
      body.size(), body);
}

}  // namespace

absl::StatusOr<WebhookLoadResult> SendWebhooks(const WebhookLoadOptions& options, const Timer& timer) {
  std::vector<WebhookCaller> callers(static_cast<size_t>(options.connections));
  std::deque<WebhookCaller*> idle;
  const int ready = epoll_create1(EPOLL_CLOEXEC);
  absl::Status wrong;
  for (WebhookCaller& caller : callers) {
    wrong = caller.http.Connect(options.target);
    if (!wrong.ok()) break;
    epoll_event event{EPOLLIN, {&caller}};
    epoll_ctl(ready, EPOLL_CTL_ADD, caller.http.fd(), &event);
    idle.push_back(&caller);
  }
  WebhookLoadResult result;
  const absl::Duration interval = absl::Seconds(1) / options.rate;
  const absl::Duration begin = timer.Now(), window = begin + options.warm_up, end = window + options.duration;
  std::array<epoll_event, 64> events;
  int64_t next = 0;
  const auto due = [&] { return begin + interval * next; };
  while (wrong.ok() && (due() < end || idle.size() < callers.size())) {
    while (wrong.ok() && !idle.empty() && due() < end && due() <= timer.Now()) {
      WebhookCaller& caller = *idle.front();
      idle.pop_front();
      caller.due = due();
      wrong = caller.http.Ask(RequestOf(options, next++));
    }
    // What is due while every connection is busy goes out with the next answer.
    std::optional<timespec> wait;
    if (!idle.empty() && due() < end) {
      wait = absl::ToTimespec(std::max(due() - timer.Now(), absl::ZeroDuration()));
    }
    const int count = epoll_pwait2(ready, events.data(), static_cast<int>(events.size()), wait ? &*wait : nullptr,
                                   /*sigmask=*/nullptr);
    for (int i = 0; i < count && wrong.ok(); ++i) {
      WebhookCaller& caller = *static_cast<WebhookCaller*>(events[static_cast<size_t>(i)].data.ptr);
      const absl::StatusOr<std::optional<int>> code = caller.http.Read();
      if (!code.ok()) {
        wrong = code.status();
      } else if (*code) {
        ++result.all[**code];
        if (caller.due >= window) result.latency.Record(timer.Now() - caller.due);
        idle.push_back(&caller);
      }
    }
  }
  close(ready);
  if (!wrong.ok()) return wrong;
  return result;
}

}  // namespace waybill::bench

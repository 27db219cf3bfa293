#include "bench/balancer.h"

#include <fstream>

#include "absl/time/clock.h"
#include "bench/http_caller.h"
#include "fmt/format.h"

namespace waybill::bench {
namespace {

constexpr absl::Duration kBalancerTimeout = absl::Seconds(10);

// A request that may have reached an instance is nobody else's: only one whose connection was refused goes elsewhere.
constexpr char kConfiguration[] = R"(global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 1s
  timeout client 90s
  timeout server 90s
  retries 3
  retry-on conn-failure
  option redispatch 1
  http-reuse always
frontend front
  bind 127.0.0.1:{}
  default_backend instances
backend instances
  balance roundrobin
  default-server check inter 200ms fall 1 rise 1
)";

}  // namespace

absl::StatusOr<std::unique_ptr<Child>> StartBalancer(const BalancerOptions& options) {
  if (!std::filesystem::exists(options.binary)) {
    return absl::NotFoundError(fmt::format("no {}: install Debian's haproxy", options.binary.string()));
  }
  const std::filesystem::path file = options.folder / (options.name + ".haproxy.cfg");
  {
    std::ofstream text(file);
    text << fmt::format(kConfiguration, options.port);
    for (size_t at = 0; at < options.instances.size(); ++at) {
      text << fmt::format("  server instance-{} 127.0.0.1:{}\n", at + 1, options.instances[at]);
    }
  }
  auto process = Child::Start(options.binary, {"-db", "-f", file}, options.folder / (options.name + ".haproxy.log"));
  if (!process.ok()) return process.status();
  const std::string target = fmt::format("127.0.0.1:{}", options.port);
  for (const absl::Time deadline = absl::Now() + kBalancerTimeout; !HttpCaller().Connect(target).ok();) {
    if (!(*process)->Running()) return (*process)->Join(absl::ZeroDuration());
    if (absl::Now() > deadline) return absl::DeadlineExceededError(fmt::format("haproxy does not serve {}", target));
    absl::SleepFor(absl::Milliseconds(5));
  }
  return process;
}

}  // namespace waybill::bench

#include "runtime/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdlib>

#include "fmt/format.h"

namespace waybill {
namespace {

enum class Action : uint8_t { kNone, kKill, kStop };

// The one process-wide state of Waybill. A failpoint must be reachable from any line of any layer without handing an
// object through constructors that exist for production; and what it does, a signal to the whole process, is
// process-wide anyway.
struct Failpoint {
  std::atomic<Action> action{Action::kNone};
  std::atomic<uint64_t> hits{0};
  uint64_t fires_at = 1;  // written before `action`
};
std::array<Failpoint, std::size(kFailpoints)> g_failpoints;

struct Order {
  size_t index;
  Action action;
  uint64_t fires_at = 1;
};

absl::Status Malformed(std::string_view part, std::string_view why) {
  return absl::InvalidArgumentError(
      fmt::format("bad failpoint '{}': {}; expected name=kill|stop[@hit], separated by ';'", part, why));
}

absl::Status Parse(std::string_view part, Order& order) {
  size_t equals = part.find('=');
  if (equals == std::string_view::npos) return Malformed(part, "no '='");
  order.index = FailpointIndex(part.substr(0, equals));
  if (order.index == std::size(kFailpoints)) return Malformed(part, "no such name");
  std::string_view action = part.substr(equals + 1);
  size_t at = action.find('@');
  if (at != std::string_view::npos) {
    std::string_view number = action.substr(at + 1);
    action = action.substr(0, at);
    auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), order.fires_at);
    if (error != std::errc() || end != number.data() + number.size() || order.fires_at == 0) {
      return Malformed(part, "the hit after '@' is not a positive number");
    }
  }
  if (action == "kill") {
    order.action = Action::kKill;
  } else if (action == "stop") {
    order.action = Action::kStop;
  } else {
    return Malformed(part, "unknown action");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ArmFailpoints(std::string_view spec) {
  if (spec.empty()) return absl::OkStatus();
  if (!kFailpointsCompiledIn) {
    return absl::FailedPreconditionError("failpoints are armed, but this build has none (WAYBILL_FAILPOINTS=OFF)");
  }
  std::array<Order, std::size(kFailpoints)> orders{};
  size_t count = 0;
  while (true) {
    size_t end = spec.find(';');
    std::string_view part = spec.substr(0, end);
    Order order{};
    order.fires_at = 1;
    if (absl::Status parsed = Parse(part, order); !parsed.ok()) return parsed;
    for (size_t i = 0; i < count; ++i) {
      if (orders[i].index == order.index) return Malformed(part, "named twice");
    }
    orders[count++] = order;
    if (end == std::string_view::npos) break;
    spec.remove_prefix(end + 1);
  }
  for (size_t i = 0; i < count; ++i) {
    Failpoint& failpoint = g_failpoints[orders[i].index];
    failpoint.hits = 0;
    failpoint.fires_at = orders[i].fires_at;
    failpoint.action = orders[i].action;
  }
  return absl::OkStatus();
}

absl::Status ArmFailpointsFromEnvironment() {
  const char* spec = std::getenv("WAYBILL_FAILPOINT");
  return ArmFailpoints(spec == nullptr ? "" : spec);
}

std::string ListFailpoints() {
  std::string lines;
  if (!kFailpointsCompiledIn) return lines;
  for (std::string_view name : kFailpoints) {
    lines += name;
    lines += '\n';
  }
  return lines;
}

void HitFailpoint(size_t index) {
  Failpoint& failpoint = g_failpoints[index];
  Action action = failpoint.action.load(std::memory_order_acquire);
  if (action == Action::kNone) return;
  uint64_t hit = failpoint.hits.fetch_add(1) + 1;
  if (hit != failpoint.fires_at) return;
  std::string line =
      fmt::format("failpoint {} hit {}: {}\n", kFailpoints[index], hit, action == Action::kKill ? "kill" : "stop");
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  // raise() aims at this thread, so that it takes the signal on its way out of the system call and runs no further; a
  // signal to the process may be taken by another thread a moment later.
  raise(action == Action::kKill ? SIGKILL : SIGSTOP);
}

}  // namespace waybill

// kill -9 at every failpoint of the order half, restart, settle, and look at the books.
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/failpoint.h"
#include "tests/e2e/crash_story.h"
#include "tests/support/long_forms.h"

namespace waybill::testing {
namespace {

// The registry without what waybill-ingest hits (ingest_crash_e2etest), what only routed orders do (routed_e2etest),
// webhooks (webhooks_e2etest), payments without an order (race_e2etest), rules of risk (risk_e2etest), the ledger
// (ledger_e2etest), and payouts (payouts_e2etest).
std::vector<std::string_view> OrderFailpoints() {
  std::vector<std::string_view> names;
  for (std::string_view name : kFailpoints) {
    const bool of_others = name.starts_with("ingest.") || name.starts_with("route.") || name.starts_with("inbox.") ||
                           name.starts_with("webhook.") || name.starts_with("take_payment.") ||
                           name.starts_with("capture.") || name.starts_with("risk.") ||
                           name.starts_with("create_transfers.") || name.starts_with("pay_out.") ||
                           name.starts_with("create_payout.");
    if (!of_others) names.push_back(name);
  }
  return names;
}

// Only a remote dispatcher is called; the built-in one picks.
bool NeedsRemoteDispatch(std::string_view failpoint) { return failpoint.starts_with("dispatch."); }

using Tell = void (CrashStory::*)();

// Tells a story to a service that dies at `kills[0]`, then, restarted, at `kills[1]`, and so on: again from the start
// until each has happened. What went wrong.
std::vector<std::string> DieAt(const std::vector<std::string>& kills, bool remote_dispatch, Tell tell) {
  StackOptions options;
  options.remote_dispatch = remote_dispatch;
  options.order_args = StoryArgs();
  if (remote_dispatch) options.sandbox_args = {"--drivers", "50"};
  Stack stack(options);
  OrderReplica& replica = stack.AddReplica("replica-1");
  if (!remote_dispatch) stack.PutDrivers(20);

  size_t fired = 0;
  auto restart = [&] {
    if (fired < kills.size() &&
        replica.process().Output().find("failpoint " + kills[fired] + " hit") != std::string::npos)
      ++fired;
    Environment env;
    if (fired < kills.size()) env.emplace_back("WAYBILL_FAILPOINT", kills[fired] + "=kill");
    replica.StartWithoutWaiting(env);
    if (!replica.WaitForPorts() && !replica.running()) return;  // died at once: found dead again, and started again
  };
  replica.Start();
  CrashStory story(stack, replica, restart);
  for (size_t chapter = 0; chapter < kills.size() && fired < kills.size(); ++chapter) {
    if (tell == &CrashStory::Tell) {
      story.LeaveAnOrphan();
    } else {
      replica.Kill();  // without one: what is hit first is hit by an order that waits
    }
    restart();
    (story.*tell)();
    if (!replica.running()) restart();
  }

  std::vector<std::string> wrong = story.complaints();
  if (fired < kills.size()) wrong.push_back(kills[fired] + " never fired");
  if (!stack.WaitUntilAllSettled()) wrong.push_back(fmt::format("{} sagas never settle", stack.Unfinished()));
  for (std::string& what : stack.WrongInTheBooks()) wrong.push_back(std::move(what));
  if (auto code = replica.Stop(); code != 0)
    wrong.push_back(fmt::format("does not stop in good order: {}", code.value_or(-1)));
  for (std::string& what : wrong) what = fmt::format("[{}] {}", fmt::join(kills, ", "), what);
  return wrong;
}

// Each scenario has its own processes and mostly waits, so several run at once.
void RunAll(const std::vector<std::vector<std::string>>& scenarios, Tell tell = &CrashStory::Tell) {
  std::mutex mutex;
  std::vector<std::string> wrong;
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      for (size_t at; (at = next++) < scenarios.size();) {
        bool remote = false;
        for (const std::string& kill : scenarios[at]) remote |= NeedsRemoteDispatch(kill);
        std::vector<std::string> found = DieAt(scenarios[at], remote, tell);
        std::lock_guard lock(mutex);
        wrong.insert(wrong.end(), found.begin(), found.end());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& what : wrong) ADD_FAILURE() << what;
}

TEST(Crash, AtEveryFailpoint) {
  ASSERT_TRUE(kFailpointsCompiledIn);
  std::vector<std::vector<std::string>> scenarios;
  for (std::string_view failpoint : OrderFailpoints()) scenarios.push_back({std::string(failpoint)});
  RunAll(scenarios);
}

TEST(Crash, AtEveryFailpointWithOrdersThatWait) {
  std::vector<std::vector<std::string>> scenarios;
  for (std::string_view failpoint : OrderFailpoints()) scenarios.push_back({std::string(failpoint)});
  RunAll(scenarios, &CrashStory::TellOfWaiting);
}

TEST(Crash, AtPairsOfFailpoints) {
  std::vector<std::vector<std::string>> scenarios;
  for (std::string_view first : OrderFailpoints()) {
    for (std::string_view second : OrderFailpoints()) {
      if (NeedsRemoteDispatch(first) != NeedsRemoteDispatch(second)) continue;
      if (!LongForms() && !(first == "advance.before_commit" && second == "refund.after_receive")) continue;
      scenarios.push_back({std::string(first), std::string(second)});
    }
  }
  RunAll(scenarios);
}

}  // namespace
}  // namespace waybill::testing

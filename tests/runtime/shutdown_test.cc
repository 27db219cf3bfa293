#include "runtime/shutdown.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <thread>

#include "gtest/gtest.h"
#include "runtime/clock.h"

namespace waybill {
namespace {

using ::testing::ExitedWithCode;

// Each test runs in a forked child: the signal mask and the exits are the process's.
[[noreturn]] void BlockForEver() {
  while (true) pause();
}

TEST(ShutdownSignals, WaitReturnsTheSignalThatAskedForTheStop) {
  EXPECT_EXIT(
      {
        ShutdownSignals signals;
        kill(getpid(), SIGTERM);
        if (signals.Wait() != SIGTERM) std::exit(1);
        kill(getpid(), SIGINT);
        if (signals.Wait() != SIGINT) std::exit(2);
        std::exit(0);
      },
      ExitedWithCode(0), "");
}

TEST(ShutdownSignals, OtherThreadsDoNotSeeTheSignals) {
  EXPECT_EXIT(
      {
        ShutdownSignals signals;
        std::thread([] { BlockForEver(); }).detach();
        kill(getpid(), SIGTERM);
        std::exit(signals.Wait() == SIGTERM ? 0 : 1);
      },
      ExitedWithCode(0), "");
}

TEST(ShutdownSignals, WritingToAClosedPipeIsAnErrorAndNotDeath) {
  EXPECT_EXIT(
      {
        ShutdownSignals signals;
        int ends[2];
        if (pipe(ends) != 0) std::exit(1);
        close(ends[0]);
        std::exit(write(ends[1], "x", 1) == -1 && errno == EPIPE ? 0 : 2);
      },
      ExitedWithCode(0), "");
}

TEST(StopWatchdog, SecondSignalExitsAtOnce) {
  EXPECT_EXIT(
      {
        SystemClock clock;
        Logger log(LogFormat::kJson, LogLevel::kInfo, clock);
        ShutdownSignals signals;
        kill(getpid(), SIGTERM);
        signals.Wait();
        StopWatchdog watchdog(absl::Minutes(5), log);
        kill(getpid(), SIGINT);
        BlockForEver();
      },
      ExitedWithCode(128 + SIGINT), "second signal");
}

TEST(StopWatchdog, StopThatTakesTooLongExitsWithOne) {
  EXPECT_EXIT(
      {
        SystemClock clock;
        Logger log(LogFormat::kJson, LogLevel::kInfo, clock);
        ShutdownSignals signals;
        StopWatchdog watchdog(absl::Milliseconds(1), log);
        BlockForEver();
      },
      ExitedWithCode(1), "stopping took too long");
}

TEST(StopWatchdog, StopInTimeEndsTheWatch) {
  EXPECT_EXIT(
      {
        SystemClock clock;
        Logger log(LogFormat::kJson, LogLevel::kInfo, clock);
        ShutdownSignals signals;
        for (int i = 0; i < 100; ++i) StopWatchdog watchdog(absl::Minutes(5), log);
        kill(getpid(), SIGTERM);  // still ours to wait for
        std::exit(signals.Wait() == SIGTERM ? 0 : 1);
      },
      ExitedWithCode(0), "");
}

}  // namespace
}  // namespace waybill

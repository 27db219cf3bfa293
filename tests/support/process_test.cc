#include "tests/support/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "tests/support/eventually.h"
#include "tests/support/temp_directory.h"

namespace waybill::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

constexpr absl::Duration kLong = absl::Seconds(30);

std::unique_ptr<Process> Shell(const std::string& script, ProcessOptions options = {}) {
  options.args = {"-c", script};
  absl::StatusOr<std::unique_ptr<Process>> process = Process::Start("sh", std::move(options));
  EXPECT_TRUE(process.ok()) << process.status();
  return process.ok() ? *std::move(process) : nullptr;
}

TEST(Process, GivesExitCodeAndOutput) {
  auto process = Shell("echo out; echo err >&2; exit 3");
  EXPECT_THAT(process->Wait(kLong), Optional(3));
  EXPECT_FALSE(process->Running());
  EXPECT_EQ(process->Output(), "out\nerr\n");
}

TEST(Process, FindsLinesInOrderOfWriting) {
  auto process = Shell("echo first=1; echo second=2; sleep 60");
  EXPECT_THAT(process->WaitForLine("second", kLong), Optional(std::string("second=2")));
  EXPECT_THAT(process->WaitForLine("first", kLong), Optional(std::string("first=1")));
  EXPECT_EQ(process->WaitForLine("third", absl::Milliseconds(20)), std::nullopt);
}

TEST(Process, StopsWaitingForALineWhenTheChildEnds) {
  auto process = Shell("echo something else");
  EXPECT_EQ(process->WaitForLine("missing", absl::InfiniteDuration()), std::nullopt);
}

TEST(Process, IsNotBlockedByOutputNobodyReads) {
  auto process = Shell("head -c 1000000 /dev/zero");
  EXPECT_THAT(process->Wait(kLong), Optional(0));
  EXPECT_EQ(process->Output().size(), 1000000u);
}

TEST(Process, WaitIsBounded) {
  auto process = Shell("sleep 60");
  EXPECT_EQ(process->Wait(absl::Milliseconds(20)), std::nullopt);
  EXPECT_TRUE(process->Running());
}

TEST(Process, ReportsTheSignalThatEndedIt) {
  auto process = Shell("sleep 60");
  EXPECT_TRUE(process->Signal(SIGKILL));
  EXPECT_THAT(process->Wait(kLong), Optional(128 + SIGKILL));
  EXPECT_FALSE(process->Signal(SIGKILL));
}

TEST(Process, StopsAndContinues) {
  auto process = Shell("trap 'echo woken; exit 0' CONT; echo ready; while :; do sleep 0.05; done");
  ASSERT_TRUE(process->WaitForLine("ready", kLong));
  process->Signal(SIGSTOP);
  EXPECT_EQ(process->Wait(absl::Milliseconds(20)), std::nullopt);
  process->Signal(SIGCONT);
  EXPECT_THAT(process->Wait(kLong), Optional(0));
  EXPECT_THAT(process->Output(), HasSubstr("woken"));
}

TEST(Process, PassesEnvironmentAndFolder) {
  TempDirectory folder;
  ProcessOptions options;
  options.env = {{"WAYBILL_GREETING", "hello there"}};
  options.working_directory = folder.path();
  auto process = Shell("echo $WAYBILL_GREETING; pwd", std::move(options));
  process->Wait(kLong);
  EXPECT_EQ(process->Output(), "hello there\n" + folder.path().string() + "\n");
}

TEST(Process, SaysWhatCouldNotBeStarted) {
  const auto missing = Process::Start("/nonexistent/binary", {});
  EXPECT_TRUE(absl::IsNotFound(missing.status())) << missing.status();
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/nonexistent/binary"));
  ProcessOptions options;
  options.working_directory = "/nonexistent";
  EXPECT_FALSE(Process::Start("true", std::move(options)).ok());
}

TEST(Process, DoesNotInheritTheDescriptorsOfTheTest) {
  std::array<int, 2> leak;
  ASSERT_EQ(pipe(leak.data()), 0);  // without close-on-exec
  auto process = Shell("ls /proc/self/fd | wc -l");
  process->Wait(kLong);
  close(leak[0]);
  close(leak[1]);
  EXPECT_EQ(process->Output(), "4\n");  // 0, 1, 2 and the folder that ls reads
}

TEST(Process, IsKilledWithTheObject) {
  pid_t pid;
  {
    auto process = Shell("sleep 60");
    pid = process->pid();
    ASSERT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST(Process, OutlivesTheThreadThatStartedIt) {
  std::unique_ptr<Process> process;
  std::thread([&] { process = Shell("read line < /dev/null; echo alive; sleep 60"); }).join();
  EXPECT_TRUE(process->WaitForLine("alive", kLong));
  EXPECT_EQ(process->Wait(absl::Milliseconds(20)), std::nullopt);
}

// A test process that is killed leaves nothing behind.
TEST(ProcessDeathTest, DiesWithTheTest) {
  TempDirectory folder;
  const std::string pid_file = folder.path() / "pid";
  const pid_t test = fork();
  ASSERT_GE(test, 0);
  if (test == 0) {
    auto child = Shell("echo $$ > " + pid_file + ".new; mv " + pid_file + ".new " + pid_file + "; exec sleep 60");
    child->Wait(absl::InfiniteDuration());
    _exit(0);
  }
  ASSERT_TRUE(Eventually(kLong, [&] { return access(pid_file.c_str(), R_OK) == 0; }));
  pid_t child = 0;
  FILE* file = fopen(pid_file.c_str(), "r");
  ASSERT_EQ(fscanf(file, "%d", &child), 1);
  fclose(file);
  ASSERT_EQ(kill(child, 0), 0);
  kill(test, SIGKILL);
  waitpid(test, nullptr, 0);
  // Gone, or a zombie its new parent has yet to reap.
  const auto gone = [&] {
    if (kill(child, 0) != 0) return true;
    auto state = Shell("grep State /proc/" + std::to_string(child) + "/status");
    state->Wait(kLong);
    return state->Output().find("running") == std::string::npos &&
           state->Output().find("sleeping") == std::string::npos;
  };
  EXPECT_TRUE(Eventually(kLong, gone));
}

TEST(FreePort, IsBelowThePortsOfOutgoingConnections) {
  const int port = FreePort();
  EXPECT_GE(port, 15000);
  EXPECT_LT(port, 32000);
}

}  // namespace
}  // namespace waybill::testing

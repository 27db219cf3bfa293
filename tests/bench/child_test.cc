#include "bench/child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "fmt/format.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ChildTest : public ::testing::Test {
 protected:
  ChildTest() : folder_(fs::path(::testing::TempDir()) / fmt::format("child-{}", getpid())) {
    fs::create_directories(folder_);
  }
  ~ChildTest() override { fs::remove_all(folder_); }

  std::unique_ptr<Child> Shell(const std::string& script) {
    return *Child::Start("/bin/sh", {"-c", script}, folder_ / "log");
  }
  // One that runs until a signal, handled by `trap`, and has said so.
  std::unique_ptr<Child> Waiting(const std::string& trap) {
    const fs::path ready = folder_ / "ready";
    auto child = Shell(fmt::format("trap '{}' TERM; echo > {}; while :; do sleep 0.01; done", trap, ready.string()));
    EXPECT_TRUE(child->WaitForFile(ready, absl::Seconds(10)).ok());
    return child;
  }

  fs::path folder_;
};

TEST_F(ChildTest, WaitsForAWholeLineInAFile) {
  auto child = Shell(fmt::format("printf 4711 > {0}; echo >> {0}; exec sleep 60", (folder_ / "port").string()));
  EXPECT_EQ(*child->WaitForFile(folder_ / "port", absl::Seconds(10)), "4711\n");
  EXPECT_TRUE(child->Running());
}

TEST_F(ChildTest, AnEarlyExitIsToldWithTheEndOfTheLog) {
  auto child = Shell("echo no such database >&2; exit 3");
  const absl::Status status = child->WaitForFile(folder_ / "port", absl::Seconds(10)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no such database"));
}

TEST_F(ChildTest, ABinaryThatIsMissingIsAnEarlyExit) {
  auto child = *Child::Start(folder_ / "missing", {}, folder_ / "log");
  EXPECT_EQ(child->WaitForFile(folder_ / "port", absl::Seconds(10)).status().code(), absl::StatusCode::kInternal);
}

TEST_F(ChildTest, StopIsContentWithAnExitCodeOfZero) {
  auto child = Waiting("exit 0");
  EXPECT_TRUE(child->Stop(absl::Seconds(10)).ok());
  EXPECT_FALSE(child->Running());
}

TEST_F(ChildTest, StopTellsOfAnyOtherExitCode) {
  EXPECT_EQ(Waiting("exit 5")->Stop(absl::Seconds(10)).code(), absl::StatusCode::kInternal);
}

TEST_F(ChildTest, StopKillsWhatDoesNotListen) {
  auto child = Waiting("");
  EXPECT_EQ(child->Stop(absl::Milliseconds(50)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(child->Running());
}

}  // namespace
}  // namespace waybill::bench

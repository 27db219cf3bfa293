#include "bench/process_stats.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "fmt/format.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;

class ProcessStatsTest : public ::testing::Test {
 protected:
  ProcessStatsTest() : proc_(fs::path(::testing::TempDir()) / fmt::format("proc-{}", getpid())) {
    fs::create_directories(proc_);
  }
  ~ProcessStatsTest() override { fs::remove_all(proc_); }

  void Process(int pid, std::string_view name, int parent, int user, int system, int child_user, int child_system) {
    fs::create_directories(proc_ / std::to_string(pid));
    std::ofstream(proc_ / std::to_string(pid) / "stat")
        << fmt::format("{} ({}) S {} 1 1 0 -1 4194560 900 800 7 6 {} {} {} {} 20 0 1 0 55 1000 200 184467\n", pid, name,
                       parent, user, system, child_user, child_system);
  }

  fs::path proc_;
  const absl::Duration tick_ = absl::Seconds(1) / sysconf(_SC_CLK_TCK);
};

TEST_F(ProcessStatsTest, CpuOfATreeCountsDescendantsAndThoseThatEnded) {
  Process(1, "init", 0, 1'000'000, 0, 0, 0);
  Process(10, "postgres", 1, 1, 2, 30, 40);
  Process(11, "postgres: writer) S 1 (", 10, 500, 600, 0, 0);
  Process(12, "postgres: a b", 10, 7'000, 8'000, 0, 0);
  Process(13, "grandchild", 12, 90'000, 0, 1, 1);
  Process(20, "someone else", 1, 1'000'000, 0, 0, 0);
  EXPECT_EQ(*ProcessStats(proc_).TreeCpu(10), (1 + 2 + 30 + 40 + 500 + 600 + 7'000 + 8'000 + 90'000 + 2) * tick_);
  EXPECT_EQ(*ProcessStats(proc_).Parent(11), 10);
}

TEST_F(ProcessStatsTest, ReadsResidentMemory) {
  fs::create_directories(proc_ / "10");
  std::ofstream(proc_ / "10" / "status")
      << "Name:\tVmRSS: 5\nVmPeak:\t  900 kB\nVmHWM:\t   300 kB\nVmRSS:\t   200 kB\n";
  const absl::StatusOr<Memory> memory = ProcessStats(proc_).ResidentMemory(10);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(memory->resident_bytes, 200 * 1024);
  EXPECT_EQ(memory->resident_bytes_peak, 300 * 1024);
}

TEST_F(ProcessStatsTest, TheMachineIsBusyWithAllButIdlingAndWaitingForDisks) {
  std::ofstream(proc_ / "stat") << "cpu  1 20 300 4000 50000 600000 7000000 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
  EXPECT_EQ(*ProcessStats(proc_).MachineCpu(), 7'600'321 * tick_);
}

TEST_F(ProcessStatsTest, SaysWhenThereIsNoSuchProcess) {
  EXPECT_EQ(ProcessStats(proc_).TreeCpu(10).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ProcessStats(proc_).ResidentMemory(10).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ProcessStats(proc_).MachineCpu().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ProcessStats(proc_).Parent(10).status().code(), absl::StatusCode::kNotFound);
}

TEST(ProcessStats, ReadsTheKernelsOwnFiles) {
  const ProcessStats stats;
  EXPECT_EQ(*stats.Parent(getpid()), getppid());
  EXPECT_GT(stats.ResidentMemory(getpid())->resident_bytes, 100'000);
  EXPECT_GT(*stats.MachineCpu(), *stats.TreeCpu(getpid()));
  const absl::Duration before = *stats.TreeCpu(getpid());
  while (*stats.TreeCpu(getpid()) == before) {  // its own polling is what it must see
  }
}

}  // namespace
}  // namespace waybill::bench

#include "services/process/startup.h"

#include <sys/resource.h>

#include "gtest/gtest.h"

namespace waybill::process {
namespace {

TEST(PrepareProcess, LetsAsManyFilesBeOpenAsTheMachineAllows) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  ASSERT_TRUE(PrepareProcess("startup_test"));
  rlimit after{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace waybill::process

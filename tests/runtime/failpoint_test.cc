#include "runtime/failpoint.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill {
namespace {

using ::testing::ExitedWithCode;
using ::testing::HasSubstr;
using ::testing::KilledBySignal;

void PassBegin() { WAYBILL_FAILPOINT("begin.before_commit"); }

// Each death test arms in a forked child, so that no test sees another's failpoints.
void ArmOrExit(const char* spec) {
  if (!ArmFailpoints(spec).ok()) std::exit(99);
}

TEST(FailpointRegistry, NamesAreUnique) {
  std::set<std::string_view> names(std::begin(kFailpoints), std::end(kFailpoints));
  EXPECT_EQ(names.size(), std::size(kFailpoints));
  for (std::string_view name : kFailpoints) EXPECT_EQ(kFailpoints[FailpointIndex(name)], name);
  EXPECT_EQ(FailpointIndex("no.such"), std::size(kFailpoints));
}

TEST(FailpointRegistry, UnarmedFailpointDoesNothing) {
  EXPECT_TRUE(ArmFailpoints("").ok());
  PassBegin();
}

#ifdef WAYBILL_FAILPOINTS

TEST(ArmedFailpoint, ListPrintsEveryNameOnItsLine) {
  EXPECT_THAT(ListFailpoints(), HasSubstr("begin.before_commit\n"));
  std::string list = ListFailpoints();
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), static_cast<std::ptrdiff_t>(std::size(kFailpoints)));
}

TEST(ArmedFailpoint, KillsAtFirstHitAndSaysSo) {
  EXPECT_EXIT(
      {
        ArmOrExit("begin.before_commit=kill");
        PassBegin();
        std::exit(0);
      },
      KilledBySignal(SIGKILL), "failpoint begin.before_commit hit 1: kill");
}

TEST(ArmedFailpoint, KillsAtTheNamedHitOnly) {
  EXPECT_EXIT(
      {
        ArmOrExit("begin.before_commit=kill@3");
        PassBegin();
        PassBegin();
        std::exit(7);
      },
      ExitedWithCode(7), "");
  EXPECT_EXIT(
      {
        ArmOrExit("begin.before_commit=kill@3");
        for (int i = 0; i < 3; ++i) PassBegin();
        std::exit(7);
      },
      KilledBySignal(SIGKILL), "hit 3: kill");
}

TEST(ArmedFailpoint, SeveralAreArmedAtOnce) {
  EXPECT_EXIT(
      {
        ArmOrExit("lease.before_renew=stop@9;begin.before_commit=kill");
        WAYBILL_FAILPOINT("lease.before_renew");
        PassBegin();
        std::exit(0);
      },
      KilledBySignal(SIGKILL), "begin.before_commit");
}

TEST(ArmedFailpoint, OthersPassUntouched) {
  EXPECT_EXIT(
      {
        ArmOrExit("lease.before_renew=kill");
        PassBegin();
        std::exit(7);
      },
      ExitedWithCode(7), "");
}

TEST(ArmedFailpoint, StopsOnceAndGoesOnWhenContinued) {
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ArmOrExit("begin.before_commit=stop");
    PassBegin();
    PassBegin();
    _exit(7);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
  kill(child, SIGCONT);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(ArmedFailpoint, ArmsFromTheEnvironment) {
  EXPECT_EXIT(
      {
        setenv("WAYBILL_FAILPOINT", "begin.before_commit=kill", 1);
        if (!ArmFailpointsFromEnvironment().ok()) std::exit(99);
        PassBegin();
        std::exit(0);
      },
      KilledBySignal(SIGKILL), "");
}

TEST(ArmedFailpoint, RefusesMalformedSpecsAndArmsNothing) {
  for (const char* spec :
       {"begin.before_commit", "no.such=kill", "begin.before_commit=", "begin.before_commit=explode",
        "begin.before_commit=kill@", "begin.before_commit=kill@0", "begin.before_commit=kill@-1",
        "begin.before_commit=kill@2x", "begin.before_commit=kill@99999999999999999999", "begin.before_commit=kill;",
        ";begin.before_commit=kill", "begin.before_commit=kill;begin.before_commit=stop", "=kill", ";",
        "begin.before_commit=kill;no.such=kill"}) {
    absl::Status status = ArmFailpoints(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << spec;
    EXPECT_THAT(std::string(status.message()), HasSubstr("bad failpoint")) << spec;
  }
  PassBegin();  // still here
}

#else

TEST(FailpointRegistry, BuildWithoutFailpointsRefusesToArm) {
  EXPECT_EQ(ArmFailpoints("begin.before_commit=kill").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ListFailpoints(), "");
}

#endif

}  // namespace
}  // namespace waybill

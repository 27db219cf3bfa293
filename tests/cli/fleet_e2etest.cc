// Drivers on the command line, against the real order service.
#include <fstream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/order_session.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_directory.h"

namespace waybill::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FleetCommandsTest : public OrderSessionTest {
 protected:
  std::vector<std::string> Listed(std::vector<std::string> args = {"driver", "list", "--json"}) {
    std::vector<std::string> ids;
    for (const auto& row : Run(std::move(args)).json) ids.push_back(row["driver_id"]);
    return ids;
  }

  testing::TempDirectory directory_;
};

TEST_F(FleetCommandsTest, PutShowsUpInList) {
  Ran put =
      Run({"driver", "put", "d-7", "--at", "52.52,13.405", "--heading", "90", "--speed", "8.5", "--capacity", "3"});
  EXPECT_EQ(put.code, 0) << put.output;
  EXPECT_EQ(put.output, "1 driver, fresh for 5m 00s\n");

  Ran list = Run({"driver", "list", "--json"});
  ASSERT_EQ(list.json.size(), 1u) << list.output;
  EXPECT_EQ(list.json[0]["driver_id"], "d-7");
  const auto& position = list.json[0]["position"];  // by the contract's names, as driver show has them
  EXPECT_EQ(position["latitude"], 52.52);
  EXPECT_EQ(position["heading_deg"], 90);
  EXPECT_EQ(position["speed_mps"], 8.5);
  EXPECT_EQ(list.json[0]["duty"], "ON_DUTY");
  EXPECT_EQ(list.json[0]["capacity"], 3);
  EXPECT_EQ(list.json[0]["orders_held"], 0);
  EXPECT_THAT(Run({"driver", "list"}).output, AllOf(HasSubstr("52.52000,13.40500"), HasSubstr("0 of 3")));
}

TEST_F(FleetCommandsTest, PutReadsAFleetFromAFile) {
  const std::string file = directory_.path() / "fleet.csv";
  std::ofstream(file) << "# a small fleet\nd-1,52.52,13.40\n\nd-2, 52.50, 13.42, 12\r\n";
  Ran put = Run({"driver", "put", "--file", file, "--json"});
  EXPECT_EQ(put.code, 0) << put.output;
  EXPECT_EQ(put.json[0]["put"], 2);
  EXPECT_THAT(Listed(), ElementsAre("d-1", "d-2"));
  EXPECT_EQ(Run({"driver", "show", "d-2", "--json"}).json.at(0)["capacity"], 12);
}

TEST_F(FleetCommandsTest, AFleetOfManyCallsIsPutAndListedWhole) {
  const std::string file = directory_.path() / "fleet.csv";
  std::ofstream out(file);
  std::vector<std::string> expected;
  for (int i = 0; i < 2'345; ++i) {
    expected.push_back(fmt::format("d-{:04}", i));
    out << expected.back() << fmt::format(",{},{}\n", 40 + 0.001 * i, 10 + 0.001 * i);
  }
  out.close();
  Ran put = Run({"driver", "put", "--file", file, "--ttl", "1h"});
  EXPECT_EQ(put.output, "2345 drivers, fresh for 1h 00m\n");
  EXPECT_EQ(Listed({"driver", "list", "--json", "--limit", "5000"}), expected);
  EXPECT_EQ(Listed({"driver", "list", "--json", "--limit", "700"}).size(), 700u);
  EXPECT_EQ(Listed().size(), 100u);
}

TEST_F(FleetCommandsTest, PutNamesTheLineThatIsWrongAndPutsNothing) {
  const std::string file = directory_.path() / "fleet.csv";
  for (const char* line : {"d-2,52.50", "d-2,95,13", ",52,13", "d-2,52,13,many", "d-2,52,13,1,5"}) {
    std::ofstream(file) << "d-1,52.52,13.40\n" << line << "\n";
    Ran put = Run({"driver", "put", "--file", file});
    EXPECT_EQ(put.code, 2) << put.output;
    EXPECT_THAT(put.output, HasSubstr("fleet.csv:2: "));
  }
  std::ofstream(file) << "d-1,52.52,13.40\nd-2,52.50,13.42,1001\n";
  Ran refused = Run({"driver", "put", "--file", file});
  EXPECT_EQ(refused.code, 2) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("drivers[1].capacity: is 1001; must be 1 to 1000"));
  EXPECT_EQ(Run({"driver", "put", "d-7", "--at", "1,2", "--ttl", "31d"}).code, 2);
  EXPECT_THAT(Listed(), ElementsAre());
  EXPECT_EQ(Run({"driver", "put", "--file", file + ".not-there"}).code, 3);
  EXPECT_EQ(Run({"driver", "put", "d-7"}).code, 2);
  EXPECT_EQ(Run({"driver", "put", "--at", "1,2"}).code, 2);
  EXPECT_EQ(Run({"driver", "capacity", "d-7", "0"}).code, 2);
  EXPECT_EQ(Run({"driver", "duty", "d-7", "maybe"}).code, 2);
  EXPECT_EQ(Run({"driver", "duty", "two words", "off"}).code, 2);
}

TEST_F(FleetCommandsTest, SaysWhereItLookedWhenNobodyListens) {
  Ran ran = Run({"driver", "list", "--server", "127.0.0.1:1", "--retries", "0"});
  EXPECT_EQ(ran.code, 5) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("Is the service running at 127.0.0.1:1?"));
}

TEST_F(FleetCommandsTest, CapacityIsHowManyOrdersADriverGets) {
  ASSERT_EQ(Run({"driver", "put", "van", "--at", "52.521,13.405", "--ttl", "1h"}).code, 0);
  Ran raised = Run({"driver", "capacity", "van", "2"});
  EXPECT_EQ(raised.code, 0) << raised.output;
  EXPECT_EQ(raised.output, "van is on duty and holds no orders; its capacity is 2.\n");
  std::vector<std::string> ids;
  for (const std::string key : {"a", "b"}) {
    Ran created;
    // What was raised is known to dispatch by its next comparison.
    ASSERT_TRUE(testing::Eventually(absl::Seconds(60), [&, n = 0]() mutable {
      created = Create(fmt::format("{}-{}", key, n++));
      return created.code == 0;
    })) << created.output;
    ids.push_back(created.json[0]["order_id"]);
  }
  EXPECT_EQ(Create("c").code, 6);
  Ran shown = Run({"driver", "show", "van"});
  EXPECT_THAT(shown.output,
              AllOf(HasSubstr("van is on duty and holds 2 orders; its capacity is 2."), HasSubstr("  order " + ids[0]),
                    HasSubstr("  order " + ids[1]), HasSubstr("  at 52.52100,13.40500")));
  Ran json = Run({"driver", "show", "van", "--json"});
  EXPECT_THAT(json.json.at(0)["order_ids"], ElementsAre(ids[0], ids[1]));
  EXPECT_THAT(Run({"driver", "show", "nobody"}).output,
              AllOf(HasSubstr("nobody is on duty and holds no orders; its capacity is 1."), HasSubstr("no fresh")));
}

TEST_F(FleetCommandsTest, OffDutyADriverIsGivenNoOrderAndKeepsThoseItHolds) {
  ASSERT_EQ(Run({"driver", "put", "van", "--at", "52.521,13.405", "--capacity", "3", "--ttl", "1h"}).code, 0);
  Ran held = Create("held");
  ASSERT_EQ(held.code, 0) << held.output;
  const std::string id = held.json[0]["order_id"];
  Ran off = Run({"driver", "duty", "van", "off"});
  EXPECT_EQ(off.code, 0) << off.output;
  EXPECT_EQ(off.output, fmt::format("van is off duty and holds 1 order; its capacity is 3.\n  order {}\n", id));
  EXPECT_THAT(Run({"driver", "list"}).output, HasSubstr("off   1 of 3"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Create(fmt::format("off-{}", i)).code, 6);
  EXPECT_EQ(Run({"order", "complete", id}).code, 0) << "it stays the driver's to the end";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Create(fmt::format("off-empty-{}", i)).code, 6);

  EXPECT_EQ(Run({"driver", "duty", "van", "on"}).output, "van is on duty and holds no orders; its capacity is 3.\n");
  Ran again;
  EXPECT_TRUE(testing::Eventually(absl::Seconds(60), [&, n = 0]() mutable {
    again = Create(fmt::format("on-{}", n++));
    return again.code == 0;
  })) << again.output;
  EXPECT_EQ(again.json.at(0)["driver_id"], "van");
}

}  // namespace
}  // namespace waybill::cli

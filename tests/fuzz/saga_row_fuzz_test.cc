// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"

namespace waybill {
namespace {

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds = {""};
  const std::string payload =
      R"({"booking": "b-1", "traveller": "Ada", "flight_ticket": "R-1", "hotel_room": "", "car_plate": "CAR-1"})";
  const std::string branches =
      R"([{"step": "book_flight", "state": "done", "attempt": 1},)"
      R"( {"step": "book_hotel", "state": "waiting", "attempt": 2, "token": "h-1", "until": "2027-01-15T10:00:00.25+00:00"},)"
      R"( {"step": "rent_car", "state": "open", "attempt": 1}, {"step": "x", "state": "nothing", "attempt": 2147483647}])";
  seeds.push_back('\0' + payload);
  seeds.push_back('\1' + branches);
  for (const char* until : {"infinite-future", "9999999-01-01T00:00:00Z", "soon"}) {
    seeds.push_back(
        "\1"
        R"([{"step": "a", "state": "waiting", "attempt": 1, "token": "t", "until": ")" +
        std::string(until) + "\"}]");
  }
  seeds.push_back('\1' + std::string(2'000, '['));
  seeds.push_back("\2book_flight/do/f-1 book_hotel/undo/h/1 rent_car/close/ x");
  return seeds;
}

TEST(SagaRowFuzz, TakesSeeds) {
  for (const std::string& seed : Seeds()) testing::RunTarget(seed);
}

TEST(SagaRowFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(Seeds(), 30'000, 20'240'603); }

}  // namespace
}  // namespace waybill

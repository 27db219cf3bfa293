#include "bench/race_shape.h"

#include <algorithm>
#include <cmath>

namespace waybill::bench {
namespace {

constexpr absl::Duration kOfficial = absl::Seconds(300);
constexpr absl::Duration kOfficialCheckEvery = absl::Seconds(10);

}  // namespace

int RaceShape::ClientsAt(absl::Duration at) const {
  const double share = std::clamp(absl::FDivDuration(at, duration), 0.0, 1.0);
  // What a sum of halves misses by the last bit is not a client fewer.
  return clients_at_start + static_cast<int>(std::floor((clients_max - clients_at_start) * share + 1e-9));
}

absl::Duration RaceShape::BeginningOf(int number) const {
  if (number < clients_at_start) return absl::ZeroDuration();
  if (number >= clients_max) return duration;
  return duration * (number + 1 - clients_at_start) / (clients_max - clients_at_start);
}

const RaceStage* RaceShape::StageAt(absl::Duration at) const {
  const auto after =
      std::find_if(stages.begin(), stages.end(), [at](const RaceStage& stage) { return stage.from > at; });
  return after == stages.begin() ? nullptr : &*std::prev(after);
}

RaceShape OfficialRace(absl::Duration duration) {
  RaceShape shape;
  shape.duration = duration;
  shape.check_every = kOfficialCheckEvery * absl::FDivDuration(duration, kOfficial);
  shape.stages = {
      {absl::Seconds(1), {0, false}, {0, false}},      {absl::Seconds(30), {1000, false}, {0, false}},
      {absl::Seconds(60), {500, false}, {0, false}},   {absl::Seconds(90), {2000, true}, {1000, false}},
      {absl::Seconds(120), {5000, true}, {5, false}},  {absl::Seconds(150), {0, false}, {5, true}},
      {absl::Seconds(180), {100, false}, {5, false}},  {absl::Seconds(210), {50, false}, {0, false}},
      {absl::Seconds(240), {103, false}, {10, false}}, {absl::Seconds(270), {2000, false}, {0, false}},
  };
  for (RaceStage& stage : shape.stages) stage.from *= absl::FDivDuration(duration, kOfficial);
  return shape;
}

}  // namespace waybill::bench

#include "tracks/city_fleet.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/random.h"

// The same fleet everywhere: only operations that IEEE 754 fixes to the last bit decide what happens (the build turns
// fused multiply-add off for this file), and std::mt19937_64, which the standard fixes. No sin, log or exp but the one
// cosine below, which is rounded.
namespace waybill::tracks {
namespace {

constexpr double kMetresPerDegree = 6372797.560856 * std::numbers::pi / 180;
constexpr double kTopSpeed = 15;        // m/s, on a main street
constexpr double kSideStreetSpeed = 9;  // m/s
constexpr double kCrossingSpeed = 3;    // m/s, when a crossing is passed or a driver sets off
constexpr double kAcceleration = 1.5;   // m/s²
constexpr double kBraking = 2;          // m/s²
constexpr int kMainStreetEvery = 4;
constexpr double kRedLight = 0.25;       // the chance at each crossing
constexpr double kNoiseTauSeconds = 30;  // how long the receiver's error stays what it is
constexpr size_t kResendsMax = 5;

double Between(Random& random, double low, double high) { return low + (high - low) * random.Uniform(); }

size_t Below(Random& random, size_t bound) {
  return static_cast<size_t>(random.Uniform() * static_cast<double>(bound));
}

// Standard normal, nearly: the sum of twelve uniforms.
double Normal(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.Uniform();
  return sum;
}

// Neighbouring seeds have to give unlike fleets, and a fleet unlike drivers.
uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9e3779b97f4a7c15 * (b + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

struct Metres {
  double east = 0;
  double north = 0;
};

double Rounded(double value, double unit) { return std::round(value / unit) * unit; }

// Receivers report about so much; it also hides the last bits of the arithmetic. Divided, so that the numbers are
// short.
double RoundedDegrees(double degrees) { return std::round(degrees * 1e7) / 1e7; }

}  // namespace

// Two families of parallel streets at irregular distances, turned against north.
class CityFleet::City {
 public:
  explicit City(const CityFleetOptions& options) : centre_(options.centre) {
    SeededRandom random(Mix(options.seed, 0));
    // The corners of the square lie on the circle.
    double half = options.radius_m / std::numbers::sqrt2;
    for (std::vector<double>* streets : {&columns_, &rows_}) {
      double at = -half;
      while (at < half) {
        streets->push_back(at);
        at += Between(random, 80, 220);
      }
      streets->push_back(half);
    }
    double t = Between(random, -0.3, 0.3);
    cos_ = (1 - t * t) / (1 + t * t);
    sin_ = 2 * t / (1 + t * t);
    metres_per_degree_east_ = kMetresPerDegree * Rounded(std::cos(centre_.latitude * std::numbers::pi / 180), 1e-9);
  }

  size_t columns() const { return columns_.size(); }
  size_t rows() const { return rows_.size(); }
  Metres Crossing(size_t column, size_t row) const { return {columns_[column], rows_[row]}; }

  // From along the streets to the globe.
  domain::GeoPoint ToGlobe(Metres streets, Metres error) const {
    double east = cos_ * streets.east - sin_ * streets.north + error.east;
    double north = sin_ * streets.east + cos_ * streets.north + error.north;
    double longitude = centre_.longitude + east / metres_per_degree_east_;
    if (longitude >= 180) longitude -= 360;
    if (longitude < -180) longitude += 360;
    return {RoundedDegrees(centre_.latitude + north / kMetresPerDegree), RoundedDegrees(longitude)};
  }

  // Clockwise from north, whole degrees, of driving along a street: 0 along rows' axis upwards, then right, down, left.
  double Heading(int quarter) const {
    // atan of a small angle by its series: whole degrees need no more.
    double turn = sin_ / cos_;
    double degrees = (turn - turn * turn * turn / 3 + turn * turn * turn * turn * turn / 5) * 180 / std::numbers::pi;
    double heading = std::round(90.0 * quarter - degrees);
    return heading < 0 ? heading + 360 : heading >= 360 ? heading - 360 : heading;
  }

 private:
  domain::GeoPoint centre_;
  std::vector<double> columns_;  // east of the centre, before turning
  std::vector<double> rows_;     // north of it
  double cos_ = 1;
  double sin_ = 0;
  double metres_per_degree_east_ = 1;
};

class CityFleet::Driver {
 public:
  Driver(const CityFleetOptions& options, const City& city, size_t index)
      : options_(options),
        city_(city),
        id_(options.id_prefix + std::to_string(index + 1)),
        random_(Mix(options.seed, 2 * index + 1)),
        trouble_(Mix(options.seed, 2 * index + 2)) {
    column_ = goal_column_ = Below(random_, city.columns());
    row_ = goal_row_ = Below(random_, city.rows());
    at_ = city.Crossing(column_, row_);
    stop_left_ = Between(random_, 0, 60);
    phase_ = options.interval * random_.Uniform();
    driven_until_ = options.start;
    next_gap_ = options.start + Until(options.gaps_per_hour);
    next_spell_ = options.start + Until(options.spells_per_hour);
    PlanFix();
  }

  // When it has something to do next; InfiniteFuture when it is through.
  absl::Time next() const {
    if (fix_at_ < End()) return fix_at_;
    return late_.empty() ? absl::InfiniteFuture() : std::max(spell_ends_, End());
  }

  // Does what is due at next().
  void Step(std::deque<Ready>& ready) {
    absl::Time now = next();
    if (fix_at_ < End()) {
      Fix(ready);
      PlanFix();
    } else {
      Flush(now, ready);
    }
  }

 private:
  absl::Time End() const { return options_.start + options_.length; }

  // The time to the next of events that come so often; uniform around the mean.
  absl::Duration Until(double per_hour) {
    double hours = Between(random_, 0.1, 1.9);
    return per_hour > 0 ? absl::Microseconds(std::llround(hours / per_hour * 3.6e9)) : absl::InfiniteDuration();
  }

  void PlanFix() {
    // A little unpunctual, to the millisecond; never so much that the order would change.
    absl::Duration jitter = options_.interval * (random_.Uniform() / 20);
    absl::Duration since = absl::Trunc(phase_ + fixes_ * options_.interval + jitter, absl::Milliseconds(1));
    fix_at_ = options_.start + since;
    ++fixes_;
  }

  void Fix(std::deque<Ready>& ready) {
    absl::Time now = fix_at_;
    Drive(absl::ToInt64Microseconds(now - driven_until_));
    double elapsed = absl::ToDoubleSeconds(now - last_fix_at_.value_or(now));
    driven_until_ = now;
    last_fix_at_ = now;
    Wander(elapsed);
    bool jump = random_.Uniform() < options_.jumps_per_fix;
    Metres error = error_;
    if (jump) {
      // In a square ring of 3 to 15 km, which takes neither sine nor cosine.
      error.east += (random_.Uniform() < 0.5 ? -1 : 1) * Between(random_, 3'000, 10'000);
      error.north += (random_.Uniform() < 0.5 ? -1 : 1) * Between(random_, 0, 10'000);
    }
    domain::DriverPosition position = Measure(now, error);
    if (now >= next_gap_) {
      gap_ends_ = now + absl::Seconds(Between(random_, 120, 600));
      next_gap_ = gap_ends_ + Until(options_.gaps_per_hour);
    }
    if (now < gap_ends_) {
      in_gap_ = true;
      return;
    }
    if (now >= next_spell_) {
      spell_ends_ = now + absl::Seconds(Between(random_, 60, 360));
      next_spell_ = spell_ends_ + Until(options_.spells_per_hour);
    }
    Ready fix;
    fix.delivery = {now, std::move(position), DeliveryKind::kPoint};
    fix.jump = jump;
    fix.ends_gap = std::exchange(in_gap_, false);
    if (now < spell_ends_) {
      fix.late = true;
      fix.begins_burst = late_.empty();
      late_.push_back(std::move(fix));
      return;
    }
    Flush(now, ready);
    Remember(fix.delivery.position);
    domain::DriverPosition last = fix.delivery.position;
    ready.push_back(std::move(fix));
    MakeTrouble(now, last, ready);
  }

  // What was recorded offline, in one go.
  void Flush(absl::Time now, std::deque<Ready>& ready) {
    for (Ready& fix : late_) {
      fix.delivery.delivered_at = now;
      Remember(fix.delivery.position);
      ready.push_back(std::move(fix));
    }
    late_.clear();
  }

  void Remember(const domain::DriverPosition& position) {
    if (options_.resends_per_fix <= 0) return;
    recent_.push_back(position);
    if (recent_.size() > kResendsMax) recent_.pop_front();
  }

  void MakeTrouble(absl::Time now, const domain::DriverPosition& last, std::deque<Ready>& ready) {
    if (trouble_.Uniform() < options_.resends_per_fix) {
      size_t count = std::min(1 + Below(trouble_, kResendsMax), recent_.size());
      for (size_t i = recent_.size() - count; i < recent_.size(); ++i) {
        Ready again;
        again.delivery = {now, recent_[i], DeliveryKind::kDuplicate};
        ready.push_back(std::move(again));
      }
    }
    if (trouble_.Uniform() >= options_.bad_per_fix) return;
    Ready bad;
    bad.delivery = {now, last, DeliveryKind::kPoint};
    domain::DriverPosition& position = bad.delivery.position;
    position.recorded_at = last.recorded_at + absl::Milliseconds(1);
    switch (Below(trouble_, 3)) {
      case 0:
        bad.delivery.kind = DeliveryKind::kBadCoordinate;
        (trouble_.Uniform() < 0.5 ? position.point.latitude : position.point.longitude) += 1000;
        break;
      case 1:
        bad.delivery.kind = DeliveryKind::kZeroCoordinate;
        position.point = {0, 0};
        break;
      default:
        bad.delivery.kind = DeliveryKind::kFuture;
        position.recorded_at = absl::FromUnixSeconds(4'102'444'800) + (last.recorded_at - options_.start);
    }
    ready.push_back(std::move(bad));
  }

  domain::DriverPosition Measure(absl::Time now, Metres error) {
    domain::DriverPosition position;
    position.driver_id = id_;
    position.recorded_at = now;
    position.point = city_.ToGlobe(at_, error);
    double error_m = std::sqrt(error_.east * error_.east + error_.north * error_.north);
    position.accuracy_m = std::round((3 + error_m * 1.5) * 10) / 10;
    if (speed_ > 0) position.heading_deg = city_.Heading(quarter_);
    position.speed_mps = std::round(speed_ * 10) / 10;
    return position;
  }

  // The receiver's error moves on: correlated with what it was, and never more than four standard deviations.
  void Wander(double seconds) {
    double keep = kNoiseTauSeconds / (kNoiseTauSeconds + seconds);
    double fresh = std::sqrt(1 - keep * keep);
    for (double* error : {&error_.east, &error_.north}) {
      *error = keep * *error + fresh * options_.noise_m * Normal(random_);
      *error = std::clamp(*error, -4 * options_.noise_m, 4 * options_.noise_m);
    }
  }

  void Drive(int64_t micros) {
    while (micros > 0) {
      int64_t step = std::min<int64_t>(micros, 1'000'000);
      micros -= step;
      double left = static_cast<double>(step) / 1e6;
      while (left > 0) left -= Go(left);
    }
  }

  // Drives on for at most `seconds`, up to the next crossing or the end of a stop; answers for how long.
  double Go(double seconds) {
    if (stop_left_ > 0) {
      speed_ = 0;
      double waited = std::min(stop_left_, seconds);
      stop_left_ -= waited;
      return waited;
    }
    if (!under_way_) SetOff();
    Metres to = city_.Crossing(column_, row_);
    double ahead = std::abs(to.east - at_.east) + std::abs(to.north - at_.north);  // along one of the two only
    double brake = std::sqrt(2 * kBraking * ahead + kCrossingSpeed * kCrossingSpeed);
    speed_ = std::min({std::max(speed_, kCrossingSpeed) + kAcceleration * seconds, limit_, brake});
    if (speed_ * seconds < ahead) {
      double part = speed_ * seconds / ahead;
      at_.east += (to.east - at_.east) * part;
      at_.north += (to.north - at_.north) * part;
      return seconds;
    }
    double took = ahead / speed_;
    at_ = to;
    under_way_ = false;
    if (column_ == goal_column_ && row_ == goal_row_) {
      stop_left_ = Between(random_, 30, 240);  // a customer
    } else if (random_.Uniform() < kRedLight) {
      stop_left_ = Between(random_, 5, 45);
    }
    return took;
  }

  // Turns into the next street on the way to the goal, or to a new one.
  void SetOff() {
    while (column_ == goal_column_ && row_ == goal_row_) {
      goal_column_ = Below(random_, city_.columns());
      goal_row_ = Below(random_, city_.rows());
    }
    bool along_row = row_ == goal_row_ || (column_ != goal_column_ && random_.Uniform() < 0.5);
    size_t street = along_row ? row_ : column_;
    limit_ = street % kMainStreetEvery == 0 ? kTopSpeed : kSideStreetSpeed;
    limit_ *= Between(random_, 0.6, 1);  // traffic
    if (along_row) {
      quarter_ = goal_column_ > column_ ? 1 : 3;
      column_ += goal_column_ > column_ ? 1 : -1;
    } else {
      quarter_ = goal_row_ > row_ ? 0 : 2;
      row_ += goal_row_ > row_ ? 1 : -1;
    }
    under_way_ = true;
  }

  const CityFleetOptions& options_;
  const City& city_;
  std::string id_;
  SeededRandom random_;
  SeededRandom trouble_;  // apart, so that the fleet's own points do not depend on it

  // Driving. The crossing it is at, or under way to.
  size_t column_ = 0, row_ = 0;
  size_t goal_column_ = 0, goal_row_ = 0;
  bool under_way_ = false;
  Metres at_;
  double speed_ = 0;
  double limit_ = 0;
  int quarter_ = 0;
  double stop_left_ = 0;
  absl::Time driven_until_;

  // Fixes.
  absl::Duration phase_;
  int64_t fixes_ = 0;
  absl::Time fix_at_;
  std::optional<absl::Time> last_fix_at_;
  Metres error_;

  // Connection.
  absl::Time next_gap_, next_spell_;
  absl::Time gap_ends_ = absl::InfinitePast();
  absl::Time spell_ends_ = absl::InfinitePast();
  bool in_gap_ = false;
  std::deque<Ready> late_;
  std::deque<domain::DriverPosition> recent_;
};

CityFleet::CityFleet(CityFleetOptions options) : options_(std::move(options)), city_(std::make_unique<City>(options_)) {
  for (size_t i = 0; i < static_cast<size_t>(options_.drivers); ++i) {
    drivers_.push_back(std::make_unique<Driver>(options_, *city_, i));
    turns_.emplace(drivers_.back()->next(), i);
  }
}

CityFleet::~CityFleet() = default;

std::optional<Delivery> CityFleet::Next() {
  while (ready_.empty()) {
    if (turns_.empty() || turns_.top().first == absl::InfiniteFuture()) return std::nullopt;
    size_t driver = turns_.top().second;
    turns_.pop();
    drivers_[driver]->Step(ready_);
    turns_.emplace(drivers_[driver]->next(), driver);
  }
  Ready ready = std::move(ready_.front());
  ready_.pop_front();
  switch (ready.delivery.kind) {
    case DeliveryKind::kPoint:
      ++truth_.points;
      break;
    case DeliveryKind::kDuplicate:
      ++truth_.duplicates;
      break;
    case DeliveryKind::kBadCoordinate:
      ++truth_.bad_coordinate;
      break;
    case DeliveryKind::kZeroCoordinate:
      ++truth_.zero_coordinate;
      break;
    case DeliveryKind::kFuture:
      ++truth_.future;
  }
  truth_.jumps += ready.jump ? 1 : 0;
  truth_.late_points += ready.late ? 1 : 0;
  truth_.late_bursts += ready.begins_burst ? 1 : 0;
  truth_.gaps += ready.ends_gap ? 1 : 0;
  return std::move(ready.delivery);
}

CityFleetTruth CityFleet::TruthOf(const CityFleetOptions& options) {
  CityFleet fleet(options);
  while (fleet.Next()) {
  }
  return fleet.truth();
}

}  // namespace waybill::tracks

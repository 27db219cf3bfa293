#include "bench/location_scenarios.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "bench/fleet.h"
#include "bench/guard.h"
#include "bench/location_books.h"
#include "bench/location_ceiling.h"
#include "bench/location_history.h"
#include "bench/location_load.h"
#include "bench/location_queries.h"
#include "fmt/format.h"
#include "storage/redis/connection.h"

namespace waybill::bench {
namespace {

constexpr char kRedisDatabase[] = "2";
constexpr size_t kHotViewSample = 1'000;
constexpr int kStreams = 64;
constexpr int kDriversAStream = 8;
constexpr int kStreamsAConnection = 500;                     // streams and idle
constexpr absl::Duration kMemorySettles = absl::Seconds(2);  // before that of idle streams is read
constexpr int64_t kNearbyDrivers = 100'000;
constexpr absl::Duration kHotViewTimeout = absl::Seconds(30);
constexpr double kKibi = 1024;

// What a scenario runs on. Destroyed in reverse order.
struct Set {
  std::string name;
  Build build = Build::kToday;
  Pass pass;  // of callers
  std::unique_ptr<FreshDatabase> database;
  Server ingest;
};

struct Measured {
  LocationLoadResult load;
  absl::Time epoch;
  Usage usage;
  Memory memory;  // of the service

  void Add(const Measured& round) {
    load.Merge(round.load);
    usage = usage + round.usage;
    memory = Larger(memory, round.memory);
  }
};

// What a 99th percentile may differ by between two runs of the same build.
constexpr double kNoLonger = 1.25;

// A load, all rounds of a build together.
struct Compared : ByBuild<Measured> {
  void AddRate(std::optional<Target> ratio, ScenarioResult& result) const {
    AddCompared("points/s", today->load.PointsPerSecond(),
                earlier ? std::optional(earlier->load.PointsPerSecond()) : std::nullopt, "1/s", ratio, result);
  }
  void AddLatency(std::optional<Target> p99_ratio, ScenarioResult& result) const {
    AddComparedLatency(today->load.latency, earlier ? &earlier->load.latency : nullptr, std::nullopt, p99_ratio,
                       result);
  }
};

void AddCpu(const Measured& measured, ScenarioResult& result) {
  const double millions =
      static_cast<double>(measured.load.latency.count() * measured.load.points_a_message) / 1'000'000;
  const auto add = [&](const char* whose, std::optional<absl::Duration> cpu) {
    if (!cpu) return;
    result.figures.push_back(
        {fmt::format("CPU per million points, {}", whose), absl::ToDoubleSeconds(*cpu) / millions, "s", std::nullopt});
  };
  add("service", measured.usage.service);
  add("Postgres", measured.usage.postgres);
  add("Redis", measured.usage.redis);
  add("load generator", measured.usage.generator);
  // Not the bench's doing, but what its figures are worth.
  result.figures.push_back({"CPUs busy with something else",
                            absl::FDivDuration(measured.usage.others, measured.load.window), "", std::nullopt});
}

void AddMemory(const Memory& memory, std::optional<Target> peak, ScenarioResult& result) {
  result.figures.push_back({"resident memory", static_cast<double>(memory.resident_bytes) / kMega, "MB", std::nullopt});
  result.figures.push_back(
      {"resident memory, peak", static_cast<double>(memory.resident_bytes_peak) / kMega, "MB", peak});
}

// Every message has to be acked, every point taken, and no stream broken.
void ExpectAllAcked(const LocationLoadResult& load, ScenarioResult& result) {
  for (const auto& [outcome, count] : load.streams) {
    if (outcome != "OK") result.failures.push_back(fmt::format("{} streams ended as {}", count, outcome));
  }
  if (load.unacked > 0) result.failures.push_back(fmt::format("{} messages were never acked", load.unacked));
  if (load.rejected > 0) result.failures.push_back(fmt::format("{} points were rejected", load.rejected));
  if (load.messages == 0) result.failures.push_back("no message was acked");
}

void ExpectAnswers(const QueryResult& queries, ScenarioResult& result) {
  for (const auto& [outcome, count] : queries.outcomes) {
    if (outcome != "OK") result.failures.push_back(fmt::format("{} calls: {}", count, outcome));
  }
  if (queries.latency.count() == 0) result.failures.push_back("no call was answered");
}

class Runner {
 public:
  Runner(const LocationBenchOptions& options, const Stage& stage)
      : options_(options), stage_(stage), redis_url_(WithDatabase(options.redis_url, kRedisDatabase)) {}

  absl::StatusOr<ScenarioResult> Batches();
  absl::StatusOr<ScenarioResult> Singles();
  absl::StatusOr<ScenarioResult> Guarded();
  absl::StatusOr<ScenarioResult> Open();
  absl::StatusOr<ScenarioResult> Streams();
  absl::StatusOr<ScenarioResult> Idle();
  absl::StatusOr<ScenarioResult> Near();
  absl::StatusOr<ScenarioResult> Track();

 private:
  absl::Status EmptyRedis() const;
  // `guard` null: the service runs open.
  absl::StatusOr<Set> SetUp(const std::string& name, Build build = Build::kToday, const Guard* guard = nullptr) const;
  absl::Status StartIngest(Set& set, const std::vector<std::string>& more_args) const;
  LocationLoadOptions DefaultLoad(const Set& set) const;
  absl::StatusOr<Measured> Measure(const Set& set, const LocationLoadOptions& options) const;
  // Today's build and the earlier one in turns, each on a fresh database, under the default load as `change` leaves it.
  // What is wrong goes into `result`.
  absl::StatusOr<Compared> InTurns(const std::string& name, const std::function<void(LocationLoadOptions&)>& change,
                                   ScenarioResult& result,
                                   const std::function<absl::Status(int round)>& after_round = DoNothing) const;
  static absl::Status DoNothing(int) { return absl::OkStatus(); }
  absl::StatusOr<QueryResult> AskNearbyOf(Build build, ScenarioResult& result) const;
  // Stops the service in good order and checks the books; what is wrong goes into the result.
  absl::Status CloseBooks(Set& set, const LocationLoadResult& load, absl::Time epoch, ScenarioResult& result) const;
  // A service that does not stop in good order is a failure.
  void Stop(Set& set, ScenarioResult& result) const;
  absl::StatusOr<double> Ceiling(const std::string& name, ScenarioResult& result) const;
  // A closed loop between two measurements of the ceiling.
  absl::StatusOr<Compared> MeasureBesideCeiling(const std::string& name, int points, int window, double ratio,
                                                ScenarioResult& result) const;

  const LocationBenchOptions& options_;
  const Stage& stage_;
  const std::string redis_url_;
};

absl::Status Runner::EmptyRedis() const {
  const absl::StatusOr<storage::RedisUrl> url = storage::RedisUrl::Parse(redis_url_);
  if (!url.ok()) return url.status();
  storage::RedisOptions redis;
  redis.timeout = absl::Seconds(30);
  return storage::RedisConnection(*url, redis).Run({"FLUSHDB"}).status();
}

absl::StatusOr<Set> Runner::SetUp(const std::string& name, Build build, const Guard* guard) const {
  Set set;
  set.name = build == Build::kToday ? name : name + "_earlier";
  set.build = build;
  auto database = guard == nullptr ? stage_.EmptyDatabase(set.name) : stage_.MigratedDatabase(set.name);
  if (!database.ok()) return database.status();
  set.database = *std::move(database);
  if (const absl::Status emptied = EmptyRedis(); !emptied.ok()) return emptied;
  std::vector<std::string> more_args;
  if (guard != nullptr) {
    auto pass = guard->IssuePass(set.database->url());
    if (!pass.ok()) return pass.status();
    set.pass = *std::move(pass);
    more_args = guard->flags();
  }
  if (const absl::Status started = StartIngest(set, more_args); !started.ok()) return started;
  return set;
}

absl::Status Runner::StartIngest(Set& set, const std::vector<std::string>& more_args) const {
  // Flags that the earlier build knows, too.
  std::vector<std::string> args = {"--side-listen", "127.0.0.1:0", "--database-url", set.database->url(),
                                   "--redis-url",   redis_url_,    "--migrate"};
  args.insert(args.end(), more_args.begin(), more_args.end());
  auto ingest = stage_.StartService(set.build, set.name, "ingest", args);
  if (!ingest.ok()) return ingest.status();
  set.ingest = *std::move(ingest);
  return absl::OkStatus();
}

LocationLoadOptions Runner::DefaultLoad(const Set& set) const {
  LocationLoadOptions load;
  load.target = set.ingest.address;
  load.pass = set.pass;
  load.run = set.name;
  load.streams = kStreams;
  load.drivers = kDriversAStream;
  load.connections = options_.connections;
  load.warm_up = options_.warm_up;
  load.duration = options_.duration;
  return load;
}

absl::StatusOr<Measured> Runner::Measure(const Set& set, const LocationLoadOptions& options) const {
  Measured measured;
  UsageOfWindow usage(stage_, {set.ingest.process->pid()});
  measured.epoch = absl::Now();
  LocationLoadOptions from_now = options;
  from_now.epoch = measured.epoch;
  LocationLoad load(from_now, stage_.timer());
  LocationLoad::Hooks hooks;
  hooks.window_starts = [&] { usage.Start(); };
  hooks.window_ends = [&] { usage.End(); };
  int64_t points_before = 0;
  absl::Duration elapsed_before;
  hooks.progress = [&](absl::Duration elapsed, int64_t points, int64_t broken) {
    const double rate = static_cast<double>(points - points_before) / absl::ToDoubleSeconds(elapsed - elapsed_before);
    stage_.Tell(fmt::format("{}: {:3.0f} s  {:7.0f} points/s{}", set.name, absl::ToDoubleSeconds(elapsed), rate,
                            broken == 0 ? "" : fmt::format("  {} streams broken", broken)));
    points_before = points;
    elapsed_before = elapsed;
  };
  measured.load = load.Run(hooks);
  if (!usage.status().ok()) return usage.status();
  measured.usage = usage.usage();
  measured.memory = usage.memory();
  return measured;
}

void AddFailures(Build build, const ScenarioResult& of, ScenarioResult& result) {
  for (const std::string& failure : of.failures) {
    result.failures.push_back((build == Build::kToday ? "" : "the earlier build: ") + failure);
  }
}

absl::StatusOr<Compared> Runner::InTurns(const std::string& name,
                                         const std::function<void(LocationLoadOptions&)>& change,
                                         ScenarioResult& result,
                                         const std::function<absl::Status(int round)>& after_round) const {
  Compared compared;
  for (int round = 1; round <= stage_.rounds(); ++round) {
    for (const Build build : stage_.builds()) {
      auto set = SetUp(name, build);
      if (!set.ok()) return set.status();
      LocationLoadOptions load = DefaultLoad(*set);
      change(load);
      auto measured = Measure(*set, load);
      if (!measured.ok()) return measured.status();
      stage_.Tell(fmt::format("{}: {:.0f} points/s, p50 {:.2f} ms, p99 {:.2f} ms", set->name,
                              measured->load.PointsPerSecond(),
                              absl::ToDoubleMilliseconds(measured->load.latency.Quantile(0.5)),
                              absl::ToDoubleMilliseconds(measured->load.latency.Quantile(0.99))));
      ScenarioResult wrong;
      if (auto closed = CloseBooks(*set, measured->load, measured->epoch, wrong); !closed.ok()) return closed;
      AddFailures(build, wrong, result);
      std::optional<Measured>& sum = compared.of(build);
      if (sum) {
        sum->Add(*measured);
      } else {
        sum = *std::move(measured);
      }
    }
    if (const absl::Status done = after_round(round); !done.ok()) return done;
  }
  return compared;
}

void Runner::Stop(Set& set, ScenarioResult& result) const {
  if (const absl::Status stopped = set.ingest.process->Stop(kStopTimeout); !stopped.ok()) {
    result.failures.emplace_back(stopped.message());
  }
}

absl::Status Runner::CloseBooks(Set& set, const LocationLoadResult& load, absl::Time epoch,
                                ScenarioResult& result) const {
  stage_.Tell(fmt::format("{}: checking the books of {} points", set.name, load.points));
  ExpectAllAcked(load, result);
  Stop(set, result);
  // The hot view first: what it holds does not stay for long.
  for (const auto& wrong :
       {CheckHotView(redis_url_, load.drivers, kHotViewSample), CheckEvents(redis_url_, load.points),
        CheckHistory(set.database->url(), load.drivers, epoch)}) {
    if (!wrong.ok()) return wrong.status();
    result.failures.insert(result.failures.end(), wrong->begin(), wrong->end());
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Runner::Ceiling(const std::string& name, ScenarioResult& result) const {
  auto database = stage_.MigratedDatabase("ceiling");
  if (!database.ok()) return database.status();
  if (const absl::Status emptied = EmptyRedis(); !emptied.ok()) return emptied;
  LocationCeilingOptions ceiling;
  ceiling.database_url = (*database)->url();
  ceiling.redis_url = redis_url_;
  ceiling.drivers = kStreams * kDriversAStream;
  ceiling.epoch = absl::Now();
  ceiling.duration = options_.duration / 2;
  auto measured = MeasureLocationCeiling(ceiling);
  if (!measured.ok()) return measured.status();
  stage_.Tell(fmt::format("{}: {:7.0f} points/s", name, measured->points_per_second));
  result.figures.push_back({name, measured->points_per_second, "1/s", std::nullopt});
  for (const auto& wrong : {CheckEvents(redis_url_, measured->points),
                            CheckHistory((*database)->url(), measured->drivers, ceiling.epoch)}) {
    if (!wrong.ok()) return wrong.status();
    for (const std::string& sentence : *wrong) result.failures.push_back(fmt::format("{}: {}", name, sentence));
  }
  return measured->points_per_second;
}

absl::StatusOr<Compared> Runner::MeasureBesideCeiling(const std::string& name, int points, int window, double ratio,
                                                      ScenarioResult& result) const {
  CeilingAround ceilings(stage_.rounds(), [&](const std::string& name_of) { return Ceiling(name_of, result); });
  if (const absl::Status before = ceilings.Before(); !before.ok()) return before;
  const auto change = [&](LocationLoadOptions& load) {
    load.points = points;
    load.window = window;
  };
  auto points_taken = InTurns(name, change, result, [&](int round) { return ceilings.After(round); });
  if (!points_taken.ok()) return points_taken.status();

  points_taken->AddRate(AtLeast(ratio), result);
  result.figures.push_back(
      {"share of the ceiling", points_taken->today->load.PointsPerSecond() / ceilings.Mean(), "", std::nullopt});
  points_taken->AddLatency(std::nullopt, result);
  AddCpu(*points_taken->today, result);
  return points_taken;
}

absl::StatusOr<ScenarioResult> Runner::Batches() {
  ScenarioResult result;
  auto points = MeasureBesideCeiling("batches", 50, options_.batches_window, 1.05, result);
  if (!points.ok()) return points.status();
  AddMemory(points->today->memory, AtMost(120), result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Singles() {
  ScenarioResult result;
  auto points = MeasureBesideCeiling("singles", 1, options_.singles_window, 1.25, result);
  if (!points.ok()) return points.status();
  AddMemory(points->today->memory, std::nullopt, result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Guarded() {
  ScenarioResult result;
  auto guard = Guard::Make(options_.folder);
  if (!guard.ok()) return guard.status();
  std::optional<Measured> open, guarded;
  for (int round = 1; round <= options_.rounds; ++round) {
    for (const bool with : {round % 2 == 0, round % 2 == 1}) {  // so that a drift of the machine flatters neither
      auto set = SetUp(with ? "guarded_edge" : "open_edge", Build::kToday, with ? &*guard : nullptr);
      if (!set.ok()) return set.status();
      LocationLoadOptions load = DefaultLoad(*set);
      load.points = 50;
      load.window = options_.batches_window;
      auto measured = Measure(*set, load);
      if (!measured.ok()) return measured.status();
      if (with) {
        for (std::string& doubt : guard->Doubts(set->ingest)) result.failures.push_back(std::move(doubt));
      }
      if (auto closed = CloseBooks(*set, measured->load, measured->epoch, result); !closed.ok()) return closed;
      std::optional<Measured>& sum = with ? guarded : open;
      if (sum) {
        sum->Add(*measured);
      } else {
        sum = *std::move(measured);
      }
    }
  }
  AddBeside("points/s", {"open", open->load.PointsPerSecond()}, {"guarded", guarded->load.PointsPerSecond()}, "1/s",
            AtLeast(0.90), result);
  const auto cpu = [](const Measured& measured) {
    const auto points = static_cast<double>(measured.load.latency.count() * measured.load.points_a_message);
    return absl::ToDoubleSeconds(measured.usage.service) / points * kMega;
  };
  AddBeside("CPU per million points, service", {"open", cpu(*open)}, {"guarded", cpu(*guarded)}, "s", std::nullopt,
            result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Open() {
  ScenarioResult result;
  const auto change = [](LocationLoadOptions& load) {
    load.points = 10;
    load.rate = 2'000;
  };
  auto points = InTurns("open", change, result);
  if (!points.ok()) return points.status();
  points->AddRate(std::nullopt, result);
  points->AddLatency(AtMost(kNoLonger), result);
  AddCpu(*points->today, result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Streams() {
  ScenarioResult result;
  const auto change = [&](LocationLoadOptions& load) {
    load.streams = options_.open_streams;
    load.connections = std::max(1, load.streams / kStreamsAConnection);
    load.drivers = 1;
    load.points = 1;
    load.rate = load.streams;
    // Every stream has sent before the window starts.
    load.warm_up = std::max(load.warm_up, absl::Milliseconds(1'500));
  };
  auto points = InTurns("streams", change, result);
  if (!points.ok()) return points.status();
  result.figures.push_back({"open streams", static_cast<double>(options_.open_streams), "", std::nullopt});
  result.figures.push_back({"dropped streams", static_cast<double>(points->today->load.broken), "", AtMost(0)});
  points->AddRate(std::nullopt, result);
  points->AddLatency(AtMost(kNoLonger), result);
  AddCpu(*points->today, result);
  AddMemory(points->today->memory, std::nullopt, result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Idle() {
  ScenarioResult result;
  auto set = SetUp("idle");
  if (!set.ok()) return set.status();
  const pid_t ingest = set->ingest.process->pid();
  LocationLoadOptions options = DefaultLoad(*set);
  options.connections = 1;
  options.streams = 1;
  options.drivers = 1;
  options.points = 1;
  options.messages_max = 1;
  options.warm_up = absl::ZeroDuration();
  options.duration = absl::InfiniteDuration();
  options.epoch = absl::Now();
  // What the service makes when the first point comes is not the streams' doing.
  LocationLoadOptions first = options;
  first.run = "idle-first";
  const LocationLoadResult one = LocationLoad(first, stage_.timer()).Run({});
  const absl::StatusOr<Memory> before = stage_.ResidentMemory(ingest);
  if (!before.ok()) return before.status();

  options.streams = options_.open_streams;
  options.connections = std::max(1, options.streams / kStreamsAConnection);
  absl::StatusOr<Memory> open = Memory();
  LocationLoad::Hooks hooks;
  hooks.drained = [&] {
    stage_.timer().SleepUntil(stage_.timer().Now() + kMemorySettles);
    open = stage_.ResidentMemory(ingest);
  };
  LocationLoadResult all = LocationLoad(options, stage_.timer()).Run(hooks);
  if (!open.ok()) return open.status();
  if (open->resident_bytes == 0) result.failures.push_back("not every stream was answered");
  const double each = static_cast<double>(open->resident_bytes - before->resident_bytes) / options.streams;
  result.figures.push_back({"idle streams", static_cast<double>(options.streams), "", std::nullopt});
  result.figures.push_back({"resident memory a stream", each / kKibi, "KiB", AtMost(32)});
  result.figures.push_back(
      {"resident memory before", static_cast<double>(before->resident_bytes) / kMega, "MB", std::nullopt});
  AddMemory(*open, std::nullopt, result);
  all.points += one.points;
  all.drivers.insert(all.drivers.end(), one.drivers.begin(), one.drivers.end());
  if (auto closed = CloseBooks(*set, all, options.epoch, result); !closed.ok()) return closed;
  return result;
}

absl::StatusOr<QueryResult> Runner::AskNearbyOf(Build build, ScenarioResult& result) const {
  auto set = SetUp("near", build);
  if (!set.ok()) return set.status();
  if (auto whole = AwaitHotView(set->ingest.address, stage_.timer(), kHotViewTimeout); !whole.ok()) return whole;
  stage_.Tell(fmt::format("{}: seeding {} drivers", set->name, kNearbyDrivers));
  if (auto seeded = SeedFleet(redis_url_, kNearbyDrivers); !seeded.ok()) return seeded;
  NearbyOptions options;
  options.target = set->ingest.address;
  options.loop.warm_up = options_.warm_up;
  options.loop.duration = options_.duration;
  options.radius_m = options_.radius_m;
  // All over the city, but for its edges.
  for (int i = 0; i < 1'000; ++i) {
    options.places.push_back({52.32 + i * 7'919 % 1'000 * 0.00046, 13.11 + i % 60 * 0.0005});
  }
  QueryResult queries = AskNearby(options, stage_.timer());
  ScenarioResult wrong;
  ExpectAnswers(queries, wrong);
  Stop(*set, wrong);
  AddFailures(build, wrong, result);
  return queries;
}

absl::StatusOr<ScenarioResult> Runner::Near() {
  ScenarioResult result;
  ByBuild<QueryResult> queries;
  for (int round = 1; round <= stage_.rounds(); ++round) {
    for (const Build build : stage_.builds()) {
      auto asked = AskNearbyOf(build, result);
      if (!asked.ok()) return asked.status();
      if (std::optional<QueryResult>& sum = queries.of(build)) {
        sum->latency.Merge(asked->latency);
        sum->window += asked->window;
      } else {
        sum = *std::move(asked);
      }
    }
  }
  result.figures.push_back({"radius", options_.radius_m, "m", std::nullopt});
  result.figures.push_back({"calls/s", queries.today->PerSecond(), "1/s", std::nullopt});
  AddComparedLatency(queries.today->latency, queries.earlier ? &queries.earlier->latency : nullptr, std::nullopt,
                     AtMost(kNoLonger), result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Track() {
  ScenarioResult result;
  Set set;
  set.name = "track";
  auto database = stage_.MigratedDatabase("track");
  if (!database.ok()) return database.status();
  set.database = *std::move(database);
  if (const absl::Status emptied = EmptyRedis(); !emptied.ok()) return emptied;
  HistoryOptions history;
  history.database_url = set.database->url();
  history.rows = options_.history_rows;
  history.day = absl::ToCivilDay(absl::Now(), absl::UTCTimeZone()) - 1;
  auto drivers = FillHistory(history, [&](const std::string& line) { stage_.Tell("track: " + line); });
  if (!drivers.ok()) return drivers.status();
  if (const absl::Status started = StartIngest(set, {}); !started.ok()) return started;

  TrackOptions options;
  options.target = set.ingest.address;
  options.start = absl::FromCivil(history.day, absl::UTCTimeZone());
  options.step = kHistoryStep;
  options.points = kHistoryPointsADriver;
  // Spread over all; again from the front where there are fewer.
  const auto count = static_cast<int64_t>(drivers->size());
  for (int64_t i = 0; i < options_.tracks; ++i) {
    options.driver_ids.push_back((*drivers)[static_cast<size_t>((i * 7'919) % count)]);
  }
  const QueryResult queries = AskTracks(options, stage_.timer());
  ExpectAnswers(queries, result);
  result.figures.push_back({"rows of history", static_cast<double>(count * kHistoryPointsADriver), "", std::nullopt});
  result.figures.push_back({"calls/s", queries.PerSecond(), "1/s", std::nullopt});
  AddLatency(queries.latency, std::nullopt, std::nullopt, result);
  Stop(set, result);
  return result;
}

struct LocationScenario {
  ScenarioInfo info;
  absl::StatusOr<ScenarioResult> (Runner::*run)();
};

const LocationScenario kScenarios[] = {
    {{"batches", "64 streams of 8 drivers each, 50 points a message, a window of unacked messages"}, &Runner::Batches},
    {{"singles", "the same, one point a message"}, &Runner::Singles},
    {{"guarded", "the batches over TLS with a key, a limit and 1 % traced, beside the same service open, in turns"},
     &Runner::Guarded},
    {{"open", "20,000 points/s whatever happens, 10 a message; latency from the intended start to the ack"},
     &Runner::Open},
    {{"streams", "10,000 open streams, one point a second each"}, &Runner::Streams},
    {{"idle", "what 10,000 streams that are silent cost the service in memory"}, &Runner::Idle},
    {{"near",
      "NearbyDrivers, 1,000 calls/s whatever happens: the nearest 20 within --radius, of 100,000 drivers, 530 a km²"},
     &Runner::Near},
    {{"track", "GetTrack of an hour, 1,200 points, one caller; a different driver and hour each time"}, &Runner::Track},
};

}  // namespace

std::vector<ScenarioInfo> LocationScenarios() {
  std::vector<ScenarioInfo> infos;
  for (const LocationScenario& scenario : kScenarios) infos.push_back(scenario.info);
  return infos;
}

absl::StatusOr<Report> RunLocationScenarios(const LocationBenchOptions& options, Timer& timer,
                                            const Progress& progress) {
  Stage stage(options, timer, progress);
  if (const absl::Status set_up = stage.SetUp("waybill-ingest"); !set_up.ok()) return set_up;
  if (const absl::Status found = stage.FindRedis(); !found.ok()) return found;
  Runner runner(options, stage);
  std::vector<Scenario> scenarios;
  for (const LocationScenario& scenario : kScenarios) {
    scenarios.push_back({scenario.info, [&runner, run = scenario.run] { return (runner.*run)(); }});
  }
  return stage.Run(scenarios);
}

}  // namespace waybill::bench

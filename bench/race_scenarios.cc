#include "bench/race_scenarios.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "bench/balancer.h"
#include "bench/child.h"
#include "bench/race_load.h"
#include "bench/race_shape.h"
#include "bench/reserved_port.h"
#include "edge/http/client.h"
#include "fmt/format.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr absl::Duration kDrainLook = absl::Milliseconds(200);
constexpr char kToken[] = "123";
constexpr char kCurrency[] = "BRL";
constexpr char kPlainRedisDatabase[] = "3";
// Of the load's length: when the processes of a contender are killed, one after the other.
constexpr double kKilledAt[] = {0.45, 0.75};

// A process of a contender's, that comes back under the same port.
struct Part {
  std::string name;  // "instance-1"
  std::string binary;
  std::vector<std::string> args;
  std::unique_ptr<Child> process = nullptr;
  Memory memory = {};  // of all its lives

  void Remember(const Stage& stage) {
    if (const auto now = stage.ResidentMemory(process->pid()); now.ok()) memory = Larger(memory, *now);
  }
};

struct Contender {
  std::string name;
  std::unique_ptr<FreshDatabase> database = nullptr;
  std::vector<ReservedPort> ports = {};  // of the balancer, then of the instances, then of others
  std::vector<Part> parts = {};          // as they are started
  std::vector<size_t> killed = {};       // which parts, one after the other
  std::unique_ptr<Child> balancer = nullptr;

  std::string target() const { return fmt::format("127.0.0.1:{}", ports.front().port()); }
};

// What became of a contender.
struct Raced {
  std::string name;
  RaceLoadResult load;
  double p99_ms = 0;
  RaceScore score;
  // A good while after the load, when all is quiet; at least so many, as what is too much hides what is missing.
  int64_t never_booked = 0;    // taken, and booked by no processor
  int64_t booked_unasked = 0;  // booked beyond all that was ever asked for
  int64_t apart = 0;           // what the backend says of all, against the processors' books
  absl::Duration others;       // CPU of processes that have no part in it
  std::vector<std::pair<std::string, Memory>> memory;
};

int64_t NotTaken(const Raced& raced) {
  int64_t sum = 0;
  for (const auto& [code, count] : raced.load.not_taken) sum += count;
  return sum;
}

// Kills processes while a load runs, and starts them again. Children die with the thread that started them: so this
// one stays until they were stopped.
class Killer {
 public:
  Killer(Timer& timer, std::function<absl::Status(Part&)> start, std::function<void(const std::string&)> tell)
      : timer_(timer), start_(std::move(start)), tell_(std::move(tell)) {}
  ~Killer() {
    {
      std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  // The parts outlive this.
  void Begin(const Stage& stage, std::vector<std::pair<absl::Duration, Part*>> victims) {
    thread_ = std::thread([this, &stage, victims = std::move(victims)] {
      for (const auto& [at, part] : victims) {
        if (OverBefore(at)) return;
        part->Remember(stage);
        part->process->Kill();
        tell_(fmt::format("killed {}", part->name));
        status_.Update(start_(*part));
        tell_(fmt::format("{} is back", part->name));
      }
      std::unique_lock lock(mutex_);
      done_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return over_; });
    });
  }
  // Until nobody is killed any more.
  absl::Status Await() {
    if (!thread_.joinable()) return absl::OkStatus();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_; });
    return status_;
  }

 private:
  bool OverBefore(absl::Duration instant) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, absl::ToChronoNanoseconds(instant - timer_.Now()), [this] { return over_; });
  }

  Timer& timer_;
  const std::function<absl::Status(Part&)> start_;
  const std::function<void(const std::string&)> tell_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false, over_ = false;
  absl::Status status_;  // the thread's until it is done
  std::thread thread_;
};

class Race {
 public:
  Race(const RaceBenchOptions& options, Timer& timer, const Progress& progress)
      : options_(options), timer_(timer), stage_(options, timer, progress), shape_(OfficialRace(options.length)) {}

  bool Wants(const char* contender) const {
    return options_.contenders.empty() || options_.contenders.contains(contender);
  }

  absl::Status SetUp() {
    std::vector<std::string> others;
    if (Wants(kOurs)) others = {"waybill-order", "waybill-race"};
    if (const absl::Status set_up = stage_.SetUp("waybill-sandbox", others); !set_up.ok()) return set_up;
    if (const absl::Status found = stage_.FindRedis(); !found.ok()) return found;
    return StartProcessors();
  }

  absl::StatusOr<ScenarioResult> Run() {
    std::vector<Raced> all;
    for (const char* name : {kPlain, kOurs}) {
      if (!Wants(name)) continue;
      auto contender = name == std::string(kPlain) ? MakePlain() : MakeOurs();
      if (!contender.ok()) return contender.status();
      auto raced = Measure(*contender);
      if (!raced.ok()) return raced.status();
      all.push_back(*std::move(raced));
    }
    ScenarioResult result{"race",
                          fmt::format("1 to {} clients in {:.0f} s{}", shape_.clients_max,
                                      absl::ToDoubleSeconds(shape_.duration), options_.kill ? ", with kills" : ""),
                          {},
                          {}};
    AddFigures(all, result);
    return result;
  }

 private:
  absl::Status StartProcessors() {
    // As the official processors, whose Postgres has fsync off: so that the contenders' disk is their own.
    const fs::path memory = "/dev/shm";
    const fs::path folder = fs::exists(memory) ? memory : options_.folder;
    const std::string books = folder / fmt::format("waybill-race-{}.books", getpid());
    sandbox_.name = "processors";
    sandbox_.binary = options_.binaries / "waybill-sandbox";
    sandbox_.args = {"--listen",
                     "127.0.0.1:0",
                     "--side-listen",
                     "127.0.0.1:0",
                     "--log",
                     books,
                     "--processor",
                     "default=127.0.0.1:0",
                     "--processor",
                     "fallback=127.0.0.1:0",
                     "--processor-fee-ppm",
                     "default=70000",
                     "--processor-fee-ppm",
                     "fallback=100000",
                     "--processor-currency",
                     kCurrency};
    std::string ports;
    if (const absl::Status started = StartPart(sandbox_, "race", &ports); !started.ok()) return started;
    // They are open, and nothing is to stay in memory, whatever ends this process.
    for (const char* processor : {"", ".default", ".fallback"}) fs::remove(books + processor);
    const auto by_default = PortIn(ports, "processor_default"), by_fallback = PortIn(ports, "processor_fallback");
    if (!by_default || !by_fallback) return absl::InternalError("the sandbox plays no processors");
    default_port_ = *by_default;
    fallback_port_ = *by_fallback;
    return absl::OkStatus();
  }

  // `ports`: what its port file says.
  absl::Status StartPart(Part& part, const std::string& contender, std::string* ports = nullptr) const {
    const std::string name = fmt::format("{}.{}", contender, part.name);
    const fs::path port_file = options_.folder / (name + ".port");
    fs::remove(port_file);
    std::vector<std::string> args = part.args;
    args.insert(args.end(), {"--port-file", port_file});
    auto process = Child::Start(part.binary, args, options_.folder / (name + ".log"));
    if (!process.ok()) return process.status();
    auto said = (*process)->WaitForFile(port_file, kStartTimeout);
    if (!said.ok()) return said.status();
    if (ports != nullptr) *ports = *said;
    part.process = *std::move(process);
    return absl::OkStatus();
  }

  // Of the balancer and both instances, and of `more`.
  absl::StatusOr<Contender> MakeContender(const std::string& name, int more) const {
    Contender contender{name};
    for (int i = 0; i < 3 + more; ++i) {
      auto port = ReservedPort::Take();
      if (!port.ok()) return port.status();
      contender.ports.push_back(*std::move(port));
    }
    return contender;
  }

  std::string Listen(const Contender& contender, size_t port) const {
    return fmt::format("127.0.0.1:{}", contender.ports[port].port());
  }

  absl::StatusOr<Contender> MakePlain() const {
    auto contender = MakeContender(kPlain, 0);
    if (!contender.ok()) return contender;
    for (const size_t number : {size_t{1}, size_t{2}}) {
      contender->parts.push_back({fmt::format("instance-{}", number),
                                  fs::read_symlink("/proc/self/exe"),
                                  {"plain-race", "--listen", Listen(*contender, number), "--redis-url",
                                   WithDatabase(options_.redis_url, kPlainRedisDatabase), "--default-port",
                                   std::to_string(default_port_), "--fallback-port", std::to_string(fallback_port_)}});
    }
    contender->killed = {0, 1};
    return contender;
  }

  absl::StatusOr<Contender> MakeOurs() const {
    constexpr size_t kOrderPort = 3;
    auto contender = MakeContender(kOurs, 1);
    if (!contender.ok()) return contender;
    auto database = stage_.EmptyDatabase("race");
    if (!database.ok()) return database.status();
    contender->database = *std::move(database);
    const fs::path gateways = options_.folder / "race.gateways.toml";
    std::ofstream text(gateways);
    for (const auto& [name, port, cost_ppm] :
         {std::tuple("default", default_port_, 70'000), std::tuple("fallback", fallback_port_, 100'000)}) {
      text << fmt::format(
          "[[gateway]]\nname = \"{}\"\naddress = \"http://127.0.0.1:{}\"\ncurrencies = [\"{}\"]\ncost_ppm = {}\n", name,
          port, kCurrency, cost_ppm);
    }
    std::vector<std::string> order = {"--listen",
                                      Listen(*contender, kOrderPort),
                                      "--side-listen",
                                      "127.0.0.1:0",
                                      "--migrate",
                                      "--database-url",
                                      contender->database->url(),
                                      "--redis-url",
                                      WithDatabase(options_.redis_url, "1"),
                                      "--gateways-file",
                                      gateways,
                                      "--payment-gateway",
                                      "builtin",
                                      "--dispatch",
                                      "builtin",
                                      "--attempt-timeout",
                                      "6s",
                                      "--instance",
                                      "race"};
    order.insert(order.end(), options_.service_flags.begin(), options_.service_flags.end());
    contender->parts.push_back({"waybill-order", options_.binaries / "waybill-order", order});
    for (const size_t number : {size_t{1}, size_t{2}}) {
      contender->parts.push_back(
          {fmt::format("instance-{}", number),
           options_.binaries / "waybill-race",
           {"--listen", Listen(*contender, number), "--side-listen", "127.0.0.1:0", "--orders",
            "grpc://" + Listen(*contender, kOrderPort), "--currency", kCurrency, "--purge-allowed"}});
    }
    contender->killed = {1, 0};
    return contender;
  }

  absl::StatusOr<Raced> Measure(Contender& contender) {
    stage_.Tell(fmt::format("{}: starting", contender.name));
    Killer killer(
        timer_, [&](Part& part) { return StartPart(part, contender.name); },
        [&](const std::string& line) { stage_.Tell(fmt::format("{}: {}", contender.name, line)); });
    for (Part& part : contender.parts) {
      if (const absl::Status started = StartPart(part, contender.name); !started.ok()) return started;
    }
    BalancerOptions balancer;
    balancer.binary = options_.balancer;
    balancer.folder = options_.folder;
    balancer.name = "race." + contender.name;
    balancer.port = contender.ports[0].port();
    balancer.instances = {contender.ports[1].port(), contender.ports[2].port()};
    auto balancing = StartBalancer(balancer);
    if (!balancing.ok()) return balancing.status();
    contender.balancer = *std::move(balancing);

    RaceLoadOptions load;
    load.shape = shape_;
    load.backend = contender.target();
    load.default_processor = fmt::format("127.0.0.1:{}", default_port_);
    load.fallback_processor = fmt::format("127.0.0.1:{}", fallback_port_);
    load.token = kToken;
    load.tell = [&](const std::string& line) { stage_.Tell(fmt::format("{}: {}", contender.name, line)); };
    load.begun = [&] {
      if (!options_.kill) return;
      std::vector<std::pair<absl::Duration, Part*>> victims;
      for (size_t at = 0; at < contender.killed.size(); ++at) {
        victims.emplace_back(timer_.Now() + shape_.duration * kKilledAt[at], &contender.parts[contender.killed[at]]);
      }
      killer.Begin(stage_, std::move(victims));
    };
    Raced raced;
    raced.name = contender.name;
    const auto before = stage_.SampleUsage({});
    auto result = RunRaceLoad(load, timer_);
    if (!result.ok()) return result.status();
    const auto after = stage_.SampleUsage({});
    if (!before.ok() || !after.ok()) return before.ok() ? after.status() : before.status();
    if (const absl::Status killed = killer.Await(); !killed.ok()) return killed;
    raced.load = *std::move(result);
    raced.others = (*after - *before).others;
    raced.p99_ms = Percentile(raced.load.took_ms, 0.99);
    raced.score = Score(raced.load.by_default, raced.load.by_fallback, raced.p99_ms, raced.load.inconsistencies,
                        raced.load.taken);
    if (const absl::Status settled = Settle(contender, raced); !settled.ok()) return settled;
    for (Part& part : contender.parts) {
      part.Remember(stage_);
      raced.memory.emplace_back(part.name, part.memory);
    }
    for (auto part = contender.parts.rbegin(); part != contender.parts.rend(); ++part) {
      if (const absl::Status stopped = part->process->Stop(kStopTimeout); !stopped.ok()) return stopped;
    }
    return raced;
  }

  absl::StatusOr<std::string> Get(int port, const std::string& target) const {
    auto answer = http::CallAndWait({"127.0.0.1", port, target, {{"x-rinha-token", kToken}}, "", "GET"}, nullptr,
                                    1 << 20, absl::Seconds(30));
    if (!answer.ok()) return answer.status();
    if (answer->status != 200) return absl::InternalError(fmt::format("{} was answered {}", target, answer->status));
    return std::move(answer->body);
  }

  absl::StatusOr<RaceCount> Booked() const {
    RaceCount booked;
    for (const auto& [port, payments] :
         {std::pair(default_port_, &booked.by_default), std::pair(fallback_port_, &booked.by_fallback)}) {
      auto said = Get(port, "/admin/payments-summary");
      if (!said.ok()) return said.status();
      const auto totals = ParseProcessorSummary(*said);
      if (!totals) return absl::InternalError("a processor's summary is none: " + *said);
      *payments = totals->payments;
    }
    return booked;
  }

  // What the official script does not ask: whether all that was taken is paid in the end, once, and told so.
  absl::Status Settle(const Contender& contender, Raced& raced) const {
    const absl::Time deadline = absl::Now() + options_.drain;
    while (true) {
      const auto booked = Booked();
      if (!booked.ok()) return booked.status();
      auto said = Get(contender.ports[0].port(), "/payments-summary");
      if (!said.ok()) return said.status();
      const auto backend = ParseBackendSummary(*said);
      if (!backend) return absl::InternalError("the backend's summary is none: " + *said);
      raced.apart = Inconsistencies(*backend, *booked);
      const int64_t all = booked->by_default + booked->by_fallback;
      raced.never_booked = std::max<int64_t>(raced.load.taken - all, 0);
      raced.booked_unasked = std::max<int64_t>(all - raced.load.taken - NotTaken(raced), 0);
      if ((raced.never_booked == 0 && raced.apart == 0) || absl::Now() > deadline) return absl::OkStatus();
      absl::SleepFor(kDrainLook);
    }
  }

  void AddFigures(const std::vector<Raced>& all, ScenarioResult& result) const {
    // `target`: of ours.
    const auto add = [&](const std::string& name, const std::string& unit, auto figure,
                         std::optional<Target> target = std::nullopt) {
      for (const Raced& raced : all) {
        result.figures.push_back({fmt::format("{}, {}", name, raced.name), static_cast<double>(figure(raced)), unit,
                                  raced.name == kOurs ? target : std::nullopt});
      }
    };
    const auto add_times = [&](const std::string& name, auto figure, Target target) {
      if (all.size() < 2) return;
      result.figures.push_back(
          {fmt::format("{}, ours times plain", name), figure(all[1]) / figure(all[0]), "", target});
    };
    const auto p99 = [](const Raced& raced) { return raced.p99_ms; };
    add("p99", "ms", p99);
    add_times("p99", p99, AtMost(0.5));
    add("payments taken", "", [](const Raced& raced) { return raced.load.taken; });
    add("payments not taken", "", NotTaken);
    add("booked by default", "", [](const Raced& raced) { return raced.load.by_default.payments; });
    add("booked by fallback", "", [](const Raced& raced) { return raced.load.by_fallback.payments; });
    add(
        "taken, not booked at the end", "", [](const Raced& raced) { return raced.score.lag; },
        options_.kill ? std::nullopt : std::optional(AtLeast(0)));
    add("gross", "", [](const Raced& raced) { return raced.score.gross; });
    add("fees", "", [](const Raced& raced) { return raced.score.fees; });
    add("net", "", [](const Raced& raced) { return raced.score.net; });
    add("bonus", "of net", [](const Raced& raced) { return raced.score.bonus; });
    add("fine", "of net", [](const Raced& raced) { return raced.score.fine; });
    const auto score = [](const Raced& raced) { return raced.score.total; };
    add("score", "", score);
    add_times("score", score, AtLeast(1.1));
    add(
        "inconsistencies", "", [](const Raced& raced) { return raced.load.inconsistencies; }, AtMost(0));
    add("checks", "", [](const Raced& raced) { return raced.load.checks; });
    add("checks without an answer", "", [](const Raced& raced) { return raced.load.checks_unanswered; });
    add(
        "never booked", "", [](const Raced& raced) { return raced.never_booked; }, AtMost(0));
    add(
        "booked beyond what was asked", "", [](const Raced& raced) { return raced.booked_unasked; }, AtMost(0));
    add(
        "summaries apart in the end", "", [](const Raced& raced) { return raced.apart; }, AtMost(0));
    for (const Raced& raced : all) {
      for (const auto& [part, memory] : raced.memory) {
        result.figures.push_back({fmt::format("resident memory, peak, {} of {}", part, raced.name),
                                  memory.resident_bytes_peak / kMega, "MB",
                                  raced.name == kOurs ? std::optional(AtMost(200)) : std::nullopt});
      }
    }
    add("CPUs busy with something else", "",
        [this](const Raced& raced) { return absl::FDivDuration(raced.others, shape_.duration); });
    for (const Raced& raced : all) {
      if (raced.load.taken == 0) result.failures.push_back(raced.name + " took no payment");
      if (raced.load.checks == raced.load.checks_unanswered) {
        result.failures.push_back(raced.name + ": no summary was compared");
      }
    }
  }

  const RaceBenchOptions& options_;
  Timer& timer_;
  Stage stage_;
  const RaceShape shape_;
  Part sandbox_;
  int default_port_ = 0, fallback_port_ = 0;
};

}  // namespace

absl::StatusOr<Report> RunRace(const RaceBenchOptions& options, Timer& timer, const Progress& progress) {
  Race race(options, timer, progress);
  if (const absl::Status set_up = race.SetUp(); !set_up.ok()) return set_up;
  auto result = race.Run();
  if (!result.ok()) return result.status();
  Report report;
  report.machine = DescribeMachine();
  report.scenarios.push_back(*std::move(result));
  report.notes.push_back(
      "Amounts are of the contract's processors, 7 % and 10 % of which are fees; the score is that of the contract's "
      "final.");
  return report;
}

}  // namespace waybill::bench

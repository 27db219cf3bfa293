#include "tests/simulation/ingest_story.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include "fmt/format.h"

namespace waybill::simulation {
namespace {

using domain::DriverPosition;

uint64_t Number(const std::string& move) {
  uint64_t number = 0;
  std::from_chars(move.data(), move.data() + move.size(), number);
  return number;
}

std::string PhoneName(int number) { return fmt::format("driver-{}", number); }

}  // namespace

IngestPlan DrawIngest(uint64_t seed) {
  IngestPlan plan;
  plan.seed = seed;
  Chance chance(seed, {20});
  plan.processes = static_cast<int>(1 + chance.Pick(3));
  plan.gaps.crash = chance.OneIn(2) ? 600 : 0;
  plan.gaps.sleep = 300;
  plan.crashes = static_cast<int>(chance.Pick(3));
  plan.rolls = static_cast<int>(chance.Pick(2));
  plan.store_outages = static_cast<int>(chance.Pick(2));
  plan.view_outages = static_cast<int>(chance.Pick(3));
  plan.view_losses = static_cast<int>(chance.Pick(3));
  return plan;
}

// --- A driver's phone: it keeps each batch until its ack, and sends from the first that has none.

struct IngestStory::Phone {
  int number;
  Chance chance;
  std::deque<Batch> kept;
  int recorded = 0;   // batches
  int64_t acked = 0;  // sequence
  std::weak_ptr<Connection> connection;
};

// The phone's stream at one process. Lives with that process.
class IngestStory::Connection final : public ingest::StreamPeer {
 public:
  Connection(IngestStory& all, Phone& phone, IngestProcess& at) : story(all), owner(phone), process(at) {}
  ~Connection() override {
    if (!over) Lose("the connection is gone");
  }

  void Read() override {
    credit = true;
    auto self = owner.connection.lock();
    if (self) story.Feed(self);
  }
  void Send(const ingest::Ack& ack, absl::AnyInvocable<void(bool ok)> sent) override {
    if (!process.host.alive()) return;
    // In the order in which they were sent, and perhaps never.
    story.CheckAck(owner, ack);
    story.loop_.After(kWorld, absl::Milliseconds(2),
                      [this_story = &story, phone = &owner, ack] { this_story->TakeAck(*phone, ack); });
    process.host.After(absl::Milliseconds(2), [sent = std::move(sent)]() mutable { sent(true); });
  }
  void Finish(const absl::Status& status) override {
    if (over) return;
    Lose(std::string(status.message()));
  }
  void Abandon() override {}

  void Lose(std::string_view why) {
    over = true;
    stream.reset();
    if (story.closing_) return;
    story.Tell(fmt::format("{} loses its stream: {}", PhoneName(owner.number), why));
    story.loop_.After(kWorld, owner.chance.Milliseconds(5, 500),
                      [this_story = &story, phone = &owner] { this_story->Connect(*phone); });
  }

  IngestStory& story;
  Phone& owner;
  IngestProcess& process;
  std::shared_ptr<ingest::LocationStream> stream;
  int64_t sent_to = 0;  // sequence
  bool credit = false, over = false;
};

IngestStory::IngestStory(const IngestPlan& plan, bool told) : plan_(plan), told_(told) {
  for (int number = 0; number < plan.drivers; ++number) {
    phones_.push_back(
        std::make_unique<Phone>(Phone{number, Chance(plan.seed, {21, static_cast<uint64_t>(number)}), {}, 0, 0, {}}));
  }
}

// Records a batch now and then; some points are late, and some are no places at all.
void IngestStory::Record(Phone& phone) {
  Batch batch{++phone.recorded, {}, {}};
  for (int64_t left = phone.chance.Between(1, 4); left > 0; --left) {
    DriverPosition point;
    point.driver_id = PhoneName(phone.number);
    point.point = {52.0 + 0.0001 * static_cast<double>(phone.chance.Between(0, 1'000)), 13.4};
    point.recorded_at = absl::FromUnixMicros(absl::ToUnixMicros(loop_.Now() - absl::Milliseconds(left)));
    if (phone.chance.OneIn(15)) point.recorded_at -= phone.chance.Milliseconds(1'000, 60'000);
    if (phone.chance.OneIn(30)) {
      point.point.latitude = 91;
      batch.bad.push_back(static_cast<int>(batch.points.size()));
    }
    batch.points.push_back(std::move(point));
  }
  phone.kept.push_back(std::move(batch));
  if (auto connection = phone.connection.lock()) Feed(connection);
  if (phone.recorded < plan_.batches) {
    loop_.After(kWorld, phone.chance.Milliseconds(10, 500), [this, &phone] { Record(phone); });
  }
}

void IngestStory::Connect(Phone& phone) {
  if (closing_) return;
  IngestProcess* process = Any(phone.chance);
  if (process == nullptr) {
    loop_.After(kWorld, absl::Milliseconds(200), [this, &phone] { Connect(phone); });
    return;
  }
  auto connection = std::make_shared<Connection>(*this, phone, *process);
  phone.connection = connection;
  process->at_end.push_back([weak = phone.connection] {
    if (auto open = weak.lock(); open && !open->over) open->Lose("the process is gone");
  });
  process->host.After(process->host.Soon(), [connection, process] {
    absl::StatusOr<std::shared_ptr<ingest::LocationStream>> stream = process->streams.Make();
    if (!stream.ok()) return connection->Lose(std::string(stream.status().message()));
    connection->stream = *stream;
    connection->stream->Open(connection);
  });
}

// Sends the next batch, once the process asks for one.
void IngestStory::Feed(const std::shared_ptr<Connection>& connection) {
  const std::deque<Batch>& kept = connection->owner.kept;
  const auto next =
      std::find_if(kept.begin(), kept.end(), [&](const Batch& batch) { return batch.sequence > connection->sent_to; });
  if (!connection->credit || connection->over || next == kept.end()) return;
  connection->credit = false;
  connection->sent_to = next->sequence;
  connection->process.host.After(connection->process.host.Soon(), [connection, batch = *next] {
    if (connection->stream) connection->stream->OnBatch(batch.sequence, batch.points);
  });
}

// As it is sent: what comes to be durable while it is on its way does not count.
void IngestStory::CheckAck(const Phone& phone, const ingest::Ack& ack) {
  for (const Batch& batch : phone.kept) {
    if (batch.sequence > ack.durable_sequence) return;
    for (size_t at = 0; at < batch.points.size(); ++at) {
      const bool bad = std::count(batch.bad.begin(), batch.bad.end(), static_cast<int>(at)) > 0;
      if (!bad && !InHistory(batch.points[at])) {
        Wrong(fmt::format("{} was acked batch {}, and history lacks it", PhoneName(phone.number), batch.sequence));
      }
    }
  }
}

void IngestStory::TakeAck(Phone& phone, const ingest::Ack& ack) {
  for (; !phone.kept.empty() && phone.kept.front().sequence <= ack.durable_sequence; phone.kept.pop_front()) {
    const Batch& batch = phone.kept.front();
    std::vector<int> rejected;
    for (const ingest::Rejection& rejection : ack.rejected) {
      if (rejection.sequence == batch.sequence) rejected.push_back(rejection.index);
    }
    std::sort(rejected.begin(), rejected.end());
    if (rejected != batch.bad) {
      Wrong(fmt::format("{} was told of {} bad points in batch {}, which has {}", PhoneName(phone.number),
                        rejected.size(), batch.sequence, batch.bad.size()));
    }
  }
  phone.acked = std::max(phone.acked, ack.durable_sequence);
}

bool IngestStory::InHistory(const DriverPosition& position) {
  auto track =
      store_.Track({position.driver_id, position.recorded_at, position.recorded_at + absl::Microseconds(1), 1});
  return track.ok() && !track->empty();
}

// --- Watches.

struct IngestStory::Watcher {
  Chance chance;
  std::string driver_id;  // empty: all
  std::string reached;
  // Moves by number: where it began, what it was sent, and from where to where it was told that some are missing.
  std::optional<uint64_t> began;
  uint64_t highest = 0;
  std::set<uint64_t> seen;
  std::vector<std::pair<uint64_t, uint64_t>> missing;  // after the first, up to the second
};

class IngestStory::Watching final : public ingest::WatchPeer {
 public:
  Watching(IngestStory& story, Watcher& watcher, IngestProcess& process)
      : story_(story), watcher_(watcher), process_(process) {}
  ~Watching() override { Finish(absl::UnavailableError("the connection is gone")); }

  void Send(const std::vector<storage::LocationEvent>& events, bool gap, const std::string& reached,
            absl::AnyInvocable<void(bool ok)> sent) override {
    if (!process_.host.alive()) return;
    const std::string& first = events.empty() ? reached : events.front().id;
    if (!watcher_.began && !first.empty()) watcher_.began = watcher_.highest = Number(first) - (events.empty() ? 0 : 1);
    // With nothing after it, it is all that was in the stream that is lost.
    const uint64_t up_to = events.empty() ? std::max(Number(reached), story_.lost_) : Number(first) - 1;
    if (gap) watcher_.missing.emplace_back(watcher_.highest, up_to);
    for (const storage::LocationEvent& event : events) {
      ++story_.moves_;
      if (!watcher_.driver_id.empty() && event.position.driver_id != watcher_.driver_id) {
        story_.Wrong("a watch was sent a move of another driver");
      }
      if (!story_.InHistory(event.position)) story_.Wrong("a watch was sent a move that is not durable");
      if (!gap && !watcher_.reached.empty() && Number(event.id) <= Number(watcher_.reached)) {
        story_.Wrong(fmt::format("a watch was sent move {} after {}", event.id, watcher_.reached));
      }
      watcher_.reached = event.id;
      watcher_.seen.insert(Number(event.id));
      gap = false;
    }
    if (!reached.empty()) watcher_.reached = reached;
    if (!watcher_.reached.empty()) watcher_.highest = std::max(watcher_.highest, Number(watcher_.reached));
    process_.host.After(absl::Milliseconds(1), [sent = std::move(sent)]() mutable { sent(true); });
  }
  void Finish(const absl::Status&) override {
    if (std::exchange(over_, true) || story_.closing_) return;
    story_.loop_.After(kWorld, watcher_.chance.Milliseconds(5, 500),
                       [story = &story_, watcher = &watcher_] { story->Watch(*watcher); });
  }

 private:
  IngestStory& story_;
  Watcher& watcher_;
  IngestProcess& process_;
  bool over_ = false;
};

void IngestStory::Watch(Watcher& watcher) {
  IngestProcess* process = closing_ ? nullptr : Any(watcher.chance);
  if (process == nullptr) {
    if (!closing_) loop_.After(kWorld, absl::Milliseconds(200), [this, &watcher] { Watch(watcher); });
    return;
  }
  // Made at once: a process that dies before it has heard of the watch ends it, too.
  process->host.After(process->host.Soon(),
                      [&watcher, process, watching = std::make_shared<Watching>(*this, watcher, *process)] {
                        ingest::WatchFilter filter;
                        if (!watcher.driver_id.empty()) filter.driver_ids.insert(watcher.driver_id);
                        process->watches.Add(std::move(filter), watcher.reached, watching);
                      });
}

// A move that concerns the watch, later than where it began, which it has neither been sent nor been told to miss.
std::optional<uint64_t> IngestStory::LacksOf(const Watcher& watcher) const {
  if (!watcher.began) return std::nullopt;
  for (auto move = moved_.upper_bound(*watcher.began); move != moved_.end(); ++move) {
    const auto& [number, driver_id] = *move;
    if (!watcher.driver_id.empty() && driver_id != watcher.driver_id) continue;
    if (watcher.seen.contains(number)) continue;
    // That one which was lost with the view is missing is told with the next.
    if (number <= lost_ && (watcher.seen.empty() || *watcher.seen.rbegin() < number)) continue;
    const bool told = std::any_of(watcher.missing.begin(), watcher.missing.end(), [number = number](const auto& span) {
      return span.first < number && number <= span.second;
    });
    if (!told) return number;
  }
  return std::nullopt;
}

// Before a loss of the view takes them away.
void IngestStory::NoteMoves() {
  const std::string after = moved_.empty() ? "0" : std::to_string(moved_.rbegin()->first);
  const auto page = fleet_.Follow(after, 1'000);
  for (const storage::LocationEvent& event : page->events) moved_[Number(event.id)] = event.position.driver_id;
}

IngestStory::~IngestStory() { closing_ = true; }

// --- The world.

IngestEnd IngestStory::Run() {
  processes_.resize(static_cast<size_t>(plan_.processes));
  for (int number = 0; number < plan_.processes; ++number) Start(number);
  for (const std::unique_ptr<Phone>& phone : phones_) {
    Record(*phone);
    Connect(*phone);
  }
  for (int number = 0; number < plan_.watches; ++number) {
    watchers_.push_back(std::make_unique<Watcher>(
        Watcher{Chance(plan_.seed, {22, static_cast<uint64_t>(number)}), number == 0 ? "" : PhoneName(number), ""}));
    Watch(*watchers_.back());
  }
  Befall();
  RunUntil(start_ + absl::Seconds(16), false);
  RunUntil(start_ + absl::Seconds(90), true);
  if (wrong_.empty()) CheckEnd();
  closing_ = true;
  return {wrong_, std::move(story_), store_.size(), moves_, deaths_};
}

void IngestStory::Befall() {
  Chance chance(plan_.seed, {23});
  auto times = [&](int count, auto what) {
    for (; count > 0; --count) loop_.After(kWorld, chance.Milliseconds(0, 14'000), what);
  };
  auto number = [this, &chance] { return static_cast<size_t>(chance.Pick(static_cast<size_t>(plan_.processes))); };
  auto away = [&](int count, bool Outages::*what, std::string_view name) {
    const absl::Duration span = chance.Milliseconds(100, 4'000);
    times(count, [this, what, name, span] {
      Tell(fmt::format("{} is away for {}", name, absl::FormatDuration(span)));
      outages_.*what = true;
      loop_.After(kWorld, span, [this, what] { outages_.*what = false; });
    });
  };
  times(plan_.crashes, [this, at = number()] {
    if (processes_[at]) processes_[at]->host.Die();
  });
  times(plan_.rolls, [this, at = number()] {
    IngestProcess* process = processes_[at].get();
    if (process == nullptr || !process->host.alive()) return;
    Tell(fmt::format("process {} drains", at));
    process->host.After(absl::ZeroDuration(), [process] { process->Drain(); });
    process->host.After(absl::Seconds(1), [process] {
      process->Stop();
      process->host.Die();
    });
  });
  away(plan_.store_outages, &Outages::store, "history");
  away(plan_.view_outages, &Outages::fleet, "the hot view");
  times(plan_.view_losses, [this] {
    Tell("the hot view is lost");
    NoteMoves();
    if (!moved_.empty()) lost_ = moved_.rbegin()->first;
    fleet_.Clear();
  });
}

IngestProcess* IngestStory::Any(Chance& chance) {
  IngestProcess* process = processes_[chance.Pick(processes_.size())].get();
  return process != nullptr && process->host.alive() ? process : nullptr;
}

void IngestStory::Start(int number) {
  const int life = ++lives_;
  processes_[static_cast<size_t>(number)] = std::make_unique<IngestProcess>(
      loop_, store_, fleet_, outages_, plan_.gaps, Chance(plan_.seed, {24, static_cast<uint64_t>(life)}), life,
      [this, number, life] {
        Tell(fmt::format("process {} (life {}) ends", number, life));
        somebody_died_ = true;
        ++deaths_;
      });
}

void IngestStory::TakeAwayTheDead() {
  somebody_died_ = false;
  for (size_t number = 0; number < processes_.size(); ++number) {
    std::unique_ptr<IngestProcess>& process = processes_[number];
    if (process == nullptr || process->host.alive()) continue;
    loop_.Bury();
    process.reset();
    ++to_come_;
    loop_.After(kWorld, absl::Milliseconds(300), [this, number] {
      --to_come_;
      Start(static_cast<int>(number));
    });
  }
}

void IngestStory::RunUntil(SteadyTime until, bool quiet) {
  while (wrong_.empty() && !(quiet && Quiet()) && loop_.RunNext(until)) {
    NoteMoves();
    if (somebody_died_) TakeAwayTheDead();
  }
}

// Everything was acked and published, and the view is whole again.
bool IngestStory::Quiet() const {
  if (to_come_ > 0) return false;
  for (const std::unique_ptr<Phone>& phone : phones_) {
    if (phone->acked < plan_.batches) return false;
  }
  for (const std::unique_ptr<Watcher>& watcher : watchers_) {
    if (LacksOf(*watcher)) return false;
  }
  return std::all_of(processes_.begin(), processes_.end(), [](const auto& process) {
    return process != nullptr && process->host.alive() && !process->feeder.stale() && process->feeder.backlog() == 0;
  });
}

void IngestStory::CheckEnd() {
  std::vector<std::string> ids;
  for (const std::unique_ptr<Phone>& phone : phones_) {
    if (phone->acked < plan_.batches) {
      return Wrong(fmt::format("{} has {} of {} batches acked", PhoneName(phone->number), phone->acked, plan_.batches));
    }
    ids.push_back(PhoneName(phone->number));
  }
  for (const std::unique_ptr<Watcher>& watcher : watchers_) {
    if (auto lacks = LacksOf(*watcher)) {
      return Wrong(fmt::format("a watch of '{}' was never sent move {}, nor told that it is missing",
                               watcher->driver_id, *lacks));
    }
  }
  if (!Quiet()) return Wrong("the hot view does not come to be whole");
  const auto newest = store_.Latest(ids);
  const auto shown = fleet_.Get(ids);
  for (size_t at = 0; at < ids.size(); ++at) {
    const std::optional<DriverPosition>& durable = (*newest)[at];
    const std::optional<DriverPosition>& seen = (*shown)[at];
    if (!durable || durable->recorded_at + absl::Minutes(2) <= loop_.Now()) continue;
    if (!seen || seen->recorded_at != durable->recorded_at) {
      Wrong(fmt::format("the hot view does not have the newest position of {}", ids[at]));
    }
  }
}

void IngestStory::Wrong(std::string what) {
  if (wrong_.empty()) wrong_ = std::move(what);
}

void IngestStory::Tell(std::string_view line) {
  if (told_) story_ += fmt::format("{:>6} {}\n", absl::ToInt64Milliseconds(loop_.Steady() - start_), line);
}

}  // namespace waybill::simulation

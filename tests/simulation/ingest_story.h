// One story of the ingest service: several processes, the phones of drivers that stream points and send again from
// their last ack, watches, and stores that are away or lose what they hold.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/testing/fake_fleet.h"
#include "storage/testing/fake_location_store.h"
#include "tests/simulation/event_loop.h"
#include "tests/simulation/ingest_process.h"

namespace waybill::simulation {

struct IngestPlan {
  uint64_t seed = 0;
  int processes = 2;
  int drivers = 6;
  int batches = 30;  // of each driver
  int watches = 3;
  GapOdds gaps;
  int crashes = 0, rolls = 0, store_outages = 0, view_outages = 0, view_losses = 0;
};

IngestPlan DrawIngest(uint64_t seed);

struct IngestEnd {
  std::string wrong;  // empty: nothing
  std::string story;
  size_t points = 0;  // in history
  size_t moves = 0;   // that watches were sent
  int deaths = 0;
};

class IngestStory {
 public:
  IngestStory(const IngestPlan& plan, bool told);
  ~IngestStory();
  IngestEnd Run();

 private:
  struct Batch {
    int64_t sequence;
    std::vector<domain::DriverPosition> points;
    std::vector<int> bad;  // indices of those that are to be rejected
  };
  struct Phone;
  class Connection;
  struct Watcher;
  class Watching;

  void Start(int number);
  void TakeAwayTheDead();
  void Befall();
  IngestProcess* Any(Chance& chance);
  void Record(Phone& phone);
  void Connect(Phone& phone);
  void Feed(const std::shared_ptr<Connection>& connection);
  void CheckAck(const Phone& phone, const ingest::Ack& ack);
  void TakeAck(Phone& phone, const ingest::Ack& ack);
  void Watch(Watcher& watcher);
  std::optional<uint64_t> LacksOf(const Watcher& watcher) const;
  void NoteMoves();
  void RunUntil(SteadyTime until, bool quiet);
  bool Quiet() const;
  bool InHistory(const domain::DriverPosition& position);
  void CheckEnd();
  void Wrong(std::string what);
  void Tell(std::string_view line);

  const IngestPlan plan_;
  const bool told_;
  EventLoop loop_;
  const SteadyTime start_ = loop_.Steady();
  storage::testing::FakeLocationStore store_;
  storage::testing::FakeFleet fleet_{loop_};
  Outages outages_;
  std::vector<std::unique_ptr<Phone>> phones_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::map<uint64_t, std::string> moved_;  // drivers, by number of the move
  uint64_t lost_ = 0;                      // up to this move
  std::vector<std::unique_ptr<IngestProcess>> processes_;
  std::string wrong_, story_;
  bool somebody_died_ = false, closing_ = false;
  int lives_ = 0, deaths_ = 0, to_come_ = 0;
  size_t moves_ = 0;
};

}  // namespace waybill::simulation

// Channels of orders: "order:ID" tells the transitions of that order, each once and in their order, from the rows of
// its own log. Offsets are the log's sequence, which has no gaps and is committed in its order, for one process drives
// an order at a time; 0 is the acceptance. So whoever comes back with the offset that it saw last, here or at another
// replica, gets exactly what it missed.
//
// What is followed is in memory while somebody follows it. One loop reads: the logs of orders that are followed anew,
// and every `poll` how far all the others have come, in one question a thousand of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/metrics.h"
#include "storage/order_status.h"
#include "storage/order_store.h"

namespace waybill::realtime {

struct ChannelOptions {
  absl::Duration poll = absl::Milliseconds(50);
  // Raised by whoever puts back an older state of the database: offsets of before mean nothing then.
  std::string epoch = "1";
};

// Whose orders are seen: a tenant's, and where a user is named, that user's only.
struct Follower {
  std::string tenant;
  std::string user;
};

// What a client saw last.
struct Position {
  std::string epoch;
  int64_t offset = 0;
};

// A message that is the same for all who follow.
using Message = std::shared_ptr<const std::string>;

// One who follows one order. Called by one thread at a time, under a lock: it must neither block nor call back.
class ChannelSink {
 public:
  virtual ~ChannelSink() = default;
  // First. What is behind the position comes next, up to `offset`, the newest; not `recovered`: the position means
  // nothing here, and all comes from the beginning.
  virtual void Subscribed(const std::string& epoch, int64_t offset, bool recovered) = 0;
  // False: there is no room. It comes again with OrderChannels::Resume, or with the next event, and those behind it
  // after.
  virtual bool Event(const Message& event) = 0;
  // Last. OK: nothing will happen to the order any more. ORDER_NOT_FOUND (also of an order of somebody else's),
  // UNREADABLE_ROW, SHUTTING_DOWN.
  virtual void Ended(const absl::Status& status) = 0;
};

class OrderChannels {
 public:
  // All outlive this.
  OrderChannels(storage::OrderStore& store, const Clock& clock, Metrics& metrics, ChannelOptions options);
  ~OrderChannels() { Stop(); }
  OrderChannels(const OrderChannels&) = delete;
  OrderChannels& operator=(const OrderChannels&) = delete;

  // While the store does not answer, the sink waits. `from` nullopt: from the beginning.
  void Subscribe(const Uuid& order_id, Follower follower, std::optional<Position> from,
                 std::shared_ptr<ChannelSink> sink);
  // Goes on telling one that had no room. True: it has none again.
  bool Resume(const Uuid& order_id, const ChannelSink& sink);
  // Nothing of it is called any more when this returns.
  void Unsubscribe(const Uuid& order_id, const ChannelSink& sink);

  void Start(const Loops& loops);
  void Stop();  // ends those who follow, and those to come, with SHUTTING_DOWN

  std::optional<SteadyTime> Turn();  // of the loop; for tests, instead of Start

 private:
  struct Subscriber {
    Follower follower;
    std::optional<Position> from;
    std::shared_ptr<ChannelSink> sink;
    uint64_t arrived = 0;  // when so many reads had begun
    bool waiting = true;   // for its Subscribed
    int64_t next = 0;      // the offset that it is told next, then
  };
  struct Channel {
    bool known = false;     // what follows was read
    bool look = true;       // to be read (again)
    uint64_t reads = 0;     // that were begun
    bool terminal = false;  // nothing comes behind `events`
    std::string tenant, user;
    std::vector<Message> events;  // by offset
    std::vector<Subscriber> subscribers;
  };
  using Channels = std::map<Uuid, Channel>;
  struct Read {
    absl::Status status;
    std::string tenant, user;
    std::vector<storage::Transition> transitions;
    bool terminal = false;
  };

  Read ReadOrder(const Uuid& order_id);
  void Apply(const Uuid& order_id, const Read& read);
  void AskAfter(const std::vector<Uuid>& order_ids);
  // All under mutex_. Drops those that end, and the channel with the last. `read`: the number of the read that was
  // just applied; 0: none was.
  void Admit(const Uuid& order_id, Channel& channel, uint64_t read);
  void Leave(Channels::iterator at);
  // What is behind its position, as far as it has room. Whether it was told of the end, too: then it is none any more.
  bool Feed(const Channel& channel, Subscriber& one);
  void SetGauges();
  Message Render(const Uuid& order_id, int64_t offset, const storage::Transition& transition) const;

  storage::OrderStore& store_;
  const Clock& clock_;
  const ChannelOptions options_;
  prometheus::Gauge& channels_gauge_;
  prometheus::Gauge& subscribers_gauge_;
  prometheus::Counter& events_;
  prometheus::Counter& failures_;
  SteadyTime poll_at_ = SteadyTime::InfinitePast();  // the loop's

  std::mutex mutex_;  // over what follows
  bool stopped_ = false;
  Channels channels_;
  size_t subscribers_ = 0;
  std::unique_ptr<Loop> loop_;
};

}  // namespace waybill::realtime

#include "services/realtime/order_channels.h"

#include <algorithm>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/status.h"

namespace waybill::realtime {
namespace {

constexpr size_t kAskedAtOnce = 1'000;
constexpr size_t kReadInATurn = 100;  // so that those who follow already do not wait behind a storm of new ones
constexpr absl::Duration kRetry = absl::Milliseconds(500);

absl::Status ShuttingDown() { return domain::ReasonError("SHUTTING_DOWN", "this process is draining"); }

}  // namespace

OrderChannels::OrderChannels(storage::OrderStore& store, const Clock& clock, Metrics& metrics, ChannelOptions options)
    : store_(store),
      clock_(clock),
      options_(std::move(options)),
      channels_gauge_(metrics.AddGauge("waybill_realtime_channels", "Orders that somebody follows.")),
      subscribers_gauge_(metrics.AddGauge("waybill_realtime_subscriptions", "Who follows them.")),
      events_(metrics.AddCounter("waybill_realtime_events_total", "Transitions that were read of orders.")),
      failures_(metrics.AddCounter("waybill_realtime_read_failures_total", "Reads that the store did not answer.")) {}

void OrderChannels::Subscribe(const Uuid& order_id, Follower follower, std::optional<Position> from,
                              std::shared_ptr<ChannelSink> sink) {
  std::lock_guard lock(mutex_);
  if (stopped_) return sink->Ended(ShuttingDown());
  Channel& channel = channels_[order_id];
  channel.subscribers.push_back({std::move(follower), std::move(from), std::move(sink), channel.reads});
  ++subscribers_;
  SetGauges();
  Admit(order_id, channel, /*read=*/0);
}

void OrderChannels::Unsubscribe(const Uuid& order_id, const ChannelSink& sink) {
  std::lock_guard lock(mutex_);
  const auto at = channels_.find(order_id);
  if (at == channels_.end()) return;
  subscribers_ -= std::erase_if(at->second.subscribers, [&](const Subscriber& one) { return one.sink.get() == &sink; });
  Leave(at);
}

bool OrderChannels::Resume(const Uuid& order_id, const ChannelSink& sink) {
  std::lock_guard lock(mutex_);
  const auto at = channels_.find(order_id);
  if (at == channels_.end()) return false;
  bool refused = false;
  std::erase_if(at->second.subscribers, [&](Subscriber& one) {
    if (one.sink.get() != &sink || one.waiting) return false;
    if (Feed(at->second, one)) return true;
    refused = one.next < static_cast<int64_t>(at->second.events.size());
    return false;
  });
  Leave(at);
  return refused;
}

bool OrderChannels::Feed(const Channel& channel, Subscriber& one) {
  for (; one.next < static_cast<int64_t>(channel.events.size()); ++one.next) {
    if (!one.sink->Event(channel.events[static_cast<size_t>(one.next)])) return false;
  }
  if (!channel.terminal) return false;
  one.sink->Ended(absl::OkStatus());
  --subscribers_;
  return true;
}

void OrderChannels::Leave(Channels::iterator at) {
  if (at->second.subscribers.empty()) channels_.erase(at);
  SetGauges();
}

void OrderChannels::SetGauges() {
  channels_gauge_.Set(static_cast<double>(channels_.size()));
  subscribers_gauge_.Set(static_cast<double>(subscribers_));
}

// Tells those who wait, as far as that can be said from what was read; else it is read again.
void OrderChannels::Admit(const Uuid& order_id, Channel& channel, uint64_t read) {
  const int64_t newest = static_cast<int64_t>(channel.events.size()) - 1;
  std::erase_if(channel.subscribers, [&](Subscriber& one) {
    if (!one.waiting) return false;
    const bool ahead = one.from && one.from->epoch == options_.epoch && one.from->offset > newest;
    // Another replica may have told it of what was not yet read here: only a read that began since can say.
    const bool unsure = ahead && !channel.terminal && read <= one.arrived;
    if (!channel.known || unsure) {
      channel.look = true;
      return false;
    }
    const auto& [tenant, user] = one.follower;
    if (tenant != channel.tenant || (!user.empty() && user != channel.user)) {
      one.sink->Ended(storage::OrderNotFound(order_id));
      --subscribers_;
      return true;
    }
    const bool recovered = !one.from || (one.from->epoch == options_.epoch && !ahead);
    one.next = one.from && recovered ? std::max<int64_t>(one.from->offset, -1) + 1 : 0;
    one.waiting = false;
    one.sink->Subscribed(options_.epoch, newest, recovered);
    return Feed(channel, one);
  });
  if (channel.look && loop_) loop_->Wake();
  Leave(channels_.find(order_id));
}

OrderChannels::Read OrderChannels::ReadOrder(const Uuid& order_id) {
  Read read;
  absl::StatusOr<std::vector<saga::LogEntry>> log = store_.Log(order_id, 1);
  // After the log, so that it knows why the last entry stands there.
  absl::StatusOr<storage::OrderRecord> order = log.ok() ? store_.Get(order_id) : log.status();
  read.status = order.status();
  if (!order.ok()) return read;
  read.tenant = order->payload.client;
  read.user = order->payload.user_id;
  read.transitions = storage::TransitionsOf(*order, *std::move(log), 0);
  // What was written since the log was read is still to come.
  read.terminal = saga::IsTerminal(order->state) && order->seq < static_cast<int64_t>(read.transitions.size());
  return read;
}

void OrderChannels::Apply(const Uuid& order_id, const Read& read) {
  std::lock_guard lock(mutex_);
  const auto at = channels_.find(order_id);
  if (at == channels_.end()) return;
  Channel& channel = at->second;
  if (absl::IsUnavailable(read.status)) return;  // looked at again
  channel.look = false;
  if (!read.status.ok()) {
    for (const Subscriber& one : std::exchange(channel.subscribers, {})) {
      one.sink->Ended(read.status);
      --subscribers_;
    }
    return Leave(at);
  }
  channel.known = true;
  channel.tenant = read.tenant;
  channel.user = read.user;
  channel.terminal = read.terminal;
  std::vector<Message> fresh;
  for (size_t offset = channel.events.size(); offset < read.transitions.size(); ++offset) {
    fresh.push_back(Render(order_id, static_cast<int64_t>(offset), read.transitions[offset]));
  }
  events_.Increment(static_cast<double>(fresh.size()));
  channel.events.insert(channel.events.end(), fresh.begin(), fresh.end());
  std::erase_if(channel.subscribers, [&](Subscriber& one) { return !one.waiting && Feed(channel, one); });
  Admit(order_id, channel, channel.reads);
}

void OrderChannels::AskAfter(const std::vector<Uuid>& order_ids) {
  const absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> found = store_.LastSequences(order_ids);
  if (!found.ok()) {
    failures_.Increment();
    return;
  }
  std::lock_guard lock(mutex_);
  for (const auto& [id, newest] : *found) {
    const auto at = channels_.find(id);
    if (at != channels_.end() && newest >= static_cast<int64_t>(at->second.events.size())) at->second.look = true;
  }
}

std::optional<SteadyTime> OrderChannels::Turn() {
  if (const SteadyTime now = clock_.Steady(); poll_at_ <= now) {
    poll_at_ = now + options_.poll;
    std::vector<Uuid> quiet;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [id, channel] : channels_) {
        if (channel.known && !channel.look && !channel.terminal) quiet.push_back(id);
      }
    }
    for (size_t at = 0; at < quiet.size(); at += kAskedAtOnce) {
      AskAfter({quiet.begin() + static_cast<ptrdiff_t>(at),
                quiet.begin() + static_cast<ptrdiff_t>(std::min(at + kAskedAtOnce, quiet.size()))});
    }
  }
  std::vector<Uuid> looking;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return std::nullopt;
    for (auto& [id, channel] : channels_) {
      if (!channel.look || looking.size() == kReadInATurn) continue;
      looking.push_back(id);
      ++channel.reads;
    }
  }
  for (const Uuid& id : looking) {
    const Read read = ReadOrder(id);
    Apply(id, read);
    if (!absl::IsUnavailable(read.status)) continue;
    failures_.Increment();
    poll_at_ = clock_.Steady() + kRetry;
    return poll_at_;
  }
  std::lock_guard lock(mutex_);
  if (stopped_) return std::nullopt;
  if (channels_.empty()) return Loop::kWhenWoken;
  return looking.size() == kReadInATurn ? Loop::kAtOnce : poll_at_;
}

void OrderChannels::Start(const Loops& loops) {
  std::unique_ptr<Loop> loop = loops.Start([this](const Clock&) { return Turn(); });
  std::lock_guard lock(mutex_);
  loop_ = std::move(loop);
  loop_->Wake();
}

void OrderChannels::Stop() {
  std::unique_ptr<Loop> loop;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    loop = std::move(loop_);
    for (auto& [id, channel] : channels_) {
      for (const Subscriber& one : channel.subscribers) one.sink->Ended(ShuttingDown());
    }
    channels_.clear();
    subscribers_ = 0;
    SetGauges();
  }
  if (loop) loop->Join();
}

Message OrderChannels::Render(const Uuid& order_id, int64_t offset, const storage::Transition& transition) const {
  nlohmann::ordered_json event = {{"outcome", transition.outcome()}};
  if (!transition.entry.step.empty()) {
    event["step"] = transition.entry.step;
    event["attempt"] = transition.entry.attempt;
  }
  event["status"] = storage::Name(transition.status);
  event["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", transition.entry.at, absl::UTCTimeZone());
  const nlohmann::ordered_json message = {{"type", "event"},
                                          {"channel", "order:" + order_id.ToString()},
                                          {"epoch", options_.epoch},
                                          {"offset", offset},
                                          {"event", std::move(event)}};
  return std::make_shared<const std::string>(
      message.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace waybill::realtime

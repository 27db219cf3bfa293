#include "storage/redis/redis_hot_view.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/redis/fleet_script.h"
#include "storage/redis/probe.h"

namespace waybill::storage {
namespace {

constexpr std::string_view kWhole = "1";

// So many are sent while the next ones are written out: about what Redis reads at once.
constexpr size_t kMovesAtOnce = 64;

// KEYS: the mark. Makes it, unless it is there, and answers it. It is another one each time, so that whoever rebuilds
// sees that it was lost, even when the next one has made it again.
constexpr std::string_view kBeginText = R"lua(
local mark = redis.call('GET', KEYS[1])
if not mark then
  local now = redis.call('TIME')
  mark = 'rebuilding since ' .. now[1] .. '.' .. string.format('%06d', now[2])
  redis.call('SET', KEYS[1], mark)
end
return mark
)lua";

// KEYS: the mark. ARGV: as it was when the rebuilding began; and whole. Whole is whole, whoever rebuilt it.
constexpr std::string_view kWholeText = R"lua(
local mark = redis.call('GET', KEYS[1])
if mark ~= ARGV[1] and mark ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
)lua";

// Numbers as text, in place: a move has up to seven of them.
class Digits {
 public:
  template <typename Number>
  std::string_view Write(Number number) {
    char* end = std::to_chars(buffer_.data(), buffer_.data() + buffer_.size(), number).ptr;
    return {buffer_.data(), static_cast<size_t>(end - buffer_.data())};
  }

 private:
  std::array<char, 32> buffer_;
};

void AddMove(RedisPipeline& pipeline, std::string_view stream_max, const domain::DriverPosition& position) {
  std::array<Digits, 7> digits;
  std::vector<std::string_view> command = {"XADD",     kStreamKey, "MAXLEN",    "~",
                                           stream_max, "*",        "driver_id", position.driver_id};
  command.reserve(22);
  size_t used = 0;
  auto add = [&](std::string_view field, auto number) {
    command.push_back(field);
    command.push_back(digits[used++].Write(number));
  };
  add("lat", position.point.latitude);
  add("long", position.point.longitude);
  add("timestamp", absl::ToUnixMicros(position.recorded_at));
  if (position.accuracy_m) add("accuracy", *position.accuracy_m);
  if (position.heading_deg) add("heading", *position.heading_deg);
  if (position.speed_mps) add("speed", *position.speed_mps);
  if (position.marks != 0) add("marks", position.marks);
  pipeline.Add(command);
}

LocationEvent DecodeMove(RedisReply entry) {
  LocationEvent event;
  event.id = std::string(entry[0].Text());
  RedisReply fields = entry[1];
  domain::DriverPosition& position = event.position;
  for (size_t i = 0; i + 1 < fields.size(); i += 2) {
    const std::string_view name = fields[i].Text(), value = fields[i + 1].Text();
    if (name == "driver_id") position.driver_id = std::string(value);
    if (name == "lat") position.point.latitude = ToDouble(value);
    if (name == "long") position.point.longitude = ToDouble(value);
    if (name == "timestamp") position.recorded_at = absl::FromUnixMicros(static_cast<int64_t>(ToDouble(value)));
    if (name == "accuracy") position.accuracy_m = ToDouble(value);
    if (name == "heading") position.heading_deg = ToDouble(value);
    if (name == "speed") position.speed_mps = ToDouble(value);
    if (name == "marks") position.marks = static_cast<uint16_t>(ToDouble(value));
  }
  return event;
}

// Milliseconds, or milliseconds-number. Nothing comes after the largest one, and Redis says so with an error.
std::optional<std::pair<uint64_t, uint64_t>> ParseEventId(std::string_view id) {
  constexpr size_t kDigitsMax = 20;
  auto number = [](std::string_view text) -> std::optional<uint64_t> {
    uint64_t value;
    if (text.size() > kDigitsMax) return std::nullopt;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value == UINT64_MAX) return std::nullopt;
    return value;
  };
  const size_t dash = id.find('-');
  const auto millis = number(id.substr(0, dash));
  const auto sequence = dash == std::string_view::npos ? std::optional<uint64_t>(0) : number(id.substr(dash + 1));
  if (!millis || !sequence) return std::nullopt;
  return std::pair(*millis, *sequence);
}

absl::Status FirstError(const RedisReplies& replies) {
  for (size_t i = 0; i < replies.size(); ++i) {
    if (replies[i].IsError()) return RedisErrorStatus(replies[i].Text());
  }
  return absl::OkStatus();
}

}  // namespace

RedisHotView::RedisHotView(const RedisUrl& url, const RedisHotViewOptions& options)
    : stream_max_(std::to_string(options.stream_max)), publisher_(url, options.redis), pool_(url, options.redis) {}

absl::StatusOr<ViewState> RedisHotView::Publish(const HotUpdate& update) {
  const std::vector<ScriptCall> puts = PutCalls(update.newest);
  // Whatever was refused is published again, and its moves with it: until the positions are taken, they go alone, lest
  // each attempt adds the moves to the stream once more.
  if (puts_refused_) {
    if (absl::Status put = RunScript(publisher_, PutScript(), puts).status(); !put.ok()) return put;
    puts_refused_ = false;
  }
  pipeline_.Clear();
  for (const ScriptCall& put : puts) AddToPipeline(pipeline_, PutScript(), put);
  size_t added = 0;
  absl::StatusOr<RedisReplies> replies = publisher_.Run(pipeline_, [&] {
    const size_t end = std::min(added + kMovesAtOnce, update.moves.size());
    for (; added < end; ++added) AddMove(pipeline_, stream_max_, update.moves[added]);
    if (added < update.moves.size()) return true;
    pipeline_.Add({"GET", kWholeKey});
    return false;
  });
  if (!replies.ok()) return replies.status();
  bool unknown = false;
  for (size_t i = 0; i < replies->size(); ++i) {
    RedisReply reply = (*replies)[i];
    if (IsUnknownScript(reply)) {
      unknown = true;
    } else if (reply.IsError()) {
      puts_refused_ = i < puts.size();
      return RedisErrorStatus(reply.Text());
    }
  }
  if (unknown) {
    absl::Status put = RunScript(publisher_, PutScript(), puts).status();
    puts_refused_ = !put.ok();
    if (!put.ok()) return put;
  }
  // A server that restarted brings its mark back, and what else it had saved: older positions than it has acknowledged.
  const bool same_connection =
      std::exchange(published_over_, publisher_.times_connected()) == publisher_.times_connected();
  if (!same_connection) return ViewState::kNewConnection;
  return (*replies)[replies->size() - 1].Text() == kWhole ? ViewState::kWhole : ViewState::kIncomplete;
}

absl::Status RedisHotView::BeginRebuild() {
  static const Script& script = *new Script(kBeginText);
  absl::StatusOr<RedisReplies> replies = RunScript(*pool_.Borrow(), script, {{"1", std::string(kWholeKey)}});
  if (!replies.ok()) return replies.status();
  mark_ = std::string((*replies)[0].Text());
  return absl::OkStatus();
}

absl::StatusOr<bool> RedisHotView::MarkWhole() {
  static const Script& script = *new Script(kWholeText);
  absl::StatusOr<RedisReplies> replies =
      RunScript(*pool_.Borrow(), script, {{"1", std::string(kWholeKey), mark_, std::string(kWhole)}});
  if (!replies.ok()) return replies.status();
  return (*replies)[0].Integer() == 1;
}

absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> RedisHotView::Get(
    const std::vector<std::string>& driver_ids) {
  return GetPositions(*pool_.Borrow(), driver_ids);
}

absl::StatusOr<EventPage> RedisHotView::Follow(const std::string& after, int limit) {
  if (!ParseEventId(after)) return domain::BadField("resume_after", "is not the id of an event");
  RedisPipeline pipeline;
  pipeline.Add({"XRANGE", kStreamKey, after, after});
  pipeline.Add({"XRANGE", kStreamKey, "(" + after, "+", "COUNT", std::to_string(limit)});
  pipeline.Add({"XREVRANGE", kStreamKey, "+", "-", "COUNT", "1"});
  absl::StatusOr<RedisReplies> replies = pool_.Borrow()->Run(pipeline);
  if (!replies.ok()) return replies.status();
  if (absl::Status error = FirstError(*replies); !error.ok()) return error;
  EventPage page;
  // Where `after` itself is gone, so may be what followed it.
  page.gap = after.find_first_not_of("0-") != std::string::npos && (*replies)[0].size() == 0;
  RedisReply entries = (*replies)[1];
  for (size_t i = 0; i < entries.size(); ++i) page.events.push_back(DecodeMove(entries[i]));
  page.next = page.events.empty() ? after : page.events.back().id;
  if (page.gap && page.events.empty()) {
    RedisReply last = (*replies)[2];
    std::string end = last.size() == 0 ? "0" : std::string(last[0][0].Text());
    if (ParseEventId(end) < ParseEventId(after)) page.next = std::move(end);
  }
  return page;
}

absl::StatusOr<std::string> RedisHotView::LastEventId() {
  absl::StatusOr<RedisReplies> replies = pool_.Borrow()->Run({"XREVRANGE", kStreamKey, "+", "-", "COUNT", "1"});
  if (!replies.ok()) return replies.status();
  if (absl::Status error = FirstError(*replies); !error.ok()) return error;
  RedisReply entries = (*replies)[0];
  return entries.size() == 0 ? std::string("0") : std::string(entries[0][0].Text());
}

absl::Status RedisHotView::Ping() { return Probe(*pool_.Borrow(), FeedProbes(), RefusedWrites::kFail); }

}  // namespace waybill::storage

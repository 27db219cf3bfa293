#include "storage/redis/fleet_script.h"

#include <openssl/sha.h>

#include <algorithm>
#include <charconv>

#include "fmt/format.h"

namespace waybill::storage {
namespace {

constexpr double kGeoLatitudeMax = 85.05112878;

std::optional<double> ToOptionalDouble(RedisReply reply) {
  if (reply.IsNull()) return std::nullopt;
  return ToDouble(reply.Text());
}

std::string OptionalText(const std::optional<double>& value) { return value ? fmt::format("{}", *value) : ""; }

// KEYS: the geo set, then a hash for each driver. ARGV: for each driver its id, TTL in milliseconds, latitude in the
// geo set, and the fields of its hash: latitude, longitude, timestamp (microseconds since 1970: exact as a double), and
// accuracy, heading, speed, marks, each "" if there is none. A position as old as the one that is there extends its
// life.
constexpr size_t kPutArguments = 10;
constexpr std::string_view kPutText = R"lua(
for i = 2, #KEYS do
  local a = 1 + (i - 2) * 10
  local known = redis.call('HGET', KEYS[i], 'timestamp')
  if not known or tonumber(known) <= tonumber(ARGV[a + 5]) then
    local fields = {'driver_id', ARGV[a], 'lat', ARGV[a + 3], 'long', ARGV[a + 4], 'timestamp', ARGV[a + 5]}
    for n, name in ipairs({'accuracy', 'heading', 'speed', 'marks'}) do
      if ARGV[a + 5 + n] ~= '' then
        fields[#fields + 1] = name
        fields[#fields + 1] = ARGV[a + 5 + n]
      end
    end
    if known then redis.call('DEL', KEYS[i]) end
    redis.call('HSET', KEYS[i], unpack(fields))
    redis.call('PEXPIRE', KEYS[i], ARGV[a + 1])
    redis.call('GEOADD', KEYS[1], ARGV[a + 4], ARGV[a + 2], ARGV[a])
  end
end
return #KEYS - 1
)lua";

}  // namespace

std::string DriverKey(std::string_view driver_id) { return fmt::format("driver:{}", driver_id); }

std::string GeoLatitude(double degrees) {
  return fmt::format("{}", std::clamp(degrees, -kGeoLatitudeMax, kGeoLatitudeMax));
}

double ToDouble(std::string_view text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Script::Script(std::string_view script_text) : text(script_text) {
  unsigned char hash[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash);
  for (unsigned char byte : hash) digest += fmt::format("{:02x}", byte);
}

namespace {

void AddScript(RedisPipeline& pipeline, std::string_view verb, std::string_view script, const ScriptCall& call) {
  std::vector<std::string_view> command = {verb, script};
  command.insert(command.end(), call.begin(), call.end());
  pipeline.Add(command);
}

}  // namespace

void AddToPipeline(RedisPipeline& pipeline, const Script& script, const ScriptCall& call) {
  AddScript(pipeline, "EVALSHA", script.digest, call);
}

bool IsUnknownScript(RedisReply reply) { return reply.IsError() && reply.Text().substr(0, 8) == "NOSCRIPT"; }

absl::StatusOr<RedisReplies> RunScript(RedisConnection& connection, const Script& script,
                                       const std::vector<ScriptCall>& calls) {
  for (bool in_full : {false, true}) {
    RedisPipeline pipeline;
    for (size_t i = 0; i < calls.size(); ++i) {
      if (in_full && i == 0) {  // from then on the server knows it
        AddScript(pipeline, "EVAL", script.text, calls[i]);
      } else {
        AddToPipeline(pipeline, script, calls[i]);
      }
    }
    absl::StatusOr<RedisReplies> replies = connection.Run(pipeline);
    if (!replies.ok()) return replies;
    bool unknown = false;
    for (size_t i = 0; i < replies->size(); ++i) {
      RedisReply reply = (*replies)[i];
      if (!reply.IsError()) continue;
      if (in_full || !IsUnknownScript(reply)) return RedisErrorStatus(reply.Text());
      unknown = true;
    }
    if (!unknown) return replies;
  }
  return absl::InternalError("redis forgot a script at once");
}

const Script& PutScript() {
  static const Script& script = *new Script(kPutText);
  return script;
}

std::vector<ScriptCall> PutCalls(absl::Span<const FreshPosition> positions) {
  constexpr size_t kPositionsACall = 256;  // a script keeps everybody else waiting
  std::vector<ScriptCall> calls;
  for (size_t from = 0; from < positions.size(); from += kPositionsACall) {
    absl::Span<const FreshPosition> part = positions.subspan(from, kPositionsACall);
    ScriptCall call;
    call.reserve(2 + part.size() * (1 + kPutArguments));
    call.push_back(std::to_string(part.size() + 1));
    call.emplace_back(kGeoKey);
    for (const FreshPosition& fresh : part) call.push_back(DriverKey(fresh.position.driver_id));
    for (const FreshPosition& fresh : part) {
      const DriverPosition& position = fresh.position;
      call.push_back(position.driver_id);
      call.push_back(std::to_string(std::max<int64_t>(absl::ToInt64Milliseconds(fresh.ttl), 1)));
      call.push_back(GeoLatitude(position.point.latitude));
      call.push_back(fmt::format("{}", position.point.latitude));
      call.push_back(fmt::format("{}", position.point.longitude));
      call.push_back(std::to_string(absl::ToUnixMicros(position.recorded_at)));
      call.push_back(OptionalText(position.accuracy_m));
      call.push_back(OptionalText(position.heading_deg));
      call.push_back(OptionalText(position.speed_mps));
      call.push_back(position.marks == 0 ? "" : std::to_string(position.marks));
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

void AddGet(RedisPipeline& pipeline, std::string_view driver_id) {
  pipeline.Add({"HMGET", DriverKey(driver_id), "driver_id", "lat", "long", "timestamp", "accuracy", "heading", "speed",
                "marks"});
}

std::optional<DriverPosition> DecodeGet(RedisReply fields) {
  if (fields[0].IsNull()) return std::nullopt;
  DriverPosition position;
  position.driver_id = std::string(fields[0].Text());
  position.point = {ToDouble(fields[1].Text()), ToDouble(fields[2].Text())};
  position.recorded_at = absl::FromUnixMicros(static_cast<int64_t>(ToDouble(fields[3].Text())));
  position.accuracy_m = ToOptionalDouble(fields[4]);
  position.heading_deg = ToOptionalDouble(fields[5]);
  position.speed_mps = ToOptionalDouble(fields[6]);
  position.marks = static_cast<uint16_t>(ToDouble(fields[7].Text()));
  return position;
}

}  // namespace waybill::storage

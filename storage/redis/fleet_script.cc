#include "storage/redis/fleet_script.h"

#include <openssl/sha.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "fmt/format.h"

namespace waybill::storage {
namespace {

// A search from beyond the one asks for the polar set, which therefore has everybody within the largest radius (9
// degrees) of there. A search from below it ends before the edge of the map.
constexpr double kPolarSearches = 76, kPolarMembers = 67;

struct MapPoint {
  double longitude, latitude;
};

// The edges themselves do not belong to the map: 180 is -180 there, and the last latitude lies just below 85.05112878.
MapPoint OnMap(const domain::GeoPoint& point) {
  constexpr double kLatitudeMax = 85.05;
  return {point.longitude >= 180 ? -180 : point.longitude, std::clamp(point.latitude, -kLatitudeMax, kLatitudeMax)};
}

// The north pole becomes 90 east on the equator, the south pole 90 west. Distances stay.
MapPoint OnTurnedGlobe(const domain::GeoPoint& point) {
  constexpr double kRadians = std::numbers::pi / 180;
  const double latitude = point.latitude * kRadians, longitude = point.longitude * kRadians;
  return {std::atan2(std::sin(latitude), std::cos(latitude) * std::cos(longitude)) / kRadians,
          -std::asin(std::cos(latitude) * std::sin(longitude)) / kRadians};
}

bool IsNearPole(const domain::GeoPoint& point) { return std::abs(point.latitude) > kPolarMembers; }

std::string Text(const MapPoint& point) { return fmt::format("{} {}", point.longitude, point.latitude); }

std::optional<double> ToOptionalDouble(RedisReply reply) {
  if (reply.IsNull()) return std::nullopt;
  return ToDouble(reply.Text());
}

std::string OptionalText(const std::optional<double>& value) { return value ? fmt::format("{}", *value) : ""; }

// KEYS: the two geo sets, then a hash for each driver. ARGV: for each driver its id, TTL in milliseconds, "longitude
// latitude" on the map ("": as they are) and on the turned globe ("": not near a pole), and the fields of its hash:
// latitude, longitude, timestamp (microseconds since 1970: exact as a double), and accuracy, heading, speed, marks,
// each
// "" if there is none. A position as old as the one that is there extends its life. 67 is kPolarMembers.
constexpr size_t kPutArguments = 11;
constexpr std::string_view kPutText = R"lua(
local function place(set, text, id)
  local longitude, latitude = string.match(text, '(%S+) (%S+)')
  redis.call('GEOADD', set, longitude, latitude, id)
end
for i = 3, #KEYS do
  local a = 1 + (i - 3) * 11
  local id = ARGV[a]
  local known = redis.call('HMGET', KEYS[i], 'timestamp', 'lat')
  if not known[1] or tonumber(known[1]) <= tonumber(ARGV[a + 6]) then
    local fields = {'driver_id', id, 'lat', ARGV[a + 4], 'long', ARGV[a + 5], 'timestamp', ARGV[a + 6]}
    for n, name in ipairs({'accuracy', 'heading', 'speed', 'marks'}) do
      if ARGV[a + 6 + n] ~= '' then
        fields[#fields + 1] = name
        fields[#fields + 1] = ARGV[a + 6 + n]
      end
    end
    if known[1] then redis.call('DEL', KEYS[i]) end
    redis.call('HSET', KEYS[i], unpack(fields))
    redis.call('PEXPIRE', KEYS[i], ARGV[a + 1])
    if ARGV[a + 2] == '' then
      redis.call('GEOADD', KEYS[1], ARGV[a + 5], ARGV[a + 4], id)
    else
      place(KEYS[1], ARGV[a + 2], id)
    end
    if ARGV[a + 3] ~= '' then
      place(KEYS[2], ARGV[a + 3], id)
    elseif not known[2] or math.abs(tonumber(known[2])) > 67 then
      redis.call('ZREM', KEYS[2], id)
    end
  end
end
return #KEYS - 2
)lua";

}  // namespace

std::string DriverKey(std::string_view driver_id) { return fmt::format("driver:{}", driver_id); }

GeoCentre CentreOf(const domain::GeoPoint& point) {
  const bool polar = std::abs(point.latitude) > kPolarSearches;
  const MapPoint place = polar ? OnTurnedGlobe(point) : OnMap(point);
  return {polar ? kPolarKey : kGeoKey, place.longitude, place.latitude};
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
    call.reserve(3 + part.size() * (1 + kPutArguments));
    call.push_back(std::to_string(part.size() + 2));
    call.emplace_back(kGeoKey);
    call.emplace_back(kPolarKey);
    for (const FreshPosition& fresh : part) call.push_back(DriverKey(fresh.position.driver_id));
    for (const FreshPosition& fresh : part) {
      const domain::DriverPosition& position = fresh.position;
      call.push_back(position.driver_id);
      call.push_back(std::to_string(std::max<int64_t>(absl::ToInt64Milliseconds(fresh.ttl), 1)));
      const MapPoint place = OnMap(position.point);
      const bool as_it_is = place.longitude == position.point.longitude && place.latitude == position.point.latitude;
      call.push_back(as_it_is ? "" : Text(place));
      call.push_back(IsNearPole(position.point) ? Text(OnTurnedGlobe(position.point)) : "");
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

namespace {

// Of a driver's hash; nothing when the driver has none.
std::optional<domain::DriverPosition> DecodePosition(RedisReply fields) {
  if (fields[0].IsNull()) return std::nullopt;
  domain::DriverPosition position;
  position.driver_id = std::string(fields[0].Text());
  position.point = {ToDouble(fields[1].Text()), ToDouble(fields[2].Text())};
  position.recorded_at = absl::FromUnixMicros(static_cast<int64_t>(ToDouble(fields[3].Text())));
  position.accuracy_m = ToOptionalDouble(fields[4]);
  position.heading_deg = ToOptionalDouble(fields[5]);
  position.speed_mps = ToOptionalDouble(fields[6]);
  position.marks = static_cast<uint16_t>(ToDouble(fields[7].Text()));
  return position;
}

}  // namespace

absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> GetPositions(
    RedisConnection& connection, const std::vector<std::string>& driver_ids) {
  std::vector<std::optional<domain::DriverPosition>> positions;
  if (driver_ids.empty()) return positions;
  RedisPipeline pipeline;
  for (const std::string& driver_id : driver_ids) {
    pipeline.Add({"HMGET", DriverKey(driver_id), "driver_id", "lat", "long", "timestamp", "accuracy", "heading",
                  "speed", "marks"});
  }
  absl::StatusOr<RedisReplies> replies = connection.Run(pipeline);
  if (!replies.ok()) return replies.status();
  for (size_t i = 0; i < replies->size(); ++i) {
    RedisReply fields = (*replies)[i];
    if (fields.IsError()) return RedisErrorStatus(fields.Text());
    positions.push_back(DecodePosition(fields));
  }
  return positions;
}

}  // namespace waybill::storage

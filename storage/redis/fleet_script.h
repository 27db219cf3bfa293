// What RedisFleet and RedisHotView share: the keys, the fields of a driver's hash, and the script that writes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/fleet.h"
#include "storage/hot_view.h"
#include "storage/redis/connection.h"

namespace waybill::storage {

inline constexpr std::string_view kGeoKey = "drivers:geo";
std::string DriverKey(std::string_view driver_id);

// Redis' geo sets end at the edge of Web Mercator; positions beyond are put, and searched for, there.
std::string GeoLatitude(double degrees);

// A script, run by its digest, and sent in full only to a server that does not know it.
struct Script {
  explicit Script(std::string_view script_text);
  std::string_view text;
  std::string digest;
};

// The arguments of one run of a script: number of keys, keys, arguments.
using ScriptCall = std::vector<std::string>;
absl::StatusOr<RedisReplies> RunScript(RedisConnection& connection, const Script& script,
                                       const std::vector<ScriptCall>& calls);
void AddToPipeline(RedisPipeline& pipeline, const Script& script, const ScriptCall& call);
// The server that answered this has to be sent the script in full.
bool IsUnknownScript(RedisReply reply);

// Moves each driver to its position, unless a newer one is there. As few calls as keep a script short.
const Script& PutScript();
std::vector<ScriptCall> PutCalls(absl::Span<const FreshPosition> positions);

// HMGET of a driver's hash, and what it answers; nothing when the driver has none.
void AddGet(RedisPipeline& pipeline, std::string_view driver_id);
std::optional<DriverPosition> DecodeGet(RedisReply fields);

double ToDouble(std::string_view text);

}  // namespace waybill::storage

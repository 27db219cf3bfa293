// What RedisFleet and RedisHotView share: the keys, the fields of a driver's hash, and the script that writes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/driver.h"
#include "domain/geo.h"
#include "storage/hot_view.h"
#include "storage/redis/connection.h"

namespace waybill::storage {

// Redis' geo sets are a map, not a globe: it ends at 85.05 degrees, what stands exactly on an edge is never found, and
// a search whose circle comes near a pole misses meridians. So there are two. drivers:geo has every driver, as well as
// the map can show him. drivers:geo:polar has those near a pole once more, on the globe turned by a quarter, so that
// the poles lie on its equator and the map is exact there. A search asks one of them.
inline constexpr std::string_view kGeoKey = "drivers:geo";
inline constexpr std::string_view kPolarKey = "drivers:geo:polar";
// The capped stream of moves, and the mark that is lost with all the rest and so tells that it was.
inline constexpr std::string_view kStreamKey = "location_events";
inline constexpr std::string_view kWholeKey = "waybill:hot_view_whole";
std::string DriverKey(std::string_view driver_id);

// Where to search, as GEOSEARCH takes it.
struct GeoCentre {
  std::string_view key;
  double longitude, latitude;
};
GeoCentre CentreOf(const domain::GeoPoint& point);

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

// The fresh positions, in the order asked for.
absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> GetPositions(
    RedisConnection& connection, const std::vector<std::string>& driver_ids);

double ToDouble(std::string_view text);

}  // namespace waybill::storage

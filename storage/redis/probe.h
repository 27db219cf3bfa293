// Whether this Redis serves: harmless forms of the very commands that are needed, on the very keys. So a user without a
// right, a replica that refuses writes, a server that is full or too old show before the first call that needs them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/redis/connection.h"

namespace waybill::storage {

struct RedisProbe {
  std::vector<std::string_view> command;  // changes nothing
  std::string_view key;                   // that it needs; "": none
  std::string_view error;                 // if it has to fail, for a reason that Redis looks at last: part of its words
};

// Searching, and tidying up behind it.
std::vector<RedisProbe> SearchProbes();
// All that keeps the hot view: putting positions, rebuilding, and the stream of moves.
std::vector<RedisProbe> FeedProbes();
// Granting of limits.
std::vector<RedisProbe> LimitProbes();

enum class RefusedWrites { kFail, kPass };

// OK, or why a command would fail; rights that the user lacks are told all at once. STORE_UNAVAILABLE; INTERNAL when it
// is a bug. Writes that the server refuses at the moment (a replica, a full memory or disk) may pass.
absl::Status Probe(RedisConnection& connection, const std::vector<RedisProbe>& probes, RefusedWrites refused_writes);

// Settings of the server with which drivers go missing unnoticed, in words. Empty also when the user may not ask
// (INFO).
absl::StatusOr<std::vector<std::string>> SettingsThatLoseDrivers(RedisConnection& connection);

}  // namespace waybill::storage

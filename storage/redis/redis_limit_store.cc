#include "storage/redis/redis_limit_store.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "storage/redis/fleet_script.h"
#include "storage/redis/probe.h"

namespace waybill::storage {
namespace {

// GCRA by virtual scheduling. KEYS: one for each request. ARGV: for each its count, period in microseconds, burst and
// the cells that are wanted. Answers for each four numbers: granted, left, microseconds until the next, and until
// whole.
//
// A key holds the theoretical arrival time, in microseconds since 1970 (exact as a double), and goes when it is past. A
// cell costs period/count; a grant is rounded up to a microsecond, so that never too much is granted. What lies further
// ahead than the burst, as after the clock was set back or the rule was made narrower, counts as the burst from then
// on.
constexpr size_t kArguments = 4;
constexpr std::string_view kTakeText = R"lua(
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local answer = {}
for i = 1, #KEYS do
  local a = (i - 1) * 4
  local count, period = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local burst, wanted = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  local said = math.max(0, (tonumber(redis.call('GET', KEYS[i]) or 0) or 0) - now)
  local ahead = math.min(said, math.ceil(burst * period / count))
  local left = math.max(0, math.floor(burst - ahead * count / period + 1e-9))
  local granted = math.min(left, wanted)
  if granted > 0 then
    ahead = ahead + math.ceil(granted * period / count)
    left = left - granted
  end
  if granted > 0 or ahead < said then
    redis.call('SET', KEYS[i], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
  end
  local next = 0
  if left == 0 then next = math.max(1, math.ceil(ahead - (burst - 1) * period / count)) end
  answer[#answer + 1] = granted
  answer[#answer + 1] = left
  answer[#answer + 1] = next
  answer[#answer + 1] = ahead
end
return answer
)lua";

// A script keeps everybody else waiting.
constexpr size_t kRequestsACall = 64;

}  // namespace

absl::StatusOr<std::vector<CellGrant>> RedisLimitStore::Take(const std::vector<CellRequest>& requests) {
  static const Script& script = *new Script(kTakeText);
  std::vector<CellGrant> grants;
  grants.reserve(requests.size());
  RedisPool::Lease connection = pool_.Borrow();
  std::vector<ScriptCall> calls;
  for (size_t from = 0; from < requests.size(); from += kRequestsACall) {
    const size_t size = std::min(kRequestsACall, requests.size() - from);
    ScriptCall call;
    call.reserve(1 + size * (1 + kArguments));
    call.push_back(std::to_string(size));
    for (size_t i = from; i < from + size; ++i) call.push_back(prefix_ + requests[i].key);
    for (size_t i = from; i < from + size; ++i) {
      call.push_back(std::to_string(requests[i].rate.count));
      call.push_back(std::to_string(absl::ToInt64Microseconds(requests[i].rate.period)));
      call.push_back(std::to_string(requests[i].rate.burst));
      call.push_back(std::to_string(requests[i].cells));
    }
    calls.push_back(std::move(call));
  }
  if (calls.empty()) calls.push_back({"0"});
  absl::StatusOr<RedisReplies> replies = RunScript(*connection, script, calls);
  if (!replies.ok()) return replies.status();
  for (size_t i = 0; i < requests.size(); ++i) {
    const RedisReply answer = (*replies)[i / kRequestsACall];
    const size_t at = (i % kRequestsACall) * kArguments;
    CellGrant& grant = grants.emplace_back();
    grant.granted = answer[at].Integer();
    grant.left = answer[at + 1].Integer();
    grant.next = absl::Microseconds(answer[at + 2].Integer());
    grant.whole = absl::Microseconds(answer[at + 3].Integer());
  }
  return grants;
}

absl::Status RedisLimitStore::Ping() { return Probe(*pool_.Borrow(), LimitProbes(), RefusedWrites::kFail); }

}  // namespace waybill::storage

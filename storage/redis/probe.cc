#include "storage/redis/probe.h"

#include <algorithm>
#include <string>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/redis/fleet_script.h"
#include "storage/redis/redis_limit_store.h"

namespace waybill::storage {
namespace {

constexpr std::string_view kNobody = "driver:";  // no driver has the empty id

bool IsRefusedWrite(std::string_view code) {
  return code == "READONLY" || code == "NOREPLICAS" || code == "MISCONF" || code == "OOM";
}

// Of INFO's answer: "name:value\r\n"; "" if it is not there.
std::string_view FieldOf(std::string_view info, std::string_view name) {
  const std::string line = fmt::format("\n{}:", name);
  const size_t at = info.find(line);
  if (at == std::string_view::npos) return "";
  info.remove_prefix(at + line.size());
  return info.substr(0, info.find('\r'));
}

void AddOnce(std::vector<std::string>& words, std::string_view word) {
  if (std::find(words.begin(), words.end(), word) == words.end()) words.emplace_back(word);
}

}  // namespace

std::vector<RedisProbe> SearchProbes() {
  std::vector<RedisProbe> probes = {
      {{"EXISTS", kNobody}, kNobody},
      {{"HMGET", kNobody, "lat"}, kNobody},
      {{"EVAL", "return 0", "0"}, ""},
      {{"EVALSHA", "0000000000000000000000000000000000000000", "0"}, "", "NOSCRIPT"},
      {{"ZSCAN", kGeoKey, "0", "COUNT", "1"}, kGeoKey},
  };
  for (std::string_view key : {kGeoKey, kPolarKey}) {
    probes.push_back({{"GEOSEARCH", key, "FROMLONLAT", "0", "0", "BYRADIUS", "1", "m", "ASC", "COUNT", "1"}, key});
    probes.push_back({{"ZREM", key, ""}, key});
  }
  return probes;
}

std::vector<RedisProbe> FeedProbes() {
  std::vector<RedisProbe> probes = {
      {{"HMGET", kNobody, "lat"}, kNobody},
      {{"HSET", kNobody, "a", "b", "c"}, kNobody, "wrong number of arguments"},
      {{"PEXPIRE", kNobody, "1"}, kNobody},
      {{"DEL", kNobody}, kNobody},
      {{"EVAL", "return 0", "0"}, ""},
      {{"EVALSHA", "0000000000000000000000000000000000000000", "0"}, "", "NOSCRIPT"},
      {{"GET", kWholeKey}, kWholeKey},
      {{"SET", kWholeKey, "", "EX", "0"}, kWholeKey, "invalid expire time"},
      {{"TIME"}, ""},
      {{"XADD", kStreamKey, "0-0", "a", "b"}, kStreamKey, "must be greater than 0-0"},
      {{"XRANGE", kStreamKey, "-", "-", "COUNT", "1"}, kStreamKey},
      {{"XREVRANGE", kStreamKey, "-", "-", "COUNT", "1"}, kStreamKey},
  };
  for (std::string_view key : {kGeoKey, kPolarKey}) {
    probes.push_back({{"GEOADD", key, "XX", "0", "0", ""}, key});
    probes.push_back({{"ZREM", key, ""}, key});
  }
  return probes;
}

std::vector<RedisProbe> LimitProbes() {
  return {{{"EVAL", "return 0", "0"}, ""},
          {{"EVALSHA", "0000000000000000000000000000000000000000", "0"}, "", "NOSCRIPT"},
          {{"TIME"}, ""},
          {{"GET", kLimitKeyPrefix}, kLimitKeyPrefix},
          {{"SET", kLimitKeyPrefix, "", "EX", "0"}, kLimitKeyPrefix, "invalid expire time"}};
}

absl::Status Probe(RedisConnection& connection, const std::vector<RedisProbe>& probes, RefusedWrites refused_writes) {
  RedisPipeline pipeline;
  for (const RedisProbe& probe : probes) pipeline.Add(probe.command);
  absl::StatusOr<RedisReplies> replies = connection.Run(pipeline);
  if (!replies.ok()) return replies.status();
  absl::Status failed;
  std::vector<std::string> commands, keys;
  for (size_t i = 0; i < probes.size(); ++i) {
    if (!(*replies)[i].IsError()) continue;
    const RedisProbe& probe = probes[i];
    const std::string_view text = (*replies)[i].Text(), code = RedisErrorCode(text);
    if (!probe.error.empty() && text.find(probe.error) != std::string_view::npos) continue;
    if (code == "NOPERM") {
      // Its words, in all versions: "… to run the 'xadd' command", "… to access … key …".
      const bool is_key = !probe.key.empty() && text.find(" key") != std::string_view::npos;
      AddOnce(is_key ? keys : commands, is_key ? probe.key : probe.command[0]);
    } else if (!IsRefusedWrite(code) || refused_writes == RefusedWrites::kFail) {
      failed.Update(RedisErrorStatus(text));
    }
  }
  if (commands.empty() && keys.empty()) return failed;
  std::string message = "the user that Waybill has in Redis";
  if (!commands.empty()) message += fmt::format(" may not run {}", fmt::join(commands, ", "));
  if (!keys.empty()) {
    message += fmt::format("{} use the keys {}", commands.empty() ? " may not" : ", nor", fmt::join(keys, ", "));
  }
  ErrorDetail detail;
  detail.retry_after = absl::Seconds(1);
  return domain::ReasonError("STORE_UNAVAILABLE",
                             message + "; the rule that it needs is in docs/operations.md, Losing Redis",
                             std::move(detail));
}

absl::StatusOr<std::vector<std::string>> SettingsThatLoseDrivers(RedisConnection& connection) {
  absl::StatusOr<RedisReplies> replies = connection.Run({"INFO"});
  if (!replies.ok()) return replies.status();
  std::vector<std::string> settings;
  if ((*replies)[0].IsError()) {
    if (RedisErrorCode((*replies)[0].Text()) == "NOPERM") return settings;
    return RedisErrorStatus((*replies)[0].Text());
  }
  const std::string_view info = (*replies)[0].Text();
  const std::string_view policy = FieldOf(info, "maxmemory_policy");
  if (FieldOf(info, "maxmemory") != "0" && policy != "noeviction" && !policy.empty()) {
    settings.push_back(
        fmt::format("maxmemory-policy is {}: an evicted driver is missing until his next point", policy));
  }
  if (FieldOf(info, "redis_mode") == "cluster") {
    settings.push_back("it is a cluster: one script needs keys of several slots, and is refused");
  }
  return settings;
}

}  // namespace waybill::storage

#include "storage/redis/redis_balance_cache.h"

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "fmt/format.h"

namespace waybill::storage {
namespace {

// The greater version stays, and of one version what is known for longer. Both are whole numbers that a double holds.
constexpr std::string_view kPut = R"lua(
local old = redis.call('GET', KEYS[1])
if old then
  local as_of, version = string.match(old, '^(%d+) (%d+) ')
  if as_of then
    local newer = tonumber(version) - tonumber(ARGV[2])
    if newer > 0 or (newer == 0 and tonumber(as_of) >= tonumber(ARGV[1])) then return 0 end
  end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1)lua";

// A client has no slash in its account's id, so the last one parts them.
std::string KeyOf(const std::string& client, const std::string& account) {
  return fmt::format("waybill:ledger:balance:{}/{}", client, account);
}

// "<as of, in microseconds> <version> <debits> <credits> <debits pending> <credits pending> <currency>"
std::string TextOf(const CachedBalance& cached, int64_t as_of) {
  const ledger::Balance& balance = cached.balance;
  return fmt::format("{} {} {} {} {} {} {}", as_of, balance.version, balance.debits_posted, balance.credits_posted,
                     balance.debits_pending, balance.credits_pending, cached.currency);
}

// Nothing when it is none of ours.
std::optional<CachedBalance> Parse(std::string_view text, int64_t& as_of) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(text), ' ');
  CachedBalance cached;
  ledger::Balance& balance = cached.balance;
  if (parts.size() != 7 || !absl::SimpleAtoi(parts[0], &as_of) || !absl::SimpleAtoi(parts[1], &balance.version) ||
      !absl::SimpleAtoi(parts[2], &balance.debits_posted) || !absl::SimpleAtoi(parts[3], &balance.credits_posted) ||
      !absl::SimpleAtoi(parts[4], &balance.debits_pending) || !absl::SimpleAtoi(parts[5], &balance.credits_pending)) {
    return std::nullopt;
  }
  cached.currency = parts[6];
  return cached;
}

}  // namespace

absl::StatusOr<BalanceCache::Found> RedisBalanceCache::Get(const std::string& client, const std::string& account,
                                                           absl::Duration max_staleness) {
  const std::string key = KeyOf(client, account);
  RedisPipeline pipeline;
  pipeline.Add({"GET", key});
  pipeline.Add({"TIME"});  // after it, so that the balance is at most as old as it seems
  RedisPool::Lease connection = pool_.Borrow();
  absl::StatusOr<RedisReplies> replies = connection->Run(pipeline);
  if (!replies.ok()) return replies.status();
  for (size_t at = 0; at < replies->size(); ++at) {
    if ((*replies)[at].IsError()) return RedisErrorStatus((*replies)[at].Text());
  }
  const RedisReply time = (*replies)[1];
  int64_t seconds = 0, micros = 0;
  if (!absl::SimpleAtoi(std::string(time[0].Text()), &seconds) ||
      !absl::SimpleAtoi(std::string(time[1].Text()), &micros)) {
    return absl::InternalError("Redis does not say what time it is");
  }
  const int64_t now = seconds * 1'000'000 + micros;
  Found found;
  found.now = absl::FromUnixMicros(now);
  if ((*replies)[0].IsNull()) return found;
  int64_t as_of = 0;
  std::optional<CachedBalance> cached = Parse((*replies)[0].Text(), as_of);
  // One of the future: the clock was set back.
  if (cached && as_of <= now && absl::Microseconds(now - as_of) <= max_staleness) found.balance = std::move(cached);
  return found;
}

absl::Status RedisBalanceCache::Put(const std::string& client, const std::string& account, const CachedBalance& balance,
                                    absl::Time as_of) {
  const int64_t micros = absl::ToUnixMicros(as_of);
  RedisPool::Lease connection = pool_.Borrow();
  absl::StatusOr<RedisReplies> replies = connection->Run(
      {"EVAL", kPut, "1", KeyOf(client, account), fmt::format("{}", micros), fmt::format("{}", balance.balance.version),
       TextOf(balance, micros), fmt::format("{}", absl::ToInt64Milliseconds(kForgetAfter))});
  if (!replies.ok()) return replies.status();
  if ((*replies)[0].IsError()) return RedisErrorStatus((*replies)[0].Text());
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, CachedBalance>> RedisBalanceCache::Peek(const std::string& client,
                                                                             const std::vector<std::string>& accounts) {
  RedisPipeline pipeline;
  for (const std::string& account : accounts) pipeline.Add({"GET", KeyOf(client, account)});
  RedisPool::Lease connection = pool_.Borrow();
  absl::StatusOr<RedisReplies> replies = connection->Run(pipeline);
  if (!replies.ok()) return replies.status();
  std::map<std::string, CachedBalance> found;
  for (size_t at = 0; at < accounts.size(); ++at) {
    if ((*replies)[at].IsError()) return RedisErrorStatus((*replies)[at].Text());
    if ((*replies)[at].IsNull()) continue;
    int64_t as_of = 0;
    // One that is none of ours is never answered.
    if (std::optional<CachedBalance> cached = Parse((*replies)[at].Text(), as_of)) found[accounts[at]] = *cached;
  }
  return found;
}

}  // namespace waybill::storage

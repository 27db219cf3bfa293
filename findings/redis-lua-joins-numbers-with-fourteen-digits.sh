#!/usr/bin/env bash
# Expected: a Lua script in Redis keeps whole numbers up to 2^53, as Lua's numbers are doubles: a time in microseconds, an id or an amount that
# it puts into a key's name or into JSON has all its digits.
# Guessed: so it is, but for a fraction that is returned, which is cut to a whole number.
# Seen (redis-server 7.0.15, Debian 12): it depends on the way out. As an argument of redis.call, or returned, a number has 17 digits or
# all. Joined by .., by tostring or by cjson.encode it has 14: "driver:" .. 1790000000123456 is driver:1.7900000001235e+15, the same key
# for each time within a tenth of a millisecond, and {"amount":123456789012345} that is decoded and encoded again has
# 1.2345678901234e+14. 100000000000000 becomes 1e+14, which INCRBY of a later script refuses. No error. string.format("%.0f", n) has them all.
# For Waybill: its own script writes times by string.format. Scripts of others beside it take ids and amounts as they come in ARGV, as text.
# Needs: Debian's redis-server and redis-tools.
set -uo pipefail
command -v redis-server redis-cli >/dev/null || { echo "needs redis-server and redis-tools" >&2; exit 2; }
folder=$(mktemp -d)
redis-server --port 0 --unixsocket "$folder/redis.sock" --save "" --appendonly no --dir "$folder" >"$folder/redis.log" 2>&1 &
server=$!
trap 'kill "$server"; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT
for _ in $(seq 100); do [[ -S $folder/redis.sock ]] && break; sleep 0.05; done
failed=0
expect() { # SCRIPT NUMBER WANTED
  local seen
  seen=$(redis-cli -s "$folder/redis.sock" EVAL "local n = tonumber(ARGV[1]) $1" 0 "$2" 2>&1)
  printf '%-66s %-17s %s\n' "$1" "$2" "$seen"
  [[ $seen == "$3" ]] || failed=1
}
redis-server --version | cut -d' ' -f1-3
expect 'return n' 1790000000123456 1790000000123456
expect 'redis.call("SET", "at", n) return redis.call("GET", "at")' 1790000000123456 1790000000123456
expect 'return "driver:" .. n' 1790000000123456 driver:1.7900000001235e+15
expect 'return "driver:" .. n' 1790000000123499 driver:1.7900000001235e+15
expect 'return tostring(n)' 123456789012345 1.2345678901234e+14
expect 'return cjson.encode({amount = n})' 123456789012345 '{"amount":1.2345678901234e+14}'
expect "return cjson.encode(cjson.decode('{\"amount\":123456789012345}'))" 0 '{"amount":1.2345678901234e+14}'
expect 'return n .. ""' 100000000000000 1e+14
expect 'return n .. ""' 99999999999999 99999999999999
expect 'return string.format("%.0f", n)' 1790000000123456 1790000000123456
((failed)) && { echo "this has changed"; exit 1; }
echo "still so"

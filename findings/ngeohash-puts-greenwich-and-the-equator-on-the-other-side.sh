#!/usr/bin/env bash
# Expected: a place has one geohash: what one library stores another finds by it, and by its beginning.
# Guessed: they agree, but for Redis's last digits.
# Seen (ngeohash 0.6.4, 700,000 downloads a month): a place on the edge of a cell, at whatever length, goes to the west and the south of
# it; with latlon-geohash 2.0.0 and Redis 7.0.15 it goes to the east and the north. The edges are the equator, the meridian of
# Greenwich, 45°, 11.25° and on by halves, and there the hashes have no beginning in common: a place in Greenwich is gcpuzg and
# u10hb5. So an index of prefixes that both write has the place twice, and a search by the other's prefix finds nothing.
# For Waybill: it asks Redis by GEOSEARCH and hands out no geohashes. Who keys tables by them makes all by one library.
# Needs: Debian's redis-server 7.0.15, node and npm, which installs the others into a temporary folder.
set -uo pipefail
command -v node npm redis-server redis-cli >/dev/null || { echo "needs node, npm and Debian's redis-server" >&2; exit 2; }
folder=$(mktemp -d)
pid=
trap '[[ -n $pid ]] && kill "$pid" && wait "$pid"; rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit ngeohash@0.6.4 latlon-geohash@2.0.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
redis-server --port 0 --unixsocket "$folder/redis.sock" --save '' --dir "$folder" >redis.log &
pid=$!
for _ in {1..50}; do
  redis-cli -s redis.sock ping >/dev/null 2>&1 && break
  sleep 0.1
done
cat >hashes.mjs <<'JS'
import LatLon from "latlon-geohash";
import ngeohash from "ngeohash";

const [latitude, longitude] = process.argv.slice(2).map(Number);
console.log(ngeohash.encode(latitude, longitude, 6), LatLon.encode(latitude, longitude, 6));
JS
echo "ngeohash 0.6.4, latlon-geohash 2.0.0, $(redis-server --version | cut -d' ' -f1-3), node $(node --version)"
failed=0
expect() { # WHAT LATITUDE LONGITUDE NGEOHASH OTHERS
  local redis seen
  redis-cli -s redis.sock geoadd places "$3" "$2" "$1" >/dev/null
  redis=$(redis-cli -s redis.sock geohash places "$1")
  seen="$(node hashes.mjs "$2" "$3") ${redis:0:6}"
  printf '%-14s %-20s ngeohash, latlon-geohash, Redis: %s\n' "$1" "$2 $3" "$seen"
  [[ $seen == "$4 $5 $5" ]] || failed=1
}
expect Greenwich 51.4779 0 gcpuzg u10hb5
expect Equator 0 -78.5 6rbpvx d200j8
expect "a quarter" 45 11.25 spzzzz u20000
expect Berlin 52.5 13.4 u33d8v u33d8v
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

#!/usr/bin/env bash
# Expected: a member that GEOADD took is found by GEOSEARCH from a point beside it.
# Seen (redis-server 7.0.15, Debian 12): one at longitude 180 is not found from longitude 179.9999, nor from -179.9999; one
# at the greatest latitude that GEOADD takes, 85.05112878, is not found from 85.05, 125 metres away. From a little inside
# those edges (longitude 179.9998, latitude 85.0510) members are found. GEOPOS and GEODIST answer for all of them.
# For Waybill: a driver on the antimeridian or at the edge was in every list and in no search. 180 is written as -180, and
# who is near a pole stands in a second set on a turned globe: docs/adr/0020, FleetContract.FindsWhoStandsOnAnEdgeOfTheMapFromBeside.
# Needs: Debian's redis-server and redis-tools.
set -uo pipefail
command -v redis-server redis-cli >/dev/null || { echo "needs redis-server and redis-tools" >&2; exit 2; }
folder=$(mktemp -d)
redis-server --bind 127.0.0.1 --port 0 --unixsocket "$folder/redis.sock" --save "" --appendonly no --dir "$folder" \
  >"$folder/log" 2>&1 &
server=$!
trap 'kill "$server"; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT
redis() { redis-cli -s "$folder/redis.sock" "$@"; }
for _ in $(seq 100); do [[ $(redis ping 2>/dev/null) == PONG ]] && break; read -rt 0.05 <>"$folder/log.none" 2>/dev/null || :; done

redis-server --version
redis geoadd drivers 180 -16.8 on_180 179.9998 -16.9 inside_180 20 85.05112878 on_edge 40 85.0510 inside_edge >/dev/null
look() { # LONGITUDE LATITUDE
  redis geosearch drivers fromlonlat "$1" "$2" byradius 5 km asc | tr '\n' ' ' | sed 's/ $//'
}
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-44s %s\n' "$1" "${3:-nobody}"
  [[ $3 == "$2" ]] || failed=1
}
expect "5 km around 179.9999,-16.8" "" "$(look 179.9999 -16.8)"
expect "5 km around -179.9999,-16.8" "" "$(look -179.9999 -16.8)"
expect "5 km around 20,85.05" "" "$(look 20 85.05)"
expect "5 km around 179.9999,-16.9" inside_180 "$(look 179.9999 -16.9)"
expect "5 km around 40,85.05" inside_edge "$(look 40 85.05)"
expect "members that GEOPOS answers for" 4 "$(redis geopos drivers on_180 inside_180 on_edge inside_edge | grep -c . | awk '{print $1 / 2}')"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

#!/usr/bin/env bash
# Expected: jq's fromdate makes of 2026-07-01T12:00:00Z its seconds since 1970, whatever the zone of the machine, as its manual says that its
# times are UTC.
# Guessed: so it is; fractions of a second would be refused.
# Seen (jq 1.6, Debian 12): fractions are refused. Where the machine's zone has summer time, each time within the summer is an hour late: by
# TZ=Europe/Berlin, London or New_York it is 13:00Z, in Sydney those of January are. fromdate, strptime and mktime do so, also gmtime | mktime,
# todate does not, so a time does not survive there and back. The zone's rules are taken for a time that is none of the zone's. On a machine in
# UTC, as in CI, all is right. Besides, strftime("%H:%M %Z") says "12:00 CET" of what is 12:00 in UTC.
# For Waybill: the times of its JSON and its logs end in Z. Who works out by jq how old an order is, or what a report's --from is, runs
# TZ=UTC jq.
# Needs: Debian's jq 1.6 and tzdata.
set -uo pipefail
[[ $(jq --version 2>/dev/null) == jq-1.6 && -e /usr/share/zoneinfo/Europe/Berlin ]] || { echo "needs jq 1.6 and tzdata" >&2; exit 2; }
failed=0
expect() { # ZONE FILTER WANTED
  local seen
  seen=$(TZ=$1 jq -nr "$2")
  printf '%-17s %-52s %s\n' "$1" "$2" "$seen"
  [[ $seen == "$3" ]] || failed=1
}
jq --version
expect UTC '"2026-07-01T12:00:00Z" | fromdate | todate' 2026-07-01T12:00:00Z
expect Asia/Kolkata '"2026-07-01T12:00:00Z" | fromdate | todate' 2026-07-01T12:00:00Z
expect Europe/Berlin '"2026-07-01T12:00:00Z" | fromdate' 1782910800
expect Europe/Berlin '"2026-07-01T12:00:00Z" | fromdate | todate' 2026-07-01T13:00:00Z
expect Europe/Berlin '"2026-12-01T12:00:00Z" | fromdate | todate' 2026-12-01T12:00:00Z
expect America/New_York '"2026-07-01T12:00:00Z" | fromdate | todate' 2026-07-01T13:00:00Z
expect Australia/Sydney '"2026-01-01T12:00:00Z" | fromdate | todate' 2026-01-01T13:00:00Z
expect Europe/Berlin '1782907200 | gmtime | mktime' 1782910800
expect Europe/Berlin '1782907200 | todate' 2026-07-01T12:00:00Z
expect Europe/Berlin '1782907200 | strftime("%H:%M %Z")' '12:00 CET'
((failed)) && { echo "this has changed"; exit 1; }
echo "still so"

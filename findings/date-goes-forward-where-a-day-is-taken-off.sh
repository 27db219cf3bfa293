#!/usr/bin/env bash
# Expected: date -d '2026-11-27 12:00 -1 day' is noon on the 26th, as date -d '2026-11-27 -1 day' is the 26th.
# Guessed: 12:00 +3 hours is three in the afternoon.
# Seen (coreutils 9.1, Debian 12): behind a time of day a number with a sign is a zone, however many blanks are before it, and what is left is
# " day", one day forward. So -1 day is 13:00 UTC on the 28th, -2 hours is three hours later, at 15:00, +3 hours two hours earlier, at
# 10:00. +30 minutes is refused, as there is no such zone, which makes it look as if the others were understood. Without a sign, with "ago", or
# with Z or UTC before it, all is as one means it. The exit code is 0.
# For Waybill: where a script works out a point in time for a restore, an export's --from or what is to be deleted (docs/operations.md), it
# writes '1 day ago', or 'Z' behind the time.
# Needs: GNU coreutils' date.
set -uo pipefail
[[ $(date --version 2>/dev/null) == *"GNU coreutils"* ]] || { echo "needs GNU date" >&2; exit 2; }
failed=0
expect() { # TEXT WANTED
  local seen
  seen=$(TZ=UTC LC_ALL=C date -d "$1" '+%F %H:%M' 2>/dev/null || echo refused)
  printf '%-32s %s\n' "$1" "$seen"
  [[ $seen == "$2" ]] || failed=1
}
date --version | head -n 1
expect '2026-11-27 -1 day' '2026-11-26 00:00'
expect '2026-11-27 12:00 -1 day' '2026-11-28 13:00'
expect '2026-11-27 12:00:00 -2 hours' '2026-11-27 15:00'
expect '2026-11-27 12:00 +3 hours' '2026-11-27 10:00'
expect '2026-11-27 12:00 + 3 hours' '2026-11-27 10:00'
expect '2026-11-27 12:00 +30 minutes' 'refused'
expect '2026-11-27 12:00 3 hours' '2026-11-27 15:00'
expect '2026-11-27 12:00 1 day ago' '2026-11-26 12:00'
expect '2026-11-27 12:00Z -1 day' '2026-11-26 12:00'
((failed)) && { echo "this has changed"; exit 1; }
echo "still so"

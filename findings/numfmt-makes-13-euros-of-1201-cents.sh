#!/usr/bin/env bash
# Expected: numfmt --to-unit=100, which divides by a hundred, makes 12.50 of 1250 minor units, or 12.5.
# Guessed: 12.5.
# Seen (coreutils 9.1, Debian 12): 13. Without a format the result is a whole number, rounded away from zero, so 1201 is 13 as well, and
# -1201 is -13; a column of fares is a unit too high on nearly each line, and its sum by half a unit a line. --to=si likewise: 1001 is 1.1K.
# --round=nearest makes 12 of 1201, --format=%.2f what was meant.
# For Waybill: minor units come with their currency, whose decimals docs/currencies.md has. Who shows them by numfmt gives a format.
# Needs: Debian's coreutils 9.1.
set -uo pipefail
command -v numfmt >/dev/null || { echo "needs coreutils" >&2; exit 2; }
export LC_ALL=C
numfmt --version | head -1
failed=0
expect() { # WANTED ARGUMENT...
  local seen
  seen=$(numfmt "${@:2}" | paste -sd ' ')
  printf '%-48s %s\n' "numfmt ${*:2}" "$seen"
  [[ $seen == "$1" ]] || failed=1
}
expect "13 13 -13" --to-unit=100 -- 1250 1201 -1201
expect "13 12 -12" --to-unit=100 --round=nearest -- 1250 1201 -1201
expect "12.50 12.01 -12.01" --to-unit=100 --format=%.2f -- 1250 1201 -1201
expect "1.1K" --to=si 1001
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

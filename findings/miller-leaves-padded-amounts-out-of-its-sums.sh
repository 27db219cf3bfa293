#!/usr/bin/env bash
# Expected: `mlr stats1 -a sum` of a column 0100, 0200 is 300, or it says that these are no numbers.
# Guessed: they are read as octal, as Miller 5 did.
# Seen (Miller 6.6.0, Debian 12): whole numbers with a zero in front count as text, and a sum passes over text without a word: 0 for
# those two, 200 for 0100 and 200, exit code 0; `count` counts them all. 0100.50 is a number again, so one file has both.
# The same in merge-fields; `put`'s + and step's running sum say (error), int("0100") is 64, octal after all, and -O makes 192 of the
# two, with 0090 as ninety. The manual says that they are strings; what sums do with strings it does not.
# For Waybill: files with columns of fixed width (ACH, settlement files of some gateways) have amounts like that. Strip the zeros first:
# mlr put '$amount = int(sub($amount, "^0+([0-9])", "\1"))'.
# Needs: Debian's miller 6.6.0.
set -uo pipefail
command -v mlr >/dev/null || { echo "needs Debian's miller" >&2; exit 2; }
mlr --version
failed=0
export MLRRC=__none__ # no settings of the user's
sum() { # LINES, and a command of mlr
  printf 'amount\n%s\n' "$1" | tr ' ' '\n' | mlr --icsv --onidx "${@:2}" 2>&1 | tr '\n' ' ' | sed 's/ $//'
}
expect() { # WHAT WANTED SEEN
  printf '%-44s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
expect "sum and count of 100 200" "300 2" "$(sum '100 200' stats1 -a sum,count -f amount)"
expect "sum and count of 0100 0200" "0 2" "$(sum '0100 0200' stats1 -a sum,count -f amount)"
expect "sum and count of 0100 200" "200 2" "$(sum '0100 200' stats1 -a sum,count -f amount)"
expect "sum and count of 0100.50 0200" "100.5 2" "$(sum '0100.50 0200' stats1 -a sum,count -f amount)"
expect "running sum of 100 0200" "100 100 0200 (error)" "$(sum '100 0200' step -a rsum -f amount)"
expect "int of 0100 and 0200" "64 128" "$(sum '0100 0200' put '$amount = int($amount)')"
expect "sum of 0100 0200 0090 with -O" "282" "$(sum '0100 0200 0090' -O stats1 -a sum -f amount)"
expect "sum of 0100 0200 0090, stripped" "390" \
  "$(sum '0100 0200 0090' put '$amount = int(sub($amount, "^0+([0-9])", "\1"))' then stats1 -a sum -f amount)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

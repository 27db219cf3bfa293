#!/usr/bin/env bash
# Expected: awk adds up whole numbers exactly to 2^53, as its numbers are doubles, and prints them so; gawk does.
# Guessed: so it is; fractions are printed with six digits, by OFMT, in every awk.
# Seen (mawk 1.3.4 20200120, which is awk on Debian 12): from 2147483648 on a whole number is printed like a fraction, with six digits:
# a sum of 3000000123 minor units is 3e+09, and as a key of an array, too, where all that look the same are one. printf "%d", which
# people take to avoid that, stops at 2147483647, for every larger sum, without a word. The number itself is right: printf "%.0f" prints
# it. 21 million euros in cents are enough.
# For Waybill: amounts in its CSV are decimals or minor units of 64 bits; docs and scripts add nothing up by awk. Who does, prints by
# "%.0f" or "%.2f", or takes gawk.
# Needs: Debian's mawk 1.3.4-20200120-3.1.
# shellcheck disable=SC2016 # the $ are awk's
set -uo pipefail
command -v mawk >/dev/null || { echo "needs Debian's mawk" >&2; exit 2; }
mawk -W version 2>&1 | head -1
failed=0
expect() { # WANTED PROGRAM
  local seen
  seen=$(printf '%s\n' 1500000000 1500000123 | mawk "$2" | paste -sd ' ')
  printf '%-52s %s\n' "$2" "$seen"
  [[ $seen == "$1" ]] || failed=1
}
echo "of 1500000000 and 1500000123:"
expect 3e+09 '{ sum += $1 } END { print sum }'
expect 2147483647 '{ sum += $1 } END { printf "%d\n", sum }'
expect 3000000123 '{ sum += $1 } END { printf "%.0f\n", sum }'
expect 1 '{ seen[$1 * 2] } END { for (key in seen) n++; print n }'
expect 2 '{ seen[$1] } END { for (key in seen) n++; print n }'
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

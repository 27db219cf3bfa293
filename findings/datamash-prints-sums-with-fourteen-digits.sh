#!/usr/bin/env bash
# Expected: datamash, which counts in long double, prints the sum of a column of amounts to the cent, as bc and Miller do.
# Guessed: 17 or 18 digits.
# Seen (datamash 1.7, Debian 12): 14 digits, however many the numbers have: 1234567890123.45 and 0.00 are 1234567890123.5, and
# 12345678901234 and 0.56 have no decimals at all. Numbers of 14 digits look whole, so nothing shows it; from 15 on there is
# an exponent: 123456789012345 and 1 are 1.2345678901235e+14. sum, max and mean are all printed so, with exit code 0. The default of
# --format is %.14Lg; with --format %.2f or --format %.18g it is right up to 2^63.
# For Waybill: its amounts are minor units of up to 18 digits. Totals of a day in IDR, VND or COP reach 15 digits soon: give --format
# %.0f, or let Postgres add them.
# Needs: Debian's datamash 1.7.
set -uo pipefail
command -v datamash >/dev/null || { echo "needs Debian's datamash" >&2; exit 2; }
datamash --version | head -1
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-52s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
export LC_ALL=C
expect "sum of 123456789.01 and 0.44" 123456789.45 "$(printf '123456789.01\n0.44\n' | datamash sum 1)"
expect "sum of 1234567890123.45 and 0.00" 1234567890123.5 "$(printf '1234567890123.45\n0.00\n' | datamash sum 1)"
expect "max of 12345678901234.56" 12345678901235 "$(printf '12345678901234.56\n' | datamash max 1)"
expect "sum of 12345678901234.00 and 0.56" 12345678901235 "$(printf '12345678901234.00\n0.56\n' | datamash sum 1)"
expect "sum of 123456789012345 and 1" 1.2345678901235e+14 "$(printf '123456789012345\n1\n' | datamash sum 1)"
expect "the same with --format %.0f" 123456789012346 "$(printf '123456789012345\n1\n' | datamash --format %.0f sum 1)"
expect "sum of 900719925474099.31 and 0.01, --format %.2f" 900719925474099.32 \
  "$(printf '900719925474099.31\n0.01\n' | datamash --format %.2f sum 1)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

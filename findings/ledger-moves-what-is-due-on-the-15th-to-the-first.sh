#!/usr/bin/env bash
# Expected: "~ Monthly from 2026/01/15" is due on the 15th of each month, and "~ Every 2 weeks" is never due twice within two days.
# Guessed: so it is for the 15th; from the 31st on the days would slide to the 28th.
# Seen (ledger 3.3.0, Debian 12): only the first one is on that day. All others are on the first of a month (of a quarter, of a
# year): 15 January, 1 February, 1 March. From 31 January on the second instalment is due a day after the first, with every 2
# weeks too. A budget and a forecast of cash are out by up to a month and have one payment more than they should in the first one.
# The manual's text on period expressions does not say so; ledger's issues 2083 and 2304 do, and versions after this one keep the day.
# hledger 1.25 refuses "monthly from" any other day than the first, and has "every 15th day of month".
# For Waybill: instalments and payouts of its books that somebody plans in ledger: write one rule for each date, or use hledger.
# Needs: Debian's ledger 3.3.0 and hledger 1.25.
set -uo pipefail
command -v ledger hledger >/dev/null || { echo "needs Debian's ledger and hledger" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
echo "$(ledger --version | head -1), $(hledger --version)"
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-32s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
due() { # PERIOD
  printf '~ %s\n    Expenses:Rent   100.00 EUR\n    Assets:Bank\n\n2026/01/01 opening\n    Assets:Bank   1000.00 EUR\n    Equity\n' \
    "$1" >due.journal
  ledger --args-only -f due.journal register --budget --begin 2026/01/01 --end 2026/04/20 --now 2026/04/20 Rent --date-format %m-%d |
    cut -d' ' -f1 | paste -sd' '
}
expect "Monthly from 2026/01/15" "01-15 02-01 03-01 04-01" "$(due 'Monthly from 2026/01/15')"
expect "Monthly from 2026/01/31" "01-31 02-01 03-01 04-01" "$(due 'Monthly from 2026/01/31')"
expect "Quarterly from 2026/01/31" "01-31 04-01" "$(due 'Quarterly from 2026/01/31')"
expect "Every 2 weeks from 2026/01/31" "01-31 02-01 02-15 03-01 03-15 03-29 04-12" "$(due 'Every 2 weeks from 2026/01/31')"
printf '~ every 15th day of month from 2026-01-01\n    Expenses:Rent   100.00 EUR\n    Assets:Bank\n' >due.journal
expect "hledger, every 15th of month" "01-15 02-15 03-15 04-15" \
  "$(hledger -f due.journal register --forecast=2026-01-01..2026-04-20 Rent | cut -c6-10 | paste -sd' ')"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

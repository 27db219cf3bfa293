#!/usr/bin/env bash
# Expected: an amount of a bank's CSV that is below zero is read so, or the line is refused; "12.50 DR", as banks of Britain and India
# write a debit, likewise.
# Guessed: both are refused.
# Seen (hledger 1.25, and ledger 3.3.0 of a journal): any sign that is no digit can be a currency. Of "−12,50" with the minus of
# typography (U+2212), which programs in Swedish, Norwegian or Finnish write, twelve and a half of the currency "−" come onto the
# account: shown it looks as it should, −12,50, but with 100 EUR there are two currencies, and a payment is one more deposit. "12.50 DR"
# is 12.50 of "DR", on the side of "100.00 CR". No error, and the journal balances. A hyphen, or parentheses, make it negative; a hyphen
# behind the number is refused.
# For Waybill: what it writes has a hyphen. Who reads a bank's CSV by hledger replaces U+2212 first, sets the sign by the mark, and has
# "hledger check commodities" refuse what is not declared.
# Needs: Debian's hledger 1.25 and ledger 3.3.0.
set -uo pipefail
command -v hledger ledger >/dev/null || { echo "needs Debian's hledger and ledger" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
export LC_ALL=C.UTF-8
hledger --version
ledger --version | head -1
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-34s %s\n' "$1" "$3"
  [[ $2 == "$3" ]] || failed=1
}
printf 'fields date,description,amount\naccount1 assets:bank\naccount2 income\n' >bank.csv.rules
bank() { # AMOUNT WANTED
  printf '2026-11-27,card,"%s"\n2026-11-28,sale,"100.00"\n' "$1" >bank.csv
  expect "hledger, $1 and 100.00" "$2" "$(hledger -f bank.csv balance assets:bank --no-total --layout bare 2>&1 | xargs)"
}
bank "-12.50" "87.50 assets:bank"
bank "(12.50)" "87.50 assets:bank"
bank "−12.50" "100.00 12.50 − assets:bank"
bank "12.50 DR" "100.00 12.50 DR assets:bank"
printf '2026-11-27 card\n    assets:bank   −12.50\n    expenses\n' >bank.journal
expect "ledger, commodities of −12.50" "−" "$(ledger -f bank.journal commodities)"
expect "ledger, its quantity" "12.5" "$(ledger -f bank.journal register assets --format '%(quantity(amount))')"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

#!/usr/bin/env bash
# Expected: a line "1.000 EUR" means the same wherever it stands in a journal: one euro, or a thousand, or an error.
# Seen (ledger 3.3.0, Debian 12): each line is read by what came before it. After an amount with both marks, "1.000,50 EUR", the point
# groups thousands and "1.000 EUR" is 1000; the same line further up was one. So a journal's sum changes when its lines are
# sorted, when an old year's file is left out, or when a report reads only a part of it, and nothing is said. hledger 1.25 reads one
# euro in both places. --decimal-comma, set for all files, makes it 1000 in both.
# For Waybill: its amounts have a point and the currency's decimals (docs/currencies.md), and one of three, "1.000 KWD", is just such
# a line: a journal in which somebody typed "1.000,50 KWD" reads the next one, appended, a thousandfold.
# Needs: Debian's ledger 3.3.0 and hledger 1.25.
set -uo pipefail
command -v ledger hledger >/dev/null || { echo "needs Debian's ledger and hledger" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
posting() { printf '2026-01-0%s sale\n    Assets:%s   %s KWD\n    Income:Sales\n\n' "$1" "$2" "$3"; }
{ posting 2 First 1.000; posting 3 Typed 1.000,50; posting 4 Last 1.000; } >three.journal
{ posting 2 First 1.000; posting 4 Last 1.000; } >two.journal
echo "$(ledger --version | head -1), $(hledger --version)"
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-52s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
value() { ledger -f "$1" --args-only "${@:3}" balance "$2" --balance-format '%(quantity(scrub(display_total)))\n' | sed 's/[.,]0*$//'; }
expect "ledger: 1.000 KWD before 1.000,50 KWD" 1 "$(value three.journal First)"
expect "ledger: 1.000 KWD after 1.000,50 KWD" 1000 "$(value three.journal Last)"
expect "ledger: the same line, without the one in between" 1 "$(value two.journal Last)"
expect "ledger --decimal-comma: before" 1000 "$(value three.journal First --decimal-comma)"
both=$(hledger -f three.journal balance Assets:First Assets:Last -O csv | grep -c '"1,000 KWD"')
expect "hledger: lines of the two that are one" 2 "$both"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

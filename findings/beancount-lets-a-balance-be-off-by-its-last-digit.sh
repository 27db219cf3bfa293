#!/usr/bin/env bash
# Expected: `balance Assets:Bank 100.00 USD` holds when the account has 100.00 USD, and is an error at 100.01.
# Guessed: so it is.
# Seen (beancount 2.3.5, Debian 12): it holds from 99.99 to 100.01. The assertion is taken to be right to a whole unit of its last
# digit, twice the tolerance of a transaction: `100.0` holds at 100.1, `1000.0` at 999.9; only a whole number, `100`, is exact, and so
# is `100.000`, to the tenth of a cent. Its document on tolerances says so. Exit code 0, no word of it. "~ 0.00 USD" behind the
# number, or option "inferred_tolerance_multiplier" "0.1", makes it exact. Written in whole cents, the commonest way, a fee that a
# bank rounded the other way passes. hledger 1.25 and ledger 3.3.0 say that a cent is missing.
# For Waybill: `waybill ledger` counts whole minor units, and those agree or do not. Who copies its balances into beancount to check
# them against a bank writes "100.00 ~ 0.00 USD".
# Needs: Debian's beancount 2.3.5 and hledger 1.25.
set -uo pipefail
command -v bean-check hledger >/dev/null || { echo "needs Debian's beancount and hledger" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
echo "$(bean-check --version), $(hledger --version)"
failed=0
asserts() { # HAS ASSERTED WANTED
  cat >a.beancount <<BEANCOUNT
2026-01-01 open Assets:Bank
2026-01-01 open Income:Sales
2026-01-02 * "sale"
  Assets:Bank   $1 USD
  Income:Sales
2026-01-03 balance Assets:Bank   $2 USD
BEANCOUNT
  local seen=refused
  bean-check a.beancount >/dev/null 2>&1 && seen=holds
  printf 'beancount: %-7s asserted of %-7s %s\n' "$2" "$1" "$seen"
  [[ $seen == "$3" ]] || failed=1
}
asserts 100.01 100.00 holds
asserts 99.99 100.00 holds
asserts 100.02 100.00 refused
asserts 100.1 100.0 holds
asserts 101 100 refused
asserts 100.01 "100.00 ~ 0.00" refused
cat >a.journal <<'JOURNAL'
2026-01-02 sale
    Assets:Bank   100.01 USD
    Income:Sales
2026-01-03 check
    Assets:Bank   0.00 USD = 100.00 USD
JOURNAL
seen=holds
hledger -f a.journal check >/dev/null 2>&1 || seen=refused
printf 'hledger:   %-7s asserted of %-7s %s\n' 100.00 100.01 "$seen"
[[ $seen == refused ]] || failed=1
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

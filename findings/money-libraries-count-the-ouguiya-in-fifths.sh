#!/usr/bin/env bash
# Expected: a library of money that takes amounts in minor units means those of ISO 4217, as gateways and banks do: 1250 is 12.50 MRU,
# 12.50 MGA and 12.50 HUF.
# Seen (dinero.js 2.0.2; ruby-money 6.16.0, Debian 12): both count the ouguiya and the ariary by their real coins, of which five make
# one: 1250 are 250.0 MRU or MGA, twenty times as much as ISO's 1250 (its table has 2 decimals for them), and 12.50 MRU becomes 62
# or 63 of them. In ruby-money the forint has none, so 1250 are 1250 HUF, a hundredfold. Each is consistent in itself, so only an
# amount that comes from outside or goes there is wrong. python3-moneyed 2.0 has 100 minor units for all three, as has currency-codes 2.2.0.
# For Waybill: its amounts are minor units by ISO 4217, and docs/currencies.md and `minor_unit_exponent` say how many decimals that is.
# Who makes dinero or Money objects of them gives the currency's base and exponent from there ({ code: "MRU", base: 10, exponent: 2 }).
# Needs: node and npm, which installs dinero.js into a temporary folder; Debian's ruby-money 6.16.0 and python3-moneyed 2.0.
set -uo pipefail
command -v node npm ruby >/dev/null && ruby -W0 -e 'require "money"' 2>/dev/null && /usr/bin/python3 -c 'import moneyed' 2>/dev/null ||
  { echo "needs node, npm, and Debian's ruby-money and python3-moneyed" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit dinero.js@2.0.2 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >units.mjs <<'JS'
import * as dinero from "dinero.js";

const units = (code) => dinero.toUnits(dinero.dinero({ amount: 1250, currency: dinero[code] })).join(" ");
console.log(["EUR", "MRU", "MGA", "HUF"].map((code) => `${code} ${units(code)}`).join(", "));
JS
cat >units.rb <<'RUBY'
require "money"

Money.locale_backend = nil
puts %w[EUR MRU MGA HUF].map { |code| "#{code} #{Money.new(1250, code)}" }.join(", ")
RUBY
cat >units.py <<'PYTHON'
from moneyed import get_currency

print(", ".join(f"{code} {get_currency(code).sub_unit}" for code in ("EUR", "MRU", "MGA", "HUF")))
PYTHON
echo "dinero.js 2.0.2 on node $(node --version), ruby-money $(dpkg-query -W -f '${Version}' ruby-money)," \
  "python3-moneyed $(dpkg-query -W -f '${Version}' python3-moneyed)"
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-38s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
expect "dinero.js, units and minor of 1250" "EUR 12 50, MRU 250 0, MGA 250 0, HUF 12 50" "$(node units.mjs)"
expect "ruby-money, 1250 minor units are" "EUR 12.50, MRU 250.0, MGA 250.0, HUF 1250" "$(ruby -W0 units.rb)"
expect "python3-moneyed, minor units of one" "EUR 100, MRU 100, MGA 100, HUF 100" "$(/usr/bin/python3 units.py)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

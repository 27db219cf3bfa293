#!/usr/bin/env bash
# Expected: a reader of PostgreSQL's intervals reads all four forms that intervalstyle can give them, as psql and libpq's users do, or says
# that it cannot.
# Guessed: it throws for all but the first.
# Seen (pg 8.23.1 with its postgres-interval 1.2.0; postgres-interval 4.1.0): nothing is thrown. Five minutes in the form iso_8601, PT5M,
# are an empty interval; in postgres_verbose, "@ 5 mins", they are one, too, and five months by the newer version. In sql_standard, whose days
# stand without a word, three days and four hours are the four hours. Only the default form is read in full. intervalstyle can be set for a
# database or a role, by somebody who likes ISO 8601 in reports, and then what holds a payment back for three days holds it for none.
# For Waybill: times are timestamptz and durations bigint or made of interval within a query, none leaves the database as an interval.
# Who reads such columns by node-postgres selects extract(epoch from ...), or sets intervalstyle in the connection's options.
# Needs: node and npm, which installs them into a temporary folder. The texts are those of PostgreSQL 15.18.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit pg@8.23.1 postgres-interval@4.1.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >intervals.cjs <<'JS'
const { types } = require("pg");
const newer = require("postgres-interval");

let failed = false;
const brief = (interval) => Object.entries(interval).filter(([, amount]) => amount).map(([unit, amount]) => `${amount} ${unit}`).join(" ") || "nothing";
const expect = (style, text, ...wanted) => {
  const seen = [types.getTypeParser(1186)(text), newer(text)].map(brief);
  console.log(style.padEnd(16), text.padEnd(24), `pg: ${seen[0]}; postgres-interval 4: ${seen[1]}`);
  failed ||= seen.join() !== wanted.join();
};
expect("postgres", "00:05:00", "5 minutes", "5 minutes");
expect("iso_8601", "PT5M", "nothing", "nothing");
expect("postgres_verbose", "@ 5 mins", "nothing", "5 months");
expect("sql_standard", "0:05:00", "5 minutes", "5 minutes");
expect("postgres", "3 days 04:00:00", "3 days 4 hours", "3 days 4 hours");
expect("iso_8601", "P3DT4H", "nothing", "nothing");
expect("postgres_verbose", "@ 3 days 4 hours", "nothing", "3 days");
expect("sql_standard", "3 4:00:00", "nothing", "4 hours");
process.exitCode = failed ? 1 : 0;
JS
echo "pg 8.23.1, postgres-interval 4.1.0, node $(node --version)"
node intervals.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1

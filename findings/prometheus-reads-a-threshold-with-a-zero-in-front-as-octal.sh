#!/usr/bin/env bash
# Expected: 0100 in a rule is 100, as 0100.0 and 1e2 are; the documentation of PromQL names decimal and hexadecimal literals only.
# Guessed: so it is.
# Seen (Prometheus 2.42.0, Debian 12): a whole number with a zero in front is octal if all its digits are below 8: 0100 is 64, 010 is 8,
# while 08 is 8, 0180 is 180 and 0100.0 is 100. `paid_orders > 0100` fires at 70. promtool check rules finds nothing, and a unit test
# sees it only between the two values.
# For Waybill: none of its rules has such a number. Rules that a template fills with padded amounts or hours, %04d, go wrong in
# one of a few thresholds: give them as %g, or with a point.
# Needs: Debian's prometheus 2.42.0 (promtool).
set -uo pipefail
command -v promtool >/dev/null || { echo "needs Debian's prometheus" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
promtool --version 2>&1 | head -1
failed=0
cat >rules.yml <<'YAML'
groups:
  - name: finding
    rules:
      - alert: ManyOrders
        expr: paid_orders > 0100
YAML
promtool check rules rules.yml | grep -q SUCCESS || failed=1
reads() { # LITERAL VALUE
  cat >test.yml <<YAML
tests:
  - interval: 1m
    promql_expr_test:
      - expr: vector($1)
        eval_time: 0m
        exp_samples: [{labels: "{}", value: $2}]
YAML
  if promtool test rules test.yml >test.log 2>&1; then
    printf '%-24s %s\n' "$1 is" "$2"
  else
    sed -n 's/^ *got: {} /not '"$2"' but /p' test.log
    failed=1
  fi
}
reads 100 100
reads 0100 64
reads 010 8
reads 08 8
reads 0180 180
reads 0100.0 100
fires() { # VALUE WANTED
  cat >test.yml <<YAML
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series: [{series: paid_orders, values: "$1"}]
    alert_rule_test:
      - {eval_time: 0m, alertname: ManyOrders, exp_alerts: []}
YAML
  local seen=fires
  promtool test rules test.yml >test.log 2>&1 && seen="is silent"
  printf '%-24s %s\n' "> 0100 at $1" "$seen"
  [[ $seen == "$2" ]] || failed=1
}
fires 60 "is silent"
fires 70 fires
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

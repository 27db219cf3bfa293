#!/usr/bin/env bash
# Expected: a flag that turns something off does so wherever it is set: on the command line, in a configuration file, and by
# the environment variable that the help names beside it.
# Seen (Debian 12's libcli11-dev 2.1.2): for add_flag("!--no-check") the command line and a file turn the value around, the
# environment variable does not: NO_CHECK=true leaves the check on, NO_CHECK=false turns it off. No error, no warning.
# For Waybill: --no-sanity got an environment variable, and that would have meant the opposite of its name. Settings refuses such
# flags (a bug of ours then); it is a plain flag now that the service negates.
# Needs: Debian's g++ and libcli11-dev.
set -uo pipefail
[[ -f /usr/include/CLI/CLI.hpp ]] || { echo "needs libcli11-dev" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >negated.cc <<'CC'
#include <CLI/CLI.hpp>
#include <cstdio>

int main(int argc, char** argv) {
  CLI::App app;
  bool check = true;
  app.add_flag("!--no-check", check)->envname("NO_CHECK");
  app.set_config("--config");
  CLI11_PARSE(app, argc, argv);
  std::puts(check ? "checks" : "does not check");
}
CC
printf 'no-check = true\n' >on.toml
printf 'no-check = false\n' >off.toml
dpkg-query -W -f '${Package} ${Version}\n' libcli11-dev
g++ -std=c++20 -O0 negated.cc -o negated || exit 2
failed=0
expect() { # WANTED COMMAND...
  local wanted=$1 seen
  shift
  seen=$("$@")
  printf '%-32s %s\n' "$*" "$seen"
  [[ $seen == "$wanted" ]] || failed=1
}
expect "checks" ./negated
expect "does not check" ./negated --no-check
expect "does not check" ./negated --config on.toml
expect "checks" ./negated --config off.toml
expect "checks" env NO_CHECK=true ./negated
expect "does not check" env NO_CHECK=false ./negated
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

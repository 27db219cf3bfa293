#!/usr/bin/env bash
# Expected: --name= gives the option an empty value, as getopt_long, Python's argparse and shells' habits have it.
# Seen (Debian 12's libcli11-dev 2.1.2): the empty value counts as none, and the option takes the next argument for it, even one
# that is an option itself: `--user= --host=db` sets the user to "--host=db" and leaves the host as it was, with exit code 0.
# `--name ""`, two arguments, gives an empty value.
# For Waybill: settings of a file are handed over as flags; an empty line of it would have swallowed the setting behind it, a
# password's URL among them. An empty value in a file is refused (SettingsTest.AWrongValueStopsTheStartAndSaysWhereItStands).
# In scripts: write --name "$value" where $value may be empty, never --name="$value".
# Needs: Debian's g++ and libcli11-dev.
set -uo pipefail
[[ -f /usr/include/CLI/CLI.hpp ]] || { echo "needs libcli11-dev" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >empty.cc <<'CC'
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  CLI::App app;
  std::string user = "nobody", host = "localhost";
  app.add_option("--user", user);
  app.add_option("--host", host);
  CLI11_PARSE(app, argc, argv);
  std::printf("user [%s] host [%s]\n", user.c_str(), host.c_str());
}
CC
dpkg-query -W -f '${Package} ${Version}\n' libcli11-dev
g++ -std=c++20 -O0 empty.cc -o empty || exit 2
failed=0
expect() { # WANTED ARGUMENTS...
  local wanted=$1 seen
  shift
  seen=$(./empty "$@")
  printf '%-22s %s\n' "${*@Q}" "$seen"
  [[ $seen == "$wanted" ]] || failed=1
}
expect "user [me] host [db]" --user=me --host=db
expect "user [--host=db] host [localhost]" --user= --host=db
expect "user [] host [db]" --user "" --host=db
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

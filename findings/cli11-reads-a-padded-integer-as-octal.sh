#!/usr/bin/env bash
# Expected: an option that takes a number reads 010 as ten, whatever type of number it is.
# Seen (Debian 12's libcli11-dev 2.1.2): an option of an integer type reads it as C does in source, base 8 after a zero and base
# 16 after 0x: 010 is eight, 0000001250 is 680, and 08 or 0000001980 cannot be converted. One of type double reads ten.
# The help text says INT and nothing of it.
# For Waybill: amounts out of files with columns of fixed width are padded with zeros: `--amount-minor 0000001250` would order
# 6.80 instead of 12.50.
# Needs: Debian's g++ and libcli11-dev.
set -uo pipefail
[[ -f /usr/include/CLI/CLI.hpp ]] || { echo "needs libcli11-dev" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >padded.cc <<'CC'
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>

int main(int argc, char** argv) {
  CLI::App app;
  int64_t integer = 0;
  double real = 0;
  app.add_option("--integer", integer);
  app.add_option("--real", real);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::puts(error.what());
    return 0;
  }
  std::printf("%lld %g\n", static_cast<long long>(integer), real);
}
CC
dpkg-query -W -f '${Package} ${Version}\n' libcli11-dev
g++ -std=c++20 -O0 padded.cc -o padded || exit 2
failed=0
expect() { # WANTED ARGUMENTS...
  local wanted=$1 seen
  shift
  seen=$(./padded "$@")
  printf '%-38s %s\n' "$*" "$seen"
  [[ $seen == "$wanted" ]] || failed=1
}
expect "10 10" --integer 10 --real 10
expect "8 10" --integer 010 --real 010
expect "680 1250" --integer 0000001250 --real 0000001250
expect "Could not convert: --integer = 08" --integer 08
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

#!/usr/bin/env bash
# Expected: a precompiled header costs each file about the time of loading it, whatever is in it.
# Seen (g++ 12.2.0 with Debian 12's libcli11-dev 2.1.2 and nlohmann-json3-dev 3.11.2): what non-template inline functions of a
# header instantiate is not kept in the precompiled header but made again in every file that includes it. An empty file
# takes 0.1 s of CPU behind a precompiled <string>, 1.1 s behind nlohmann/json.hpp, and 4.8 s behind CLI/CLI.hpp, which is
# three quarters of what it takes without precompiling (6.3 s). gRPC's, absl's, fmt's and gtest's headers do not do that.
# For Waybill: these two are not among the headers that are parsed beforehand (cmake/parsed_headers.cmake).
# Needs: Debian's g++, libcli11-dev, nlohmann-json3-dev. Compares times of one run with each other, each the least of three.
set -uo pipefail
for header in CLI/CLI.hpp nlohmann/json.hpp; do
  [[ -f /usr/include/$header ]] || { echo "needs libcli11-dev and nlohmann-json3-dev" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
: >empty.cc
g++ --version | head -n 1
least() { # FLAGS... of a compilation of empty.cc → milliseconds of user CPU
  local me=$BASHPID best=999999 spent before after
  for _ in 1 2 3; do
    before=$(awk '{print $16}' /proc/$me/stat)
    g++ -std=c++20 -O1 "$@" -c empty.cc -o empty.o || return 1
    after=$(awk '{print $16}' /proc/$me/stat)
    spent=$(((after - before) * 10))
    ((spent < best)) && best=$spent
  done
  echo "$best"
}
declare -A with without
for header in string CLI/CLI.hpp nlohmann/json.hpp; do
  name=$(tr -c 'a-zA-Z\n' _ <<<"$header").h
  echo "#include <$header>" >"$name"
  without[$header]=$(least -include "$name")
  g++ -std=c++20 -O1 -x c++-header "$name" -o "$name.gch" || exit 2
  with[$header]=$(least -include "$name" -Winvalid-pch)
  printf '%-20s %5s ms precompiled, %5s ms without\n' "$header" "${with[$header]}" "${without[$header]}"
done
((${with[CLI/CLI.hpp]} * 2 > ${without[CLI/CLI.hpp]} && ${with[CLI/CLI.hpp]} > 8 * ${with[string]} &&
  ${with[nlohmann/json.hpp]} > 3 * ${with[string]})) && { echo "still so"; exit 0; }
echo "this has changed"
exit 1

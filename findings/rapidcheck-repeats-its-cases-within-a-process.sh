#!/usr/bin/env bash
# Expected: each rc::check draws cases of its own, so that a property which is checked again, in a loop or by GoogleTest's
# --gtest_repeat, sees new ones.
# Seen (Debian 12's librapidcheck-dev 0~1033-08b5058-3): the seed is drawn once in a process, and each rc::check starts from it
# anew. --gtest_repeat=1000 checks the same 100 cases a thousand times; two properties of a program, whatever their names,
# begin with the same random numbers. Only another process, or more cases in one check (RC_PARAMS=max_success=100000), is new.
# For Waybill: to look for a rare failure of a property, start its program again and again; repeating inside finds nothing.
# Needs: Debian's g++, librapidcheck-dev and libgtest-dev.
set -uo pipefail
[[ -f /usr/include/rapidcheck.h && -f /usr/include/gtest/gtest.h ]] || { echo "needs librapidcheck-dev and libgtest-dev" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >cases.cc <<'CC'
#include <cstdint>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>
#include <rapidcheck.h>

uint64_t CasesOf(const std::string& name) {
  uint64_t all = 0;
  rc::check(name, [&] { all = all * 31 + *rc::gen::arbitrary<uint32_t>(); });
  return all;
}

TEST(Property, Holds) {
  std::printf("cases %016llx\n", static_cast<unsigned long long>(CasesOf("holds")));
  std::printf("cases %016llx\n", static_cast<unsigned long long>(CasesOf("another one")));
}
CC
dpkg-query -W -f '${Package} ${Version}\n' librapidcheck-dev libgtest-dev
g++ -std=c++20 -O1 cases.cc -lrapidcheck -lgtest_main -lgtest -o cases || exit 2
kinds() { grep '^cases' | sort -u | grep -c .; }
cases() { env -u RC_PARAMS ./cases "$@" 2>/dev/null; }
failed=0
expect() { # WHAT WANTED SEEN
  printf '%-66s %s\n' "$1" "$3"
  [[ $3 == "$2" ]] || failed=1
}
expect "two properties, repeated 20 times in a process: different draws" 1 "$(cases --gtest_repeat=20 | kinds)"
expect "the same in 20 processes: different draws" 20 "$(for _ in $(seq 20); do cases; done | kinds)"
((failed == 0)) && echo "still so" || echo "this has changed"
exit "$failed"

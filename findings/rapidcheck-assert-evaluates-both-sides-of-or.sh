#!/usr/bin/env bash
# Expected: RC_ASSERT(a || b) evaluates b only where a is false, as || does everywhere else.
# Seen (Debian 12's librapidcheck-dev 0~1033-08b5058-3): to print the values of an expression that failed, the macro captures
# its first operand in an object that overloads the operators, || and && among them, and an overloaded || evaluates both
# sides. So RC_ASSERT(i == 0 || v[i] >= v[i - 1]) reads v[-1]; in a build without AddressSanitizer nobody notices, since the
# result is right. A pair of parentheses around the whole expression, or an `if` before the macro, mends it. GoogleTest's
# EXPECT_TRUE and assert() do not do that.
# For Waybill: a contract test of the fleet did that; both it and the one other place that needs the order use an `if`.
# Needs: Debian's g++ and librapidcheck-dev.
set -uo pipefail
[[ -f /usr/include/rapidcheck.h ]] || { echo "needs librapidcheck-dev" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
cat >both.cc <<'CC'
#include <cstdio>

#include <rapidcheck.h>

int main() {
  int looked = 0;
  auto look = [&] { return ++looked > 0; };
  const int i = 0;
  RC_ASSERT(i == 0 || look());
  std::printf("i == 0 || look():     look is called %d times\n", looked);
  const int bare = looked;
  looked = 0;
  RC_ASSERT((i == 0 || look()));
  std::printf("(i == 0 || look()):   look is called %d times\n", looked);
  return bare == 1 && looked == 0 ? 0 : 1;
}
CC
dpkg-query -W -f '${Package} ${Version}\n' librapidcheck-dev
g++ -std=c++20 both.cc -lrapidcheck -o both || exit 2
./both && { echo "still so"; exit 0; }
echo "this has changed"
exit 1

# ./dev check: formatting, clang-tidy and the layering; says each fault with its file and line.

verb_check() {
  local shipped=()
  [[ ${1:-} != --shipped ]] || { shipped=(--shipped); shift; }
  (($# == 0)) || fail "check: no option $1"
  need_packages "${PACKAGES[@]}" "${CHECK_PACKAGES[@]}"
  local code=0 started=$SECONDS

  say "Formatting (clang-format)"
  sources | xargs clang-format-14 --dry-run -Werror || { code=1; echo "Repair it with ./dev fmt" >&2; }

  build dev
  say "Layering"
  build/dev/bin/layering_test --gtest_brief=1 || code=1

  say "clang-tidy"
  python3 scripts/tidy.py build/dev "${shipped[@]}" || code=1

  ((code == 0)) && echo "Checked in $((SECONDS - started)) s: nothing to say"
  return "$code"
}

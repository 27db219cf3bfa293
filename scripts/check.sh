# ./dev check: formatting, clang-tidy and the layering; says each fault with its file and line.

verb_check() {
  local all=
  case ${1:-} in
    '') ;;
    --all) all=1 ;;
    *) fail "check: no option $1" ;;
  esac
  need_packages "${PACKAGES[@]}" "${CHECK_PACKAGES[@]}"
  local code=0 started=$SECONDS

  say "Formatting (clang-format)"
  sources | xargs clang-format-14 --dry-run -Werror || { code=1; echo "Repair it with ./dev fmt" >&2; }

  build dev
  say "Layering"
  build/dev/bin/layering_test --gtest_brief=1 || code=1

  say "clang-tidy${all:+ over every file}"
  tidy "$all" || code=1

  ((code == 0)) && echo "Checked in $((SECONDS - started)) s: nothing to say"
  return "$code"
}

# The files that differ from main; all of them with --all, or when there is no other main to compare with.
tidy() { # ALL
  local base files
  base=$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null)
  if [[ -n $1 || -z $base ]] || ! git diff --quiet "$base" -- .clang-tidy; then
    mapfile -t files < <(sources | grep '\.cc$')
  else
    mapfile -t files < <({ git diff --name-only --diff-filter=d "$base"; git ls-files --others --exclude-standard; } |
      grep '\.cc$' | sort -u)
  fi
  ((${#files[@]})) || return 0
  echo "${#files[@]} files"
  # One line a file, so that a long run shows where it is.
  printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -I {} bash -c '
    started=$SECONDS
    if output=$(clang-tidy-14 -p build/dev --quiet --warnings-as-errors="*" "$1" 2>&1); then
      echo "ok $((SECONDS - started)) s $1"
    else
      printf "%s\nFAULTS in %s\n" "$output" "$1"
      exit 1
    fi' tidy {}
}

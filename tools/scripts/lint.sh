# tools/dev lint: formatting, clang-tidy, ruff and the house rules of test/lint.

# shellcheck shell=bash
source "$scripts/build.sh"
source "$scripts/format.sh"
readonly lint_help="usage: tools/dev lint [--all | --no-tidy] [--preset release|dev] [--jobs N]
Checks, without changing anything: clang-format, ruff, shellcheck, the rules of test/lint, and clang-tidy on the C++ files that
differ from the last commit or (--all) on all of them. clang-tidy needs a configured build."

# tidy_files MODE: the .cpp files to look at that the build knows, one a line.
tidy_files() {
  local database="$root/build/$preset/compile_commands.json"
  {
    if [[ $1 == --all ]]; then
      source_files '*.cpp'
    elif git -C "$root" rev-parse HEAD >/dev/null 2>&1; then
      git -C "$root" diff -z --name-only --diff-filter=d HEAD -- '*.cpp'
      git -C "$root" ls-files -z --others --exclude-standard -- '*.cpp'
    fi
  } | while IFS= read -r -d '' file; do
    ! grep -qF "\"$root/$file\"" "$database" || printf '%s\n' "$file"
  done
}

lint_tidy() {
  prepare_build
  with_lock "$root/build/$preset.lock" configure
  local files
  mapfile -t files < <(tidy_files "$1")
  ((${#files[@]})) || { say "clang-tidy: no changed C++ file (--all takes all)" && return 0; }
  # Generated headers and the precompiled header have to be there.
  locked_build
  say "clang-tidy: ${#files[@]} files, $jobs at a time"
  printf '%s\0' "${files[@]}" |
    xargs -0 -P "$jobs" -n 1 clang-tidy-22 -p "build/$preset" --quiet --extra-arg=-Wno-unknown-warning-option 2>&1 |
    { grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed |^Use -header-filter' || true; }
  return "${PIPESTATUS[1]}"
}

run_lint() {
  parse_options "$lint_help" "$@"
  local mode="${rest[0]:-}" failed=() c_files
  [[ -z $mode || $mode == --all || $mode == --no-tidy ]] || usage_error "unexpected argument '$mode'"
  prepare_format
  cd "$root"
  local ruff="$cache/lint/bin/ruff"
  mapfile -d '' -t c_files < <(source_files "${c_patterns[@]}")
  say "clang-format: ${#c_files[@]} files"
  ((${#c_files[@]} == 0)) || clang-format-22 --dry-run -Werror "${c_files[@]}" || failed+=(clang-format)
  say "ruff"
  "$ruff" format --quiet --diff . || failed+=("ruff format")
  "$ruff" check --quiet . || failed+=("ruff check")
  say "shellcheck"
  shellcheck --shell=bash --severity=warning tools/dev .ci/run tools/scripts/*.sh || failed+=(shellcheck)
  say "house rules"
  python3 test/lint/lint.py || failed+=(test/lint)
  [[ $mode == --no-tidy ]] || lint_tidy "$mode" || failed+=(clang-tidy)
  if ((${#failed[@]})); then
    local IFS=,
    die "failed: ${failed[*]}" "tools/dev format mends the formatting"
  fi
  say "all clean"
}

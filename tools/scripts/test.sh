# tools/dev test: build release, run every test, count.

# shellcheck shell=bash
source "$scripts/build.sh"
readonly test_help="usage: tools/dev test [--preset release|dev] [--jobs N]
Builds everything and runs the targets check (lit, GoogleTest, lint) and check-e2e. The last line is
'N passed, N failed', with ', N skipped' where tests were skipped; the exit status is 0 only if none failed."

# run_target TARGET LOG: shows its output and keeps it; the status is the target's.
run_target() {
  say "running $1"
  build_targets "$1" 2>&1 </dev/null | tee "$2"
  return "${PIPESTATUS[0]}"
}

run_tests() {
  local logs target status failed=()
  logs="$(mktemp -d "${TMPDIR:-/tmp}/vlmc-test.XXXXXX")"
  # A build that fails is shown as such and counts as one failed test.
  if ! configure_and_build; then
    failed+=(build)
  else
    for target in check check-e2e; do
      status=0
      run_target "$target" "$logs/$target" || status=$?
      ((status == 0)) || failed+=("$target")
    done
  fi
  status=0
  python3 "$scripts/tally.py" --failed "${failed[*]}" "$logs"/* || status=$?
  rm -rf "$logs"
  return "$status"
}

run_test() {
  parse_options "$test_help" "$@"
  no_more_arguments
  # Whatever stops us before the tests are counted (no network, no disk) is a failure too.
  trap 'echo "0 passed, 1 failed"' EXIT
  prepare_build
  ensure_ptxas
  ensure_packages "${test_packages[@]}"
  local status=0
  with_lock "$root/build/$preset.lock" run_tests || status=$?
  trap - EXIT
  return "$status"
}

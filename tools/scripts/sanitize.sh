# tools/dev sanitize: the runtime, the readers of checkpoints and their tests under sanitizers.

# shellcheck shell=bash
source "$scripts/build.sh"
readonly sanitize_help="usage: tools/dev sanitize [asan|tsan]... [--jobs N]
Builds what links no MLIR (runtime, readers of configs, checkpoints, tokenizers and pictures) into build/asan with the address and
undefined-behaviour sanitizers, into build/tsan with the thread sanitizer, and runs its tests; both if none is named.
The last line is 'N passed, N failed'."

# sanitized_build PRESET TARGET...
sanitized_build() {
  preset="$1"
  shift
  [[ -f $root/build/$preset/build.ninja ]] || step "configuring build/$preset" cmake -S "$root" --preset "$preset" || return
  say "building build/$preset, $jobs at a time"
  build_targets "$@"
}

# sanitized_tests LOGS PRESET
sanitized_tests() {
  # A report ends the program, so the test fails.
  export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_stack_use_after_return=1 TSAN_OPTIONS=halt_on_error=1
  sanitized_build "$2" check-unit 2>&1 </dev/null | tee "$1/$2"
  return "${PIPESTATUS[0]}"
}

run_sanitize() {
  parse_options "$sanitize_help" "$@"
  local chosen=("${rest[@]}") one logs failed=() status=0
  ((${#chosen[@]})) || chosen=(asan tsan)
  for one in "${chosen[@]}"; do
    [[ $one == asan || $one == tsan ]] || usage_error "expected asan or tsan, found '$one'"
  done
  ensure_packages "${build_packages[@]}"
  logs="$(mktemp -d "${TMPDIR:-/tmp}/vlmc-sanitize.XXXXXX")"
  for one in "${chosen[@]}"; do
    with_lock "$root/build/$one.lock" sanitized_tests "$logs" "$one" || failed+=("$one")
  done
  python3 "$scripts/tally.py" --failed "${failed[*]}" "$logs"/* || status=$?
  rm -rf "$logs"
  return "$status"
}

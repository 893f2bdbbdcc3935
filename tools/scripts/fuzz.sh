# tools/dev fuzz: one of the fuzzers of test/fuzz, with the address and undefined-behaviour sanitizers.

# shellcheck shell=bash
source "$scripts/sanitize.sh"
readonly fuzz_help="usage: tools/dev fuzz NAME [--seconds N] [--jobs N]
Builds fuzz-NAME into build/asan and runs it for N seconds (default 60). What it has tried that is worth keeping stays in
build/asan/fuzz/NAME for the next run; an input that fails is written there too: mend the fault and put the input into
test/fuzz/corpus/NAME. Without NAME: the names there are."

fuzzer_names() { sed -n 's/^ *vlmc_fuzzer(\([a-z]*\) .*/\1/p' "$root/test/fuzz/CMakeLists.txt" | sort; }

run_fuzz() {
  local seconds=60 name="" given
  parse_options "$fuzz_help" "$@"
  set -- "${rest[@]}"
  while (($#)); do
    given="$1"
    shift
    case "$given" in
    --seconds)
      (($#)) || usage_error "--seconds needs a value"
      seconds="$1"
      shift
      ;;
    --seconds=*) seconds="${given#*=}" ;;
    -*) usage_error "unexpected argument '$given'" ;;
    *)
      [[ -z $name ]] || usage_error "unexpected argument '$given'"
      name="$given"
      ;;
    esac
  done
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || usage_error "--seconds takes a positive number, found '$seconds'"
  if [[ -z $name ]]; then
    fuzzer_names
    return 0
  fi
  fuzzer_names | grep -qxF -- "$name" || usage_error "expected one of $(fuzzer_names | tr '\n' ' ')- found '$name'"
  ensure_packages "${build_packages[@]}"
  with_lock "$root/build/asan.lock" sanitized_build asan "fuzz-$name" >&2
  local folder="$root/build/asan/fuzz/$name" made="$root/build/asan/test/fuzz"
  mkdir -p "$folder"
  # Freed memory that the sanitizer holds back counts to libFuzzer's limit of 2 GB: pictures are large.
  ASAN_OPTIONS="quarantine_size_mb=64${ASAN_OPTIONS:+:$ASAN_OPTIONS}" "$root/build/asan/bin/fuzz-$name" -max_total_time="$seconds" -timeout=20 -max_len="$(cat "$made/$name.max-len")" \
    -artifact_prefix="$folder/" -seed_inputs="@$made/$name.seeds" "$folder"
}

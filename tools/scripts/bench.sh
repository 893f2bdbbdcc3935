# tools/dev bench: build and run the benchmark programs.

# shellcheck shell=bash
source "$scripts/build.sh"
readonly bench_help="usage: tools/dev bench [--preset release|dev] [--jobs N] [NAME [ARGUMENT...]]
Builds, then runs each build/<preset>/bin/vlmc-bench-*, or only vlmc-bench-NAME with the arguments given.
NAME peers: a picture tower beside ONNX Runtime and OpenVINO (tools/bench/peers/towers.py), which it installs with torch (some GiB)."

run_bench() {
  parse_options "$bench_help" "$@"
  prepare_build
  locked_build
  local bin="$root/build/$preset/bin" programs program
  if [[ ${rest[0]:-} == peers ]]; then
    ensure_peers
    VLMC_PRESET="$preset" "$cache/peers/bin/python" "$root/tools/bench/peers/towers.py" "${rest[@]:1}"
    return
  fi
  if ((${#rest[@]})); then
    program="$bin/vlmc-bench-${rest[0]#vlmc-bench-}"
    [[ -x $program ]] || die "no benchmark ${program#"$root/"}" "those there are: $(cd "$bin" && echo vlmc-bench-*)"
    "$program" "${rest[@]:1}"
    return
  fi
  programs=("$bin"/vlmc-bench-*)
  [[ -x ${programs[0]} ]] || die "no benchmark program vlmc-bench-* in ${bin#"$root/"}"
  for program in "${programs[@]}"; do
    say "${program##*/}"
    "$program"
  done
}

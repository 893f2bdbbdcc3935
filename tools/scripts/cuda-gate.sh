# tools/dev cuda-gate: what the code of models of full size takes on GPUs, by ptxas; no GPU and no weights are needed.

# shellcheck shell=bash
source "$scripts/build.sh"
readonly cuda_gate_help="usage: tools/dev cuda-gate [--preset release|dev] [--jobs N] [--write] [--models NAME...] [--chips CHIP...]
Builds, then compiles models/NAME.textproto for each chip (sm_80, sm_89, sm_90a) with ptxas and prints a table: registers, spilled bytes,
shared memory, tensor-core instructions. Fails if a kernel spills, or takes more than a block of the chip has.
--write puts the tables into docs/cuda.md."

run_cuda-gate() {
  parse_options "$cuda_gate_help" "$@"
  local given=() one
  for one in "${rest[@]}"; do
    if [[ $one == --write ]]; then
      given+=(--write "$root/docs/cuda.md")
    else
      given+=("$one")
    fi
  done
  prepare_build
  ensure_ptxas
  locked_build vlmc
  python3 "$scripts/cuda_gate.py" --vlmc "$root/build/$preset/bin/vlmc" "${given[@]}"
}

# tools/dev build: configure and build a preset.

# shellcheck shell=bash
readonly build_help="usage: tools/dev build [--preset release|dev] [--jobs N] [TARGET...]
Builds all programs (or the CMake targets named) of a preset: build/<preset>/bin/vlmc."

configure() {
  local halide binary="$root/build/$preset"
  halide="$(halide_root)" || return
  if [[ -f $binary/build.ninja ]] && grep -qxF "VLMC_HALIDE_ROOT:PATH=$halide" "$binary/CMakeCache.txt"; then
    return 0
  fi
  step "configuring build/$preset" \
    cmake -S "$root" --preset "$preset" -DVLMC_HALIDE_ROOT="$halide"
}

# build_targets TARGET...: none means all. Two runs in one build folder wait for each other.
build_targets() {
  local -a arguments=(--build "$root/build/$preset" --parallel "$jobs")
  (($# == 0)) || arguments+=(--target "$@")
  NINJA_STATUS="[%f/%t, %e s] " cmake "${arguments[@]}"
}

configure_and_build() {
  configure || return
  say "building build/$preset, $jobs at a time"
  build_targets "$@"
}

# prepare_build: installs what a build needs.
prepare_build() {
  ensure_packages "${build_packages[@]}"
  ensure_halide
}

locked_build() {
  with_lock "$root/build/$preset.lock" configure_and_build "$@"
}

run_build() {
  parse_options "$build_help" "$@"
  prepare_build
  locked_build "${rest[@]}"
  say "done: build/$preset/bin"
}

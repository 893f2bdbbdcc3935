# Installs what is missing: Debian packages, private Python environments. A second call only looks and is done in well
# under a second.

# shellcheck shell=bash
build_packages=(
  clang-22
  cmake
  dpkg-dev
  libbenchmark-dev
  libclang-rt-22-dev
  libcli11-dev
  libgif-dev
  libgtest-dev
  libjpeg62-turbo-dev
  liblld-22-dev
  libmlir-22-dev
  libpcre2-dev
  libpng-dev
  libprotobuf-dev
  libutf8proc-dev
  libwebp-dev
  libzstd-dev
  lld-22
  llvm-22-dev
  llvm-22-tools
  mlir-22-tools
  ninja-build
  nlohmann-json3-dev
  protobuf-compiler
  python3
  python3-pip
  python3-venv
  zlib1g-dev
)
lint_packages=(
  clang-format-22
  clang-tidy-22
  python3
  python3-pip
  python3-venv
  shellcheck
)
# For tests alone: AArch64 under an emulator.
test_packages=(
  libc6-dev-arm64-cross
  libstdc++-12-dev-arm64-cross
  qemu-user
)
oracle_packages=(
  python3
  python3-pip
  python3-venv
)
readonly halide_requirement="halide==21.0.0"
readonly ptxas_requirement="nvidia-cuda-nvcc==13.0.88"
readonly ruff_requirement="ruff==0.17.6"
readonly security_line="deb http://deb.debian.org/debian-security bookworm-security main"
readonly security_file=/etc/apt/sources.list.d/vlmc-bookworm-security.list

# missing_packages NAME...: prints those that are not installed, one a line.
missing_packages() {
  local installed
  # dpkg-query fails when it does not know one of the names; it prints the others all the same.
  installed=" $({ dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true; } |
    awk '$2 == "installed" { print $1 }' | tr '\n' ' ')"
  local name
  for name in "$@"; do
    [[ $installed == *" $name "* ]] || echo "$name"
  done
}

# as_root COMMAND...: runs it as root, through sudo where we are not root.
as_root() {
  if ((EUID == 0)); then
    env DEBIAN_FRONTEND=noninteractive "$@"
  elif [[ -t 0 ]]; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

is_debian_12() {
  # shellcheck disable=SC1091
  [[ -r /etc/os-release ]] && (. /etc/os-release && [[ ${ID:-} == debian && ${VERSION_ID:-} == 12 ]])
}

have_candidate() {
  local candidate
  candidate=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ { print $2 }')
  [[ -n $candidate && $candidate != "(none)" ]]
}

apt_get() { as_root apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -y "$@"; }

enable_security_suite() {
  say "LLVM 22 comes with Debian 12's security suite, which is not enabled here: adding $security_file"
  echo "$security_line" | as_root tee "$security_file" >/dev/null
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  is_debian_12 || die "these packages are missing and this is not Debian 12: ${missing[*]}" \
    "install them yourself, or work in a Debian 12 container; tools/dev doctor tells more"
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    die "packages are missing, and installing them needs root or sudo" "run as root: apt-get install ${missing[*]}"
  fi
  # sudo asks for a password here, in the open, and not behind a progress line.
  ((EUID == 0)) || as_root true || die "sudo refused" "run as root: apt-get install ${missing[*]}"
  step "reading the package lists" apt_get update ||
    die "apt-get update failed" "is there a network? tools/dev doctor looks"
  if ! have_candidate "${missing[0]}" && ! have_candidate clang-22; then
    enable_security_suite
    step "reading the package lists" apt_get update || die "apt-get update failed"
  fi
  # An installation that was killed leaves packages unpacked but not set up, and apt-get then refuses to go on.
  as_root dpkg --configure -a >/dev/null 2>&1 || true
  step "installing ${#missing[@]} Debian packages: ${missing[*]}" apt_get install --no-install-recommends "${missing[@]}" ||
    die "apt-get install failed" "tools/dev doctor looks for the cause"
}

# ensure_packages NAME...: locked only when something is missing.
ensure_packages() {
  command -v dpkg-query >/dev/null || die "dpkg-query is missing: this is not a Debian system" "use a Debian 12 container"
  [[ -z $(missing_packages "$@") ]] || with_lock "$cache/apt.lock" install_packages "$@"
}

venv_key() { printf '%s\n' "$@" | sha256sum | cut -d ' ' -f 1; }

venv_is_whole() { [[ -x $cache/$1/bin/python && $(cat "$cache/$1/.complete" 2>/dev/null) == "$2" ]]; }

make_venv() {
  local name="$1" key="$2" dir="$cache/$1"
  shift 2
  ! venv_is_whole "$name" "$key" || return 0
  rm -f "$dir/.complete"
  step "making the Python environment $dir" python3 -m venv --clear "$dir" ||
    die "cannot make the Python environment $dir" "is there room, and may you write there? VLMC_CACHE names another place"
  step "installing into it with pip: $*" "$dir/bin/python" -m pip install --disable-pip-version-check "$@" ||
    die "pip install failed" "is there a network? tools/dev doctor looks"
  # Written last: an environment without it was interrupted, and is made anew.
  echo "$key" >"$dir/.complete"
}

# ensure_venv NAME KEY PIP_ARGUMENT...: an environment of that name that holds what KEY stands for.
ensure_venv() {
  venv_is_whole "$1" "$2" || with_lock "$cache/$1.lock" make_venv "$@"
}

halide_key() { venv_key "$halide_requirement"; }
ptxas_key() { venv_key "$ptxas_requirement"; }
lint_key() { venv_key "$ruff_requirement"; }
peers_key() { venv_key "$(cat "$root/tools/bench/peers/requirements.txt")"; }
oracle_key() { venv_key "$(cat "$root/test/oracle/requirements.txt")"; }

# Only the wheel's C++ part is used, so its Python dependencies stay away.
ensure_halide() { ensure_venv halide "$(halide_key)" --no-deps "$halide_requirement"; }
# Where vlmc looks as well (codegen/cuda/Assemble.h). Only the program is used.
have_ptxas() { command -v ptxas >/dev/null || [[ -x /usr/local/cuda/bin/ptxas ]]; }
ensure_ptxas() { have_ptxas || ensure_venv cuda "$(ptxas_key)" --no-deps "$ptxas_requirement"; }
ensure_lint() { ensure_venv lint "$(lint_key)" "$ruff_requirement"; }
ensure_peers() { ensure_venv peers "$(peers_key)" -r "$root/tools/bench/peers/requirements.txt"; }
ensure_oracle() { ensure_venv oracle "$(oracle_key)" -r "$root/test/oracle/requirements.txt"; }

halide_root() {
  local dir
  for dir in "$cache"/halide/lib/python3*/site-packages/halide; do
    [[ -d $dir/include ]] && echo "$dir" && return 0
  done
  die "the Halide wheel in $cache/halide holds no include folder" "remove $cache/halide and run again"
}

# tools/dev doctor: what this machine lacks and how to mend it. It changes nothing.

# shellcheck shell=bash
readonly doctor_help="usage: tools/dev doctor
Looks at the system, processor, memory, disk, rights, packages, Python environments and network. Lines begin with
  ok     as it should be
  todo   missing; the tools/dev command that needs it installs it
  warn   may be in the way
  note   needed by one command only, which installs it
  bad    has to be mended by hand, as the indented line below says
and the exit status is 1 if any line is bad. Nothing is changed."
readonly need_memory_mib=3000 need_build_gib=4 need_packages_gib=5

bad=0
todo=0

ok() { printf '  ok    %s\n' "$1"; }
report() {
  local kind="$1" note
  printf '  %-5s %s\n' "$kind" "$2"
  shift 2
  for note in "$@"; do printf '          %s\n' "$note"; done
  case "$kind" in
  bad) bad=$((bad + 1)) ;;
  todo) todo=$((todo + 1)) ;;
  esac
}

check_system() {
  local name="an unknown system"
  # shellcheck disable=SC1091
  [[ -r /etc/os-release ]] && name="$(. /etc/os-release && echo "${PRETTY_NAME:-$ID}")"
  if is_debian_12; then
    ok "system: $name"
  elif [[ -z $(missing_packages "${build_packages[@]}" 2>/dev/null) ]] && command -v dpkg-query >/dev/null; then
    report warn "system: $name, not Debian 12; the packages of the same names are there" "only Debian 12 is tested"
  else
    report bad "system: $name; expected Debian 12" \
      "work in a container: docker run --rm -it -v \"\$PWD\":/vlmc -w /vlmc debian:12 tools/dev demo" \
      "or install LLVM, MLIR, Clang and LLD 22.1 and the other packages under the same names yourself"
  fi
}

check_processor() {
  local machine flags flag missing=()
  machine="$(uname -m)"
  if [[ $machine != x86_64 ]]; then
    report bad "processor: $machine; expected x86_64" "vlmc compiles for x86-64-v3 only, so far"
    return
  fi
  flags=" $(awk -F: '/^flags/ { print $2; exit }' /proc/cpuinfo) "
  for flag in avx2 bmi1 bmi2 f16c fma movbe; do
    [[ $flags == *" $flag "* ]] || missing+=("$flag")
  done
  if ((${#missing[@]})); then
    report bad "processor: x86_64 without ${missing[*]}; expected x86-64-v3" \
      "compiled models would not run here; take a machine from 2013 or later (in a virtual machine: pass the host's model on)"
  else
    ok "processor: x86-64-v3, $(nproc) cores"
  fi
}

check_memory() {
  local mib
  mib="$(memory_mib)"
  if ((mib < need_memory_mib)); then
    report bad "memory: $mib MiB; a build needs $need_memory_mib MiB" \
      "close other programs, raise the container's limit, or add a swap file and run with --jobs 1"
  else
    ok "memory: $mib MiB, so $(default_jobs) files are compiled at a time"
  fi
}

# check_disk WHAT PATH GIB
check_disk() {
  local what="$1" path="$2" need="$3" free
  while [[ ! -d $path ]]; do path="$(dirname "$path")"; done
  free="$(df -P -k "$path" | awk 'NR == 2 { print int($4 / 1048576) }')"
  if ((free < need)); then
    report bad "disk: $free GiB free at $path for $what; $need GiB are needed" "make room there, or move the $what elsewhere$4"
  else
    ok "disk: $free GiB free at $path for $what"
  fi
}

check_disks() {
  check_disk "the build folder" "$root/build" "$need_build_gib" ""
  if [[ -n $(missing_packages "${build_packages[@]}" "${lint_packages[@]}") ]]; then
    check_disk "Debian packages" /usr "$need_packages_gib" ""
  fi
  venv_is_whole halide "$(halide_key)" || check_disk "Python environments" "$cache" 1 " with VLMC_CACHE"
}

check_writable() {
  local path
  for path in "$root" "$cache"; do
    while [[ ! -d $path ]]; do path="$(dirname "$path")"; done
    [[ -w $path ]] || report bad "folder: $path cannot be written by $(id -un)" \
      "change its owner, or (for the cache) set VLMC_CACHE to a folder of yours"
  done
}

check_rights() {
  if ((EUID == 0)); then
    ok "rights: root"
  elif command -v sudo >/dev/null; then
    ok "rights: $(id -un) with sudo"
  elif ((${#missing[@]})); then
    report bad "rights: neither root nor sudo, and packages are missing" \
      "as root: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  else
    ok "rights: none needed, all packages are there"
  fi
}

# check_packages WHAT NAME...
check_packages() {
  local what="$1" lacking
  shift
  mapfile -t lacking < <(missing_packages "$@")
  if ((${#lacking[@]} == 0)); then
    ok "packages: all $# for $what"
  else
    report todo "packages: ${#lacking[@]} of $# for $what missing: ${lacking[*]}" \
      "tools/dev installs them, or: apt-get install --no-install-recommends ${lacking[*]}"
  fi
}

check_llvm() {
  local version
  version="$(dpkg-query -W -f='${Version}' libmlir-22-dev 2>/dev/null || true)"
  if [[ -n $version ]]; then
    [[ $version == *22.1.* ]] && ok "llvm: $version" && return
    report bad "llvm: libmlir-22-dev is $version; expected 22.1" "apt-get update && apt-get install libmlir-22-dev"
  elif have_candidate libmlir-22-dev; then
    ok "llvm: the package lists have it ($(LC_ALL=C apt-cache policy libmlir-22-dev | awk '/Candidate:/ { print $2 }'))"
  elif is_debian_12; then
    report todo "llvm: the package lists have no libmlir-22-dev" \
      "LLVM 22 comes with Debian 12's security suite. tools/dev enables it; by hand, as root:" \
      "echo '$security_line' > $security_file && apt-get update"
  else
    report bad "llvm: no package libmlir-22-dev" "Debian 12's security suite has it"
  fi
}

# check_venv NAME KEY WHAT
check_venv() {
  if venv_is_whole "$1" "$2"; then
    ok "python: $3 in $cache/$1"
  elif [[ -d $cache/$1 ]]; then
    report todo "python: $cache/$1 is old or was interrupted; $3 will be installed anew"
  else
    report todo "python: $3 is not installed in $cache/$1"
  fi
}

# reaches HOST PORT: can a connection be opened?
reaches() { timeout 5 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }

# check_host WHAT HOST PORT
check_host() {
  if reaches "$2" "$3"; then
    ok "network: $2 ($1)"
  elif ((todo)); then
    report bad "network: no connection to $2 port $3 ($1), and something is still to be installed" \
      "check cable, DNS (/etc/resolv.conf) and firewall; behind a proxy set http_proxy and https_proxy"
  else
    report warn "network: no connection to $2 port $3 ($1); nothing is left to install, so none is needed"
  fi
}

host_of() { sed -E 's,^[a-z]+://([^/@]*@)?([^/:]+).*,\2,' <<<"$1"; }
port_of() {
  local port
  port="$(sed -nE 's,^[a-z]+://([^/@]*@)?[^/:]+:([0-9]+).*,\2,p' <<<"$1")"
  [[ -n $port ]] || { [[ $1 == https:* ]] && port=443 || port=80; }
  echo "$port"
}

check_network() {
  local proxy="${https_proxy:-${HTTPS_PROXY:-${http_proxy:-${HTTP_PROXY:-}}}}" site index
  if [[ -n $proxy ]]; then
    check_host "the proxy" "$(host_of "$proxy")" "$(port_of "$proxy")"
    return
  fi
  site="$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 ^http || true)"
  site="${site:-http://deb.debian.org/debian}"
  check_host "Debian packages" "$(host_of "$site")" "$(port_of "$site")"
  index="${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}"
  index="${index:-https://pypi.org/simple}"
  check_host "Python packages" "$(host_of "$index")" "$(port_of "$index")"
}

run_doctor() {
  parse_options "$doctor_help" "$@"
  no_more_arguments
  local missing
  mapfile -t missing < <(missing_packages "${build_packages[@]}")
  check_system
  check_processor
  check_memory
  check_disks
  check_writable
  check_rights
  check_packages "build and test" "${build_packages[@]}"
  check_packages "lint and format" "${lint_packages[@]}"
  check_llvm
  check_venv halide "$(halide_key)" "Halide"
  have_ptxas || check_venv cuda "$(ptxas_key)" "ptxas"
  check_venv lint "$(lint_key)" "ruff"
  venv_is_whole oracle "$(oracle_key)" || report note "python: torch and transformers are not installed; only tools/dev oracle needs them"
  check_network
  if ((bad)); then
    echo "$bad to be mended by hand" && exit 1
  elif ((todo)); then
    echo "nothing to be mended by hand; tools/dev build installs what is missing"
  else
    echo "all is there"
  fi
}

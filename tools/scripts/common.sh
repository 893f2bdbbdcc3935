# Shared by the commands of tools/dev: messages, options, long steps with progress, locks.

# shellcheck shell=bash
cache="${VLMC_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/vlmc}"
preset=release
jobs="${VLMC_JOBS:-}"
rest=()

say() { echo "vlmc: $*" >&2; }

die() {
  echo "vlmc: error: $1" >&2
  shift
  local note
  for note in "$@"; do echo "vlmc: note: $note" >&2; done
  exit 1
}

usage_error() {
  echo "tools/dev: $*" >&2
  exit 2
}

# Takes --preset, --jobs and --help out of the arguments; what is left is in `rest`. $1 is the text of --help.
parse_options() {
  local help="$1"
  shift
  while (($#)); do
    case "$1" in
    --help | -h)
      printf '%s\n' "$help"
      exit 0
      ;;
    --preset | --jobs)
      (($# > 1)) || usage_error "$1 needs a value"
      [[ $1 == --preset ]] && preset="$2" || jobs="$2"
      shift
      ;;
    --preset=*) preset="${1#*=}" ;;
    --jobs=*) jobs="${1#*=}" ;;
    *) rest+=("$1") ;;
    esac
    shift
  done
  [[ $preset == release || $preset == dev ]] || usage_error "--preset is 'release' or 'dev', found '$preset'"
  [[ -z $jobs || $jobs =~ ^[1-9][0-9]*$ ]] || usage_error "--jobs takes a positive number, found '$jobs'"
  [[ -n $jobs ]] || jobs="$(default_jobs)"
}

no_more_arguments() {
  ((${#rest[@]} == 0)) || usage_error "unexpected argument '${rest[0]}'"
}

# MiB of memory that can be used, the limit of the control group included.
memory_mib() {
  local total limit file
  total=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
  for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    limit=$(cat "$file" 2>/dev/null || true)
    if [[ $limit =~ ^[0-9]{1,15}$ ]] && ((limit / 1048576 < total)); then
      total=$((limit / 1048576))
    fi
  done
  echo "$total"
}

# A file with the MLIR headers takes up to 1.5 GiB to compile.
default_jobs() {
  local cores by_memory
  cores=$(nproc)
  by_memory=$(($(memory_mib) / 1536))
  ((by_memory >= 1)) || by_memory=1
  echo $((by_memory < cores ? by_memory : cores))
}

last_line() { tail -n 1 "$1" | tr -d '\r\033'; }

# step TEXT COMMAND...: runs a long command, its output in a log file; shows the seconds gone by on a terminal, a line
# each half minute elsewhere; on failure prints the end of the log.
step() {
  local text="$1" log pid start=$SECONDS told=0 seconds status=0
  shift
  log="$(mktemp "${TMPDIR:-/tmp}/vlmc-step.XXXXXX")"
  say "$text"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  # A background command of a script ignores the interrupt key, so hand it on.
  # shellcheck disable=SC2064
  trap "kill -TERM $pid 2>/dev/null || true; rm -f '$log'; exit 130" INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    seconds=$((SECONDS - start))
    if [[ -t 2 ]]; then
      printf '\r\033[K  %3d s  %.100s' "$seconds" "$(last_line "$log")" >&2
    elif ((seconds / 30 > told)); then
      told=$((seconds / 30))
      printf '  %3d s  %.100s\n' "$seconds" "$(last_line "$log")" >&2
    fi
  done
  trap - INT TERM
  [[ -t 2 ]] && printf '\r\033[K' >&2
  wait "$pid" || status=$?
  if ((status)); then
    say "failed after $((SECONDS - start)) s; the end of its output:"
    tail -n 40 "$log" >&2
  fi
  rm -f "$log"
  return "$status"
}

# with_lock FILE COMMAND...: runs the command while no other process holds the lock. The descriptor closes with the
# subshell, so a killed run leaves no lock behind.
with_lock() {
  local file="$1"
  shift
  mkdir -p "$(dirname "$file")" || die "cannot make the folder $(dirname "$file")" "set VLMC_CACHE to a folder you may write"
  (
    if ! flock -n 9; then
      say "waiting for another tools/dev ($file)"
      flock 9
    fi
    "$@"
  ) 9>"$file"
}

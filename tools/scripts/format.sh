# tools/dev format: rewrite the sources in the house style.

# shellcheck shell=bash
readonly format_help="usage: tools/dev format [FILE...]
Runs clang-format on C, C++ and .proto files and ruff on Python files: all of the tree, or the files named."

# source_files PATTERN...: the files of the tree, zero-separated: those git knows or would add, else all outside build/.
source_files() {
  if [[ -e $root/.git ]] && command -v git >/dev/null && git -C "$root" rev-parse --git-dir >/dev/null 2>&1; then
    git -C "$root" ls-files -z --cached --others --exclude-standard --deduplicate -- "$@" |
      while IFS= read -r -d '' file; do [[ ! -f $root/$file ]] || printf '%s\0' "$file"; done
  else
    local arguments=() pattern
    for pattern in "$@"; do arguments+=(-o -name "$pattern"); done
    (cd "$root" && find . -path ./build -prune -o -path ./.git -prune -o -type f \( "${arguments[@]:1}" \) -printf '%P\0')
  fi
}

readonly c_patterns=('*.c' '*.cpp' '*.h' '*.proto')

prepare_format() {
  ensure_packages "${lint_packages[@]}"
  ensure_lint
}

run_format() {
  parse_options "$format_help" "$@"
  prepare_format
  cd "$root"
  local ruff="$cache/lint/bin/ruff" c_files python_files=(.)
  if ((${#rest[@]})); then
    mapfile -d '' -t c_files < <(printf '%s\0' "${rest[@]}" | grep -zE '\.(c|cpp|h|proto)$')
    mapfile -d '' -t python_files < <(printf '%s\0' "${rest[@]}" | grep -zE '\.py$')
  else
    mapfile -d '' -t c_files < <(source_files "${c_patterns[@]}")
  fi
  ((${#c_files[@]} == 0)) || clang-format-22 -i "${c_files[@]}"
  ((${#python_files[@]} == 0)) || { "$ruff" check --quiet --fix "${python_files[@]}" || true; }
  ((${#python_files[@]} == 0)) || "$ruff" format --quiet "${python_files[@]}"
  say "formatted ${#c_files[@]} C, C++ and .proto files and the Python files"
}

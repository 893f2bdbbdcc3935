# tools/dev oracle: make the goldens anew with an independent implementation and compare them with the committed ones.

# shellcheck shell=bash
readonly oracle_help="usage: tools/dev oracle [--write]
Runs test/oracle/make_all.py into a temporary folder and compares its files, byte for byte, with test/e2e/goldens.
--write replaces the committed files. Not needed to build or to test; installs torch and transformers (some GiB)."

run_oracle() {
  parse_options "$oracle_help" "$@"
  local write=() made
  if [[ ${rest[*]} == --write ]]; then
    write=(--write)
  elif ((${#rest[@]})); then
    usage_error "unexpected argument '${rest[0]}'"
  fi
  ensure_packages "${oracle_packages[@]}"
  ensure_oracle
  made="$(mktemp -d "${TMPDIR:-/tmp}/vlmc-oracle.XXXXXX")"
  # shellcheck disable=SC2064
  trap "rm -rf '$made'" EXIT
  say "making the goldens"
  "$cache/oracle/bin/python" "$root/test/oracle/make_all.py" --out "$made"
  python3 "$scripts/compare_goldens.py" "${write[@]}" "$made" "$root/test/e2e/goldens"
}

# Sourced by the acceptance scripts: verdict lines, figures, and the few tools that several need.
# A script's header says what it claims and `# speed: fast` (part of .ci/run) or `# speed: slow`.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
BUILD=${BUILD:-$ROOT/build}
SCRATCH=${SCRATCH:-$BUILD/acceptance}
LARDER=${LARDER:-$BUILD/larder}
TESTDATA=${TESTDATA:-$ROOT/../shared/testdata}
# What runs remember stays out of the user's own cache folder.
export XDG_CACHE_HOME=$SCRATCH/cache
mkdir -p "$SCRATCH"

VERDICT=0
pass() { echo "PASS $*"; }
fail() { echo "FAIL $*"; VERDICT=1; }
skip() { echo "SKIP $*"; }
finish() { exit $VERDICT; }

# verdict NAME FIGURE OPERATOR BAR [UNIT]: compares numbers (<, <=, >=, ==) and prints the line.
verdict() {
  local name=$1 figure=$2 operator=$3 bar=$4 unit=${5:-}
  if [[ -n "$figure" ]] && awk -v a="$figure" -v b="$bar" \
      "BEGIN { exit !(a == a + 0 && a + 0 $operator b + 0) }"; then
    pass "$name: $figure $unit (bar $operator $bar)"
  else
    fail "$name: ${figure:-no figure} $unit (bar $operator $bar)"
  fi
}

need_program() {
  [[ -x "$1" ]] && return 0
  fail "$1 is not built (make)"
  finish
}

# gtest_figures PROGRAM FILTER: runs tests and checks each "figure: NAME VALUE OP BAR [UNIT]" line
# that they print; a run without any test, or with a failure, is a FAIL.
gtest_figures() {
  local program=$BUILD/$1 filter=$2 log=$SCRATCH/$1.log rc=0
  if [[ ! -x "$program" ]]; then fail "$1 is not built (make)"; return 0; fi
  "$program" --gtest_filter="$filter" >"$log" 2>&1 || rc=$?
  local n_passed n_skipped
  n_passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests*\.*$/\1/p' "$log" | tail -1)
  n_skipped=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) tests*, .*/\1/p' "$log" | tail -1)
  local line name value operator bar unit
  while read -r line; do
    read -r _ name value operator bar unit <<<"$line"
    verdict "$name" "$value" "$operator" "$bar" "$unit"
  done < <(grep '^figure: ' "$log" || true)
  if [[ $rc -ne 0 ]]; then
    fail "$1 $filter: $(grep -c '^\[  FAILED  \]' "$log" || true) failures, log $log"
  elif [[ "${n_passed:-0}" -eq 0 && "${n_skipped:-0}" -gt 0 ]]; then
    skip "$1 $filter: all $n_skipped tests were skipped"
  elif [[ "${n_passed:-0}" -eq 0 ]]; then
    fail "$1 $filter: there is no such test"
  else
    pass "$1 $filter: ${n_passed:-0} tests passed, ${n_skipped:-0} skipped (bar: 0 failures)"
  fi
}

# json_number FILE KEY: the first number of that key anywhere in a JSON document.
json_number() {
  grep -o "\"$2\"[[:space:]]*:[[:space:]]*-\?[0-9][0-9.eE+-]*" "$1" | head -1 | sed 's/.*:[[:space:]]*//' || true
}

# smallest_budget MODEL [OPTIONS of `larder logits`]: what Larder itself names when the budget is
# too small, ready to paste.
smallest_budget() {
  local model=$1
  shift
  { "$LARDER" logits -m "$model" "$@" --memory 1K --json 2>&1 >/dev/null || true; } \
    | grep -o -E '[0-9]+(\.[0-9]+)?[KMG]\b' | tail -1
}

drop_from_page_cache() { dd of="$1" oflag=nocache conv=notrunc,fdatasync count=0 status=none; }

page_cache_bytes() { fincore --bytes --noheadings --output RES "$1" | tr -d ' '; }

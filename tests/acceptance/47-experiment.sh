#!/usr/bin/env bash
# scripts/experiment with programs that are made up, so that nothing is built: one at a time, a log that is written before any run,
# and a line for a branch that does not run.
# speed: fast
. "$(dirname "$0")/lib.sh"
work=$SCRATCH/experiment
rm -rf "$work"
mkdir -p "$work/bin" "$work/tree/scripts"
# The build copies the branch's own program.
cat >"$work/bin/cmake" <<'END'
#!/usr/bin/env bash
if [[ $1 == -S ]]; then
  mkdir -p "$4"
  cp "$2/larder" "$4/larder"
  printf '#!/bin/sh\n' >"$4/exactness_test"
  chmod +x "$4/exactness_test"
fi
END
chmod +x "$work/bin/cmake"
cp "$ROOT/scripts/experiment" "$work/tree/scripts/"
cd "$work/tree"
export PATH=$work/bin:$PATH GIT_CONFIG_GLOBAL=/dev/null MODEL=$ROOT/README.md PAIRS=2 JOBS=1 LOG=$work/log.tsv
git() { command git -c user.name=test -c user.email=test -c init.defaultBranch=main "$@"; }
commit() {  # commit BRANCH PROGRAM
  git checkout -q -B "$1"
  printf '#!/bin/sh\n%s\n' "$2" >larder
  chmod +x larder
  git add .
  git commit -q -m "$1"
}
figures='echo "\"hash\": 1"; echo "\"decode_tokens_per_second\": 10,"; echo "\"prefill_tokens_per_second\": 10"'
git init -q
commit main "$figures"
commit same "$figures # as fast"
commit crash 'echo gone >&2; exit 139'
: >"$LOG"
verdicts() { awk -F'\t' -v b="$1" '$2 == b { print $9 }' "$LOG"; }

rc=0
scripts/experiment crash main >"$work/out" 2>"$work/err" || rc=$?
verdict "exit status for a branch that crashes" "$rc" == 1
[[ $(verdicts crash) == "does not run" ]] && pass "its line: does not run" || fail "its line: '$(verdicts crash)'"
rc=0
LOG=$work/nowhere/log.tsv scripts/experiment same main >"$work/out" 2>"$work/err" || rc=$?
verdict "exit status for a log that cannot be written" "$rc" == 2
verdict "sentences that say so" "$(grep -c 'the log .*nowhere/log.tsv cannot be written' "$work/err" || true)" == 1
rc=0
flock build/experiment/lock scripts/experiment same main >"$work/out" 2>"$work/err" || rc=$?
verdict "exit status beside another experiment" "$rc" == 2
verdict "sentences that say so" "$(grep -c 'another experiment runs in ' "$work/err" || true)" == 1
verdict "lines of the log from these two" "$(verdicts same | wc -l)" == 0
scripts/experiment same main >"$work/out" 2>"$work/err" || fail "an experiment ended with $?: $(tail -n 1 "$work/err")"
[[ $(verdicts same) == no-difference ]] && pass "a branch as fast as its base: no-difference" || fail "a branch as fast as its base: '$(verdicts same)'"
finish

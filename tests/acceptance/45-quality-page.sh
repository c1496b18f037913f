#!/usr/bin/env bash
# The quality page's rows from the shipped file come out the same again (tools/demo/quality.py --check), in ten minutes.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
start=$SECONDS rc=0
python3 "$ROOT/tools/demo/quality.py" --larder "$LARDER" --check >"$SCRATCH/quality.txt" 2>"$SCRATCH/quality.err" || rc=$?
tail -n 5 "$SCRATCH/quality.txt"
verdict "figures of the page that differ" "$(sed -n 's/.*measured again, \([0-9]*\) figures differ/\1/p' "$SCRATCH/quality.txt")" == 0
verdict "time" $((SECONDS - start)) '<' 600 s
[[ $rc -eq 0 ]] || fail "quality.py --check ended with $rc"
finish

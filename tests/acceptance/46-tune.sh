#!/usr/bin/env bash
# `larder tune` on the 20 GB model at 8G: at least 10 experiments in MINUTES (15), interrupted by Ctrl-C once and gone on with, its
# profile at least as fast as the defaults in PAIRS (10) alternating pairs.
# speed: slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/big.sh"
need_big
XDG_CACHE_HOME=$SCRATCH/tune-cache
export XDG_CACHE_HOME
rm -rf "$XDG_CACHE_HOME"
minutes=${MINUTES:-15}
tune=("$LARDER" tune -m "$BIG" --memory 8G --workload mid --log "$SCRATCH/tune.tsv")
tries() { awk 'NR > 1' "$SCRATCH/tune.tsv" | grep -c . || true; }
rm -f "$SCRATCH/tune.tsv"
rc=0
timeout -s INT $((minutes * 30)) "${tune[@]}" --minutes "$minutes" 2>"$SCRATCH/tune.err" || rc=$?
verdict "exit status after Ctrl-C" "$rc" == 124
before=$(tries)
"${tune[@]}" --minutes "$(awk -v m="$minutes" 'BEGIN { print m / 2 }')" --verify "${PAIRS:-10}" >"$SCRATCH/tune.txt" 2>>"$SCRATCH/tune.err"
cat "$SCRATCH/tune.txt"
verdict "experiments before Ctrl-C and in all ($before, $(tries)) kept in the log" "$(awk -v a="$before" -v b="$(tries)" 'BEGIN { print b >= a }')" == 1
verdict "experiments" "$(tries)" '>=' 10
verdict "the profile's speed over the defaults'" "$(sed -n 's/.*, \([0-9.]*\) times the defaults.*/\1/p' "$SCRATCH/tune.txt")" '>=' 1
rm -rf "$XDG_CACHE_HOME"
finish

#!/usr/bin/env bash
# `larder tune` on the 20 GB model at 8G: at least 10 experiments in MINUTES (15), interrupted by Ctrl-C half-way and gone on with; its
# profile at least as fast as the defaults in PAIRS (10) alternating pairs of `larder bench`. About 40 minutes. MODEL and MEMORY name
# another model and budget, for a short try.
# speed: slow
. "$(dirname "$0")/lib.sh"
if [[ -n ${MODEL:-} ]]; then
  need_program "$LARDER"
  model=$MODEL
else
  . "$(dirname "$0")/big.sh"
  need_big
  model=$BIG
fi
XDG_CACHE_HOME=$SCRATCH/tune-cache
export XDG_CACHE_HOME
rm -rf "$XDG_CACHE_HOME"
minutes=${MINUTES:-15} pairs=${PAIRS:-10} memory=${MEMORY:-8G}
log=$SCRATCH/tune.tsv
half=$(awk -v m="$minutes" 'BEGIN { print m / 2 }')
tune=("$LARDER" tune -m "$model" --memory "$memory" --workload mid --log "$log" --minutes)
tries() { awk 'NR > 1 && NF' "$log" 2>/dev/null | wc -l; }
rm -f "$log"
rc=0
timeout --foreground -s INT "$(awk -v m="$half" 'BEGIN { print int(60 * m + 0.5) }')" "${tune[@]}" 1000 2>"$SCRATCH/tune.err" || rc=$?
verdict "exit status of timeout, which sent Ctrl-C" "$rc" == 124
verdict "notes that the log is kept" "$(grep -c 'experiments are kept in' "$SCRATCH/tune.err" || true)" == 1
before=$(tries)
cp "$log" "$log.before"
"${tune[@]}" "$half" >"$SCRATCH/tune.txt" 2>>"$SCRATCH/tune.err" || fail "tune ended with $?"
cat "$SCRATCH/tune.txt"
verdict "lines of the log that the second run changed" "$(head -n $((before + 1)) "$log" | cmp -s - "$log.before" && echo 0 || echo 1)" == 0
verdict "experiments, $before of them before Ctrl-C" "$(tries)" '>=' 10
verdict "experiments without a setting, a ratio or a reason" "$(awk -F'\t' 'NR > 1 && (NF != 8 || $2 == $3 || $7 == "")' "$log" | wc -l)" == 0

# exchange OPTIONS: seconds for 64 tokens of prompt and 32 of answer with the context of `larder run`, as tune measures them.
context=$("$LARDER" run -m "$model" --memory "$memory" --profile none -p x -n 1 2>&1 >"$SCRATCH/tune-answer" | sed -n 's/.*, context \([0-9]*\) .*/\1/p')
verdict "context of the experiments, that of a run" "$(awk -F'\t' 'NR == 2 { print $8 }' "$log" | sed -n 's/.*"ctx": *\([0-9]*\).*/\1/p')" == "$context"
exchange() {
  "$LARDER" bench -m "$model" --memory "$memory" --ctx "$context" --workload mid -p 64 -n 32 -r 1 -o json "$@" >"$SCRATCH/tune-bench.json" 2>"$SCRATCH/tune-bench.err"
  awk -v p="$(json_number "$SCRATCH/tune-bench.json" prefill_tokens_per_second)" \
    -v d="$(json_number "$SCRATCH/tune-bench.json" decode_tokens_per_second)" 'BEGIN { print 64 / p + 32 / d }'
}
exchange >/dev/null
if ! grep -q '^larder: profile of this model' "$SCRATCH/tune-bench.err"; then
  pass "the defaults are the best that tune found: there is nothing to compare (bar: not slower than the defaults)"
  rm -rf "$XDG_CACHE_HOME"
  finish
fi
grep '^larder: profile of this model' "$SCRATCH/tune-bench.err"
: >"$SCRATCH/tune-pairs"
for ((i = 0; i < pairs; ++i)); do
  if ((i % 2 == 0)); then
    profile=$(exchange) defaults=$(exchange --profile none)
  else
    defaults=$(exchange --profile none) profile=$(exchange)
  fi
  echo "$profile $defaults" >>"$SCRATCH/tune-pairs"
done
awk '{ printf "%s%.3f", (NR > 1 ? " " : "speed of the profile over the defaults, by pair: "), $2 / $1 } END { print "" }' "$SCRATCH/tune-pairs"
verdict "speed of the profile over the defaults', $pairs pairs" \
  "$(awk '{ s += log($2 / $1) } END { printf "%.4f", exp(s / NR) }' "$SCRATCH/tune-pairs")" '>=' 1
rm -rf "$XDG_CACHE_HOME"
finish

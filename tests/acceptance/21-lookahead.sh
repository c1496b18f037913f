#!/usr/bin/env bash
# Lookahead pays or stays out of the way: a 20 GB model in 8 GiB, pairs of answers with lookahead and
# without by turns, in EASY, MID and HARD at recall 0.75, at full speed and with the disk throttled to
# 0.5 GB/s. With the demo model's own router and a text as its tokens, recall and gain are printed.
# PAIRS, TOKENS and WORKLOADS shorten it.
# speed: slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/big.sh"

# The demo model, with slots for about a third of its experts.
demo=$ROOT/models/demo/larder-demo.gguf
if [[ -f "$demo" ]]; then
  ids=$SCRATCH/demo-tokens.txt
  "$LARDER" tokenize -m "$demo" - <"$ROOT/README.md" | tr -s ' \n' '\n\n' | sed -n '1,512p' >"$ids"
  smallest=$(numfmt --from=iec "$(smallest_budget "$demo" --tokens 1)")
  report=$SCRATCH/lookahead-demo.json
  "$LARDER" bench -m "$demo" --memory $((smallest + 2 * 1048576)) -p 0 -n 256 -r 3 --tokens "$ids" -o json >"$report"
  slots=$(sed -n 's/.*expert slots of [0-9]* (\([0-9.]*\) %.*/\1/p' "$report" | head -1)
  recall=$(json_number "$report" recall)
  "$LARDER" bench -m "$demo" --memory $((smallest + 2 * 1048576)) -p 0 -n 256 --pairs "${PAIRS:-10}" --tokens "$ids" \
    -o json >"$report"
  echo "demo model's own router, $slots % of the experts in slots: recall $recall, lookahead against none" \
    "$(json_number "$report" lookahead_ratio_median) times"
  verdict "demo model, recall of the next layer's router on this layer's state" "$recall" '>' 0
fi

need_big
make_group 8912056320

for speed in full throttled; do
  throttle=()
  [[ $speed == full ]] || throttle=(--io-throttle 500000000)
  for workload in ${WORKLOADS:-easy mid hard}; do
    report=$SCRATCH/lookahead-$workload-$speed.json
    grouped "$report" "$LARDER" bench -m "$BIG" --memory 8G -p 0 -n "${TOKENS:-32}" \
      --pairs "${PAIRS:-10}" --workload "$workload" --recall 0.75 "${throttle[@]}" -o json
    bar=0.98
    [[ $workload == mid && $speed == full ]] && bar=1.1
    verdict "$workload, $speed: lookahead against none, median of ${PAIRS:-10} pairs" \
      "$(json_number "$report" lookahead_ratio_median)" '>=' $bar times
  done
done
finish

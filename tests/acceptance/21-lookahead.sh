#!/usr/bin/env bash
# Lookahead pays or stays out of the way: a 20 GB model in 8 GiB, pairs of answers with lookahead and
# without by turns, in EASY, MID and HARD at recall 0.75, at full speed and with the disk throttled to
# 0.5 GB/s. PAIRS, TOKENS and WORKLOADS shorten it.
# speed: slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/big.sh"
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

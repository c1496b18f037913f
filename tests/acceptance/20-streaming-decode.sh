#!/usr/bin/env bash
# Decoding a 20 GB model in 8 GiB runs at the limit of disk and memory: 256 tokens from a cold start in
# a memory cgroup of 8.3 GiB, at full speed and with the disk throttled to 0.5 GB/s, beside the
# pipeline limit and the limit by bytes at the rate that fio measures on the same file, request size
# and depth in the same minutes; the hit rate beside that of replayed LRU with as many slots. The bars
# are MID's at recall 0.75; EASY and HARD are printed. WORKLOADS and TOKENS shorten it.
# speed: slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/big.sh"
need_big
need_program "$BUILD/cache_replay"
make_group 8912056320
TOKENS=${TOKENS:-256}
SLAB_BYTES=589824

for workload in ${WORKLOADS:-mid easy hard}; do
  for speed in full throttled; do
    drop_from_page_cache "$BIG"
    disk=$(fio_rate $SLAB_BYTES 3)
    huge=$(GLIBC_TUNABLES=glibc.malloc.hugetlb=1 fio_rate $SLAB_BYTES 3)
    throttle=()
    if [[ $speed == throttled ]]; then
      throttle=(--io-throttle 500000000)
      disk=$(at_most "$disk" 500000000)
      huge=$(at_most "$huge" 500000000)
    fi
    report=$SCRATCH/decode-$workload-$speed.json
    grouped "$report" "$LARDER" bench -m "$BIG" --memory 8G -p 0 -n "$TOKENS" -r 1 \
      --workload "$workload" --recall 0.75 --disk-rate "$disk" "${throttle[@]}" -o json
    number() { json_number "$report" "$1"; }
    rounded() { awk -v v="$(number "$1")" 'BEGIN { printf "%.3f", v }'; }
    echo "$workload, $speed speed: $(rounded decode_tokens_per_second) tokens/s;" \
      "$(awk -v b="$disk" 'BEGIN { printf "%.2f", b / 1e9 }') GB/s by fio" \
      "($(awk -v b="$huge" 'BEGIN { printf "%.2f", b / 1e9 }') with its buffers on huge pages), memory" \
      "$(awk -v b="$(number memory_bytes_per_second)" 'BEGIN { printf "%.1f", b / 1e9 }') GB/s;" \
      "share of the pipeline limit $(rounded decode_share_of_pipeline), of the limit by bytes" \
      "$(rounded decode_share_of_limit) (at the $(awk -v a="$(number disk_bytes_per_second_before)" \
        -v b="$(number disk_bytes_per_second_after)" 'BEGIN { printf "%.2f", (a + b) / 2e9 }') GB/s of Larder's" \
      "own probe $(rounded decode_share_of_pipeline_probed) and $(rounded decode_share_of_limit_probed)); hits $(rounded decode_hit_rate); recall $(rounded recall)," \
      "read ahead useful $(number useful_bytes) and wasted $(number wasted_bytes) bytes"
    slots=$(sed -n 's/.* \([0-9]*\) expert slots of \([0-9]*\) .*/\1 \2/p' "$report" | head -1)
    lru=$("$BUILD/cache_replay" --workload "$workload" --tokens "$TOKENS" \
      --slots "$(awk -v s="$slots" 'BEGIN { split(s, n, " "); printf "%.3f", 100 * n[1] / n[2] }')" \
      | awk '$1 == "slots_%" { for (i = 1; i <= NF; i++) if ($i == "lru") at = NF - i; next }
             $1 + 0 > 0 { print $(NF - at) + 0; exit }')
    verdict "$workload, $speed: hit rate less that of replayed LRU" \
      "$(awk -v a="$(number decode_hit_rate)" -v b="$lru" 'BEGIN { printf "%.2f", 100 * a - b }')" \
      '>=' -0.5 points
    verdict "$workload, $speed: peak resident memory" \
      "$(awk -v b="$(number peak_resident_bytes)" 'BEGIN { printf "%.3f", b / 1073741824 }')" '<=' 8.16 GiB
    verdict "$workload, $speed: cache policy, share of the time" \
      "$(awk -v p="$(number policy_s)" -v r="$(number decode_tokens_per_second)" -v n="$TOKENS" \
        'BEGIN { printf "%.3f", 100 * p * r / n }')" '<=' 1 %
    [[ $workload == mid ]] || continue
    verdict "$workload, $speed: decode, share of the pipeline limit" "$(rounded decode_share_of_pipeline)" '>=' 0.9
    verdict "$workload, $speed: decode, share of the limit by bytes" "$(rounded decode_share_of_limit)" \
      '>=' "$([[ $speed == full ]] && echo 0.55 || echo 0.75)"
  done
done
finish

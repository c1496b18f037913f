#!/usr/bin/env bash
# A 20 GB model in a memory cgroup of 8.3 GiB: made in under 4 minutes; peak resident memory, page
# cache left behind, decode and prefill rates; experts that its own router uses; `inspect`, cold.
# Needs root (memory cgroup v1 or v2, dropping the page cache), fincore, and 25 GB below SCRATCH.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
MODEL=$SCRATCH/big.gguf
LIMIT_BYTES=8912056320  # 8.3 GiB
GROUP=larder-acceptance-$$

cleanup() {
  [[ "${KEEP_BIG:-0}" == 1 ]] || rm -f "$MODEL" "$MODEL.tmp"
  local folder
  for folder in /sys/fs/cgroup/memory/$GROUP /sys/fs/cgroup/$GROUP; do
    [[ ! -d "$folder" ]] || rmdir "$folder" 2>/dev/null || true
  done
}
trap cleanup EXIT

# Prints the file of a fresh group that processes are written to; fails when there can be none.
make_group() {
  if [[ $(id -u) -ne 0 ]]; then return 1; fi
  if [[ -f /sys/fs/cgroup/memory/memory.limit_in_bytes ]]; then
    mkdir "/sys/fs/cgroup/memory/$GROUP" || return 1
    echo "$LIMIT_BYTES" >"/sys/fs/cgroup/memory/$GROUP/memory.limit_in_bytes"
    echo "/sys/fs/cgroup/memory/$GROUP/cgroup.procs"
  elif grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
    grep -qw memory /sys/fs/cgroup/cgroup.subtree_control \
      || echo +memory >/sys/fs/cgroup/cgroup.subtree_control || return 1
    mkdir "/sys/fs/cgroup/$GROUP" || return 1
    echo "$LIMIT_BYTES" >"/sys/fs/cgroup/$GROUP/memory.max"
    echo 0 >"/sys/fs/cgroup/$GROUP/memory.swap.max" 2>/dev/null || true
    echo "/sys/fs/cgroup/$GROUP/cgroup.procs"
  else
    return 1
  fi
}

free_kib=$(df -k --output=avail "$SCRATCH" | tail -1)
if [[ ! -f "$MODEL" && $free_kib -lt $((25 * 1024 * 1024)) ]]; then
  skip "large model: $SCRATCH has $((free_kib / 1048576)) GB free, 25 are needed"
  finish
fi
if ! procs=$(make_group 2>/dev/null); then
  skip "large model: no memory cgroup can be made here (root, cgroup v1 or v2)"
  finish
fi

if [[ ! -f "$MODEL" ]]; then
  start=$(date +%s.%N)
  "$LARDER" synth --shape qwen3.5-35b-a3b -o "$MODEL" >&2
  verdict "synth of $(du -h --apparent-size "$MODEL" | cut -f1)" \
    "$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.0f", b - a }')" '<' 240 s
fi

drop_from_page_cache "$MODEL"
start=$(date +%s.%N)
"$LARDER" inspect "$MODEL" >"$SCRATCH/inspect.txt"
verdict "inspect, cold" "$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.3f", b - a }')" '<' 0.5 s

drop_from_page_cache "$MODEL"
report=$SCRATCH/bench.json
(
  echo $BASHPID >"$procs"
  exec "$LARDER" bench -m "$MODEL" --memory 8G -p 60 -n 64 -r 1 -o json
) >"$report" &
bench=$!
# The kernel's own high-water mark, looked at from outside until the process is gone.
peak_kib=0
while kill -0 $bench 2>/dev/null; do
  seen=$(awk '/^VmHWM:/ { print $2 }' "/proc/$bench/status" 2>/dev/null || true)
  [[ "${seen:-0}" -le "$peak_kib" ]] || peak_kib=$seen
  sleep 0.2
done
wait $bench || fail "bench ended with $?"
cat "$report" >&2

verdict "peak resident memory" "$(awk -v k="$peak_kib" 'BEGIN { printf "%.3f", k / 1048576 }')" '<=' 8.16 GiB
dense=$(json_number "$report" dense_bytes)
cached=$(page_cache_bytes "$MODEL")
verdict "page cache of the file left behind" "$((cached / 1048576))" '<' \
  "$(((${dense:-0} + 67108864) / 1048576))" "MiB (dense part plus 64)"
verdict "decode" "$(json_number "$report" decode_tokens_per_second)" '>=' 2.0 tokens/s
verdict "prefill, share of what the disk allows" "$(json_number "$report" prefill_share_of_disk)" '>=' 0.70
verdict "experts used per layer over 64 tokens, least" "$(json_number "$report" experts_used_per_layer_min)" '>=' 200
finish

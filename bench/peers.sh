#!/usr/bin/env bash
# Compares larder with a llama-bench binary of your own (llama.cpp or a fork of it) on the same file,
# memory cap and tokens. The two take turns; the median of the ratios counts. Builds nothing.
#
#   bench/peers.sh --peer PATH/llama-bench -m model.gguf [--memory 8G] [-p 512] [-n 64] [-t THREADS]
#                  [-r ROUNDS] [--larder PATH] [--peer-args "-fa 1 ..."] [--larder-args "..."]
#
# --memory: larder's budget, and a memory cgroup (v1 or v2, root needed) for both, 4 % larger; without
# the right to make one the peer runs uncapped, which is said. Without --memory neither is capped.
# -r 3 rounds; each runs either program once: prompt and answer after a warm-up of the same length.
# Output: a line per round, then "ratio NAME MEDIAN (LEAST to MOST)"; above 1 larder is faster.
set -euo pipefail

usage() { sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//'; }
die() { echo "peers.sh: $*" >&2; exit 2; }

peer='' model='' memory='' prompt=512 answer=64 rounds=3 peer_args='' larder_args=''
threads=$(nproc)
larder=$(cd "$(dirname "$0")/.." && pwd)/build/larder
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h|--help) usage; exit 0 ;;
    --peer|-m|--model|--memory|-p|-n|-t|-r|--larder|--peer-args|--larder-args)
      [[ $# -ge 2 ]] || die "$1 needs a value" ;;
    *) die "unknown option '$1'; --help shows them" ;;
  esac
  case "$1" in
    --peer) peer=$2 ;;
    -m|--model) model=$2 ;;
    --memory) memory=$2 ;;
    -p) prompt=$2 ;;
    -n) answer=$2 ;;
    -t) threads=$2 ;;
    -r) rounds=$2 ;;
    --larder) larder=$2 ;;
    --peer-args) peer_args=$2 ;;
    --larder-args) larder_args=$2 ;;
  esac
  shift 2
done
for number in "$prompt" "$answer" "$threads" "$rounds"; do
  [[ "$number" =~ ^[0-9]+$ ]] || die "'$number' is no whole number"
done
[[ "$rounds" -ge 1 && "$threads" -ge 1 ]] || die "-r and -t must be at least 1"
[[ -x "$peer" ]] || die "--peer must name a llama-bench program"
[[ -x "$larder" ]] || die "$larder is not there; build it (make) or give --larder"
[[ -f "$model" ]] || die "-m must name a GGUF file"

# Bytes of a size such as 8G.
bytes_of() {
  awk -v s="$1" 'BEGIN {
    n = s + 0; u = toupper(substr(s, length(s)));
    print int(n * (u == "K" ? 1024 : u == "M" ? 1048576 : u == "G" ? 1073741824 : 1)) }'
}

group=larder-peers-$$
procs=''
cleanup() {
  local folder
  for folder in /sys/fs/cgroup/memory/$group /sys/fs/cgroup/$group; do
    [[ ! -d "$folder" ]] || rmdir "$folder" 2>/dev/null || true
  done
}
trap cleanup EXIT
make_group() {
  local limit=$1
  if [[ -f /sys/fs/cgroup/memory/memory.limit_in_bytes ]]; then
    mkdir "/sys/fs/cgroup/memory/$group" || return 1
    echo "$limit" >"/sys/fs/cgroup/memory/$group/memory.limit_in_bytes" || return 1
    procs=/sys/fs/cgroup/memory/$group/cgroup.procs
  elif grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
    grep -qw memory /sys/fs/cgroup/cgroup.subtree_control \
      || echo +memory >/sys/fs/cgroup/cgroup.subtree_control || return 1
    mkdir "/sys/fs/cgroup/$group" || return 1
    echo "$limit" >"/sys/fs/cgroup/$group/memory.max" || return 1
    echo 0 >"/sys/fs/cgroup/$group/memory.swap.max" 2>/dev/null || true
    procs=/sys/fs/cgroup/$group/cgroup.procs
  else
    return 1
  fi
}
if [[ -n "$memory" ]]; then
  make_group "$(($(bytes_of "$memory") / 100 * 104))" 2>/dev/null \
    || echo "peers.sh: no memory cgroup can be made here: the peer runs without a cap" >&2
fi
capped() { ( [[ -z "$procs" ]] || echo $BASHPID >"$procs"; exec "$@" ); }

log=$(mktemp -d)
# The tokens/s of a test, from the last row of a Markdown table that names it.
larder_rate() { awk -F'|' -v t="$1" '{ gsub(/ /, "", $2) } $2 == t { r = $5 + 0 } END { print r + 0 }' "$2"; }
peer_rate() {
  awk -F'|' -v t="$1" '{ for (i = 2; i < NF; ++i) { f = $i; gsub(/ /, "", f); if (f == t) r = $(NF - 1) + 0 } }
    END { print r + 0 }' "$2"
}

run_larder() {
  # The first repetition reads the experts and warms up, as the peer does untimed; the last counts.
  # shellcheck disable=SC2086
  capped "$larder" bench -m "$model" ${memory:+--memory "$memory"} --threads "$threads" \
    -p "$prompt" -n "$answer" -r 2 -o md $larder_args >"$log/larder" 2>"$log/larder.err" \
    || { tail -n 3 "$log/larder.err" >&2; die "larder failed"; }
}
run_peer() {
  # shellcheck disable=SC2086
  capped "$peer" -m "$model" -t "$threads" -p "$prompt" -n "$answer" -r 1 -o md $peer_args \
    >"$log/peer" 2>"$log/peer.err" || { tail -n 3 "$log/peer.err" >&2; die "the peer failed"; }
}

tests=()
[[ "$prompt" -eq 0 ]] || tests+=("pp$prompt")
[[ "$answer" -eq 0 ]] || tests+=("tg$answer")
: >"$log/ratios"
for ((round = 1; round <= rounds; ++round)); do
  # Who goes first changes too: disks and hosts drift.
  if ((round % 2)); then run_larder; run_peer; else run_peer; run_larder; fi
  for name in "${tests[@]}"; do
    ours=$(larder_rate "$name" "$log/larder")
    theirs=$(peer_rate "$name" "$log/peer")
    awk -v n="$name" -v r="$round" -v a="$ours" -v b="$theirs" -v f="$log/ratios" 'BEGIN {
      if (a <= 0 || b <= 0) { print "peers.sh: no figure for " n > "/dev/stderr"; exit 1 }
      printf "round %d %s: larder %.2f tokens/s, peer %.2f, ratio %.3f\n", r, n, a, b, a / b
      print n, a / b >> f }' || { tail -n 5 "$log/peer" "$log/larder" >&2; exit 1; }
  done
done
for name in "${tests[@]}"; do
  awk -v n="$name" '$1 == n { print $2 }' "$log/ratios" | sort -g | awk -v n="$name" '
    { v[NR] = $1 }
    END { m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
          printf "ratio %s %.3f (%.3f to %.3f)\n", n, m, v[1], v[NR] }'
done
rm -rf "$log"

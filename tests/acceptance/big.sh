# Sourced by the slow scripts, after lib.sh: the 20 GB model, a memory cgroup, the disk's own rate.
# BIG=FILE names a model made before (larder synth --shape qwen3.5-35b-a3b); else it is made below
# SCRATCH and removed at the end, unless KEEP_BIG=1.
BIG=${BIG:-$SCRATCH/big.gguf}
GROUP=larder-acceptance-$$
BIG_WAS_THERE=0
[[ ! -f "$BIG" ]] || BIG_WAS_THERE=1

big_cleanup() {
  [[ "$BIG_WAS_THERE" == 1 || "${KEEP_BIG:-0}" == 1 ]] || rm -f "$BIG" "$BIG.tmp"
  local folder
  for folder in /sys/fs/cgroup/memory/$GROUP /sys/fs/cgroup/$GROUP; do
    [[ ! -d "$folder" ]] || rmdir "$folder" 2>/dev/null || true
  done
}
trap big_cleanup EXIT

# need_big [SHAPE]: makes the model where it is not there, or skips the script.
need_big() {
  need_program "$LARDER"
  [[ ! -f "$BIG" ]] || return 0
  if [[ $(df -k --output=avail "$SCRATCH" | tail -1) -lt $((25 * 1024 * 1024)) ]]; then
    skip "$SCRATCH has not the 25 GB that the model needs"
    finish
  fi
  "$LARDER" synth --shape "${1:-qwen3.5-35b-a3b}" ${2:+--layers "$2"} -o "$BIG" >&2
}

# make_group BYTES: sets PROCS to the file of a fresh memory cgroup, or skips the script.
make_group() {
  local v1=/sys/fs/cgroup/memory v2=/sys/fs/cgroup
  PROCS=
  if [[ $(id -u) -eq 0 && -f $v1/memory.limit_in_bytes ]] && mkdir -p "$v1/$GROUP" 2>/dev/null; then
    echo "$1" >"$v1/$GROUP/memory.limit_in_bytes" && PROCS=$v1/$GROUP/cgroup.procs
  elif [[ $(id -u) -eq 0 ]] && grep -qw memory $v2/cgroup.subtree_control 2>/dev/null \
      && mkdir -p "$v2/$GROUP" 2>/dev/null; then
    echo "$1" >"$v2/$GROUP/memory.max" && PROCS=$v2/$GROUP/cgroup.procs
    echo 0 >"$v2/$GROUP/memory.swap.max" 2>/dev/null || true
  fi
  [[ -n "$PROCS" ]] && return 0
  skip "no memory cgroup can be made here (root, cgroup v1 or v2)"
  finish
}

# grouped OUTPUT COMMAND...: runs it in the cgroup, stdout to a file; a failure is a FAIL.
grouped() {
  local output=$1
  shift
  (
    echo $BASHPID >"$PROCS"
    exec "$@"
  ) >"$output" || fail "ended with $?: $*"
  cat "$output" >&2
}

# fio_rate BYTES SECONDS: bytes per second of random direct reads of that size, 16 in flight. With
# GLIBC_TUNABLES=glibc.malloc.hugetlb=1 its buffers lie on huge pages, as Larder's slots do.
fio_rate() {
  command -v fio >/dev/null || { skip "fio is not installed"; finish; }
  fio --name=probe --filename="$BIG" --readonly --rw=randread --bs="$1" --direct=1 \
    --ioengine=io_uring --iodepth=16 --runtime="$2" --time_based --group_reporting \
    --output-format=json | awk '/"bw_bytes"/ && !n++ { gsub(/[^0-9]/, ""); print }'
}

at_most() { awk -v a="$1" -v b="$2" 'BEGIN { print (a < b) ? a : b }'; }

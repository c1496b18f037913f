#!/usr/bin/env bash
# The cache policy holds more of what will be asked for than one LRU list: hit rates of decode steps
# from a cold start, replayed from two real traces and from generated routing, beside the offline
# optimum. Below one token's working set it has no cliff.
# speed: fast
. "$(dirname "$0")/lib.sh"
replay=$BUILD/cache_replay
need_program "$replay"

# column TABLE NAME: that column's figures, one line per cache size; with "mean" as a third word
# the mean's alone.
column() {
  awk -v name="$2" -v mean="${3:-}" '
    $1 == "slots_%" { for (i = 1; i <= NF; i++) if ($i == name) from_end = NF - i; next }
    $1 == "mean" { if (mean != "") print $(NF - from_end) + 0; next }
    mean == "" && $1 + 0 > 0 && NF == 8 { print $(NF - from_end) + 0 }' "$1"
}

for name in qwen gptoss; do
  trace=$TESTDATA/traces/$name.route.csv.gz
  if [[ ! -f "$trace" ]]; then
    skip "$name: $trace is not here"
    continue
  fi
  table=$SCRATCH/cache-policy-$name.txt
  "$replay" "$trace" --slots 10,15,20,25 >"$table"
  cat "$table"
  bar=0
  [[ $name == qwen ]] && bar=2
  verdict "$name: hits above LRU's, mean" "$(column "$table" ours-lru mean)" '>=' $bar points
  verdict "$name: hits above LRU's, worst cache size" "$(column "$table" ours-lru | sort -n | head -1)" \
    '>=' -0.5 points
done

closed=""
for workload in easy mid hard; do
  table=$SCRATCH/cache-policy-$workload.txt
  "$replay" --workload "$workload" --tokens 2000 --slots 10,15,20,25 >"$table"
  cat "$table"
  closed="$closed $(column "$table" gap_closed mean)"
done
verdict "easy, mid, hard: gap from LRU to the optimum closed, mean" \
  "$(awk '{ print ($1 + $2 + $3) / (NF == 3 ? 3 : 0) }' <<<"$closed")" '>=' 15 %
gtest_figures experts_test 'HeatPolicy.*:CacheSimulation.*'
finish

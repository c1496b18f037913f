#!/usr/bin/env bash
# `larder bench` writes csv, json and jsonl that read back the same (unit tests with figures), and two runs of one program
# compared with each other differ by no more than the noise that is printed. That is twice the spread of single repetitions, while
# the ratio is of medians of five: on a machine that stays as it is, less than one of a hundred rows lies outside. What others do on
# the machine between two runs is not in the noise, so two comparisons are made, and no row may lie outside to the same side in both.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
gtest_figures cli_test 'BenchOutput.*:BenchCompare.*:BenchSustained.*'
out=$SCRATCH/bench
bench=("$LARDER" bench --memory 256M -p 64 -n 64 -d 0,128 -r 5 --profile none -o json)
# compare N: two runs; the rows outside of the noise, and to which side, in the file outside-N.
compare() {
  "${bench[@]}" >"$out-old.json" 2>/dev/null
  "${bench[@]}" --compare "$out-old.json" --report "$out-report.md" >"$out-new.json" 2>"$out-new.err"
  awk -F'|' '$8 ~ /^ (faster|slower) $/ { print $2 $3 $8 }' "$out-report.md" | sort >"$out-outside-$1"
}
compare 1
compare 2
verdict "tests compared (cold rows have one run and no noise)" "$(grep -c '"noise"' "$out-new.json" || true)" '>=' 3
verdict "ratios outside of their noise in both of two comparisons" "$(comm -12 "$out-outside-1" "$out-outside-2" | wc -l)" == 0
verdict "settings said to differ" "$(grep -c '^larder: the .* differs: ' "$out-new.err" || true)" == 0
verdict "tests named tg64 @ d128" "$(grep -c '"test": "tg64 @ d128"' "$out-old.json" || true)" '>=' 1
verdict "answer tokens in the report's CSV" "$(grep -c -E '^tg64( @ d128)?,[0-9]+,[0-9]+,' "$out-report.md" || true)" == 640
finish

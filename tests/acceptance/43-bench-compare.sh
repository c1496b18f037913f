#!/usr/bin/env bash
# `larder bench` writes csv, json and jsonl that read back the same (unit tests with figures), and two runs of one program
# compared with each other differ by no more than the noise that is printed.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
gtest_figures cli_test 'BenchOutput.*:BenchCompare.*:BenchSustained.*'
bench=("$LARDER" bench -p 64 -n 64 -d 0,128 -r 5 --profile none -o json)
"${bench[@]}" >"$SCRATCH/bench-old.json" 2>/dev/null
"${bench[@]}" --compare "$SCRATCH/bench-old.json" --report "$SCRATCH/bench-report.md" >"$SCRATCH/bench-new.json" 2>/dev/null
verdict "tests compared (cold rows have one run and no noise)" "$(grep -c '"noise"' "$SCRATCH/bench-new.json" || true)" '>=' 3
clear=$(grep -c '"is_clear": true' "$SCRATCH/bench-new.json" || true)
verdict "ratios outside of their noise" "$clear" '<=' 1
verdict "tests named tg64 @ d128" "$(grep -c '"test": "tg64 @ d128"' "$SCRATCH/bench-old.json" || true)" '>=' 1
verdict "answer tokens in the report's CSV" "$(grep -c -E '^tg64( @ d128)?,[0-9]+,[0-9]+,' "$SCRATCH/bench-report.md" || true)" == 640
finish

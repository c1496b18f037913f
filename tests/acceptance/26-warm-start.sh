#!/usr/bin/env bash
# What was hot is remembered between runs and read first; it never changes a bit, and what is
# remembered wrongly is ignored. A request that waits for the disk can be cancelled at once.
# speed: fast
. "$(dirname "$0")/lib.sh"
gtest_figures warm_start_test '*'
gtest_figures experts_test 'HeatFile*:WarmStart*:Cancel*'
finish

#!/usr/bin/env bash
# The n-th read of a short run fails, is short or late, for every n: the run fails with one sentence
# or gives the right logits; no wrong one is ever printed.
# speed: fast
. "$(dirname "$0")/lib.sh"
gtest_figures faults_test '*'
finish

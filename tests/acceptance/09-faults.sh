#!/usr/bin/env bash
# The n-th read of a 32-token run fails, is short, comes ten seconds late or reports nonsense, for
# every n from the first to the last: the run gives the right logits. A disk that stays broken fails
# it with one sentence. Never a hang, never other logits.
# speed: fast
. "$(dirname "$0")/lib.sh"
gtest_figures faults_test '*'
finish

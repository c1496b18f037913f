#!/usr/bin/env bash
# `larder serve` with the demo model: its answers are those of `larder run`, alone and in company; 300 clients
# that leave at random moments free their slots at once and harm nobody; a body of 65 MiB, a depth of 10,000 and
# a header of 1 MB are refused in under 100 ms; 1,000 idle connections leave /health quick; SIGTERM ends it in 10 s.
# speed: slow
. "$(dirname "$0")/lib.sh"
LARDER_DISCONNECTS=300 gtest_figures serve_test 'Serve.*'
finish

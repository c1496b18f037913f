#!/usr/bin/env bash
# `make test` and `make run` work on a fresh clone, with nothing but the clone.
# speed: slow
. "$(dirname "$0")/lib.sh"
clone=$SCRATCH/clone
rm -rf "$clone"
git clone --quiet "$ROOT" "$clone"
# A clone has no neighbours: tests that want the public test data must skip, not fail.
start=$SECONDS
if make -C "$clone" test >"$SCRATCH/clone-test.log" 2>&1; then
  pass "make test on a fresh clone: $(grep 'tests passed' "$SCRATCH/clone-test.log") in $((SECONDS - start)) s"
else
  fail "make test on a fresh clone, log $SCRATCH/clone-test.log"
fi
start=$SECONDS
if make -C "$clone" run >"$SCRATCH/clone-run.log" 2>&1; then
  pass "make run on a fresh clone: $((SECONDS - start)) s"
else
  fail "make run on a fresh clone, log $SCRATCH/clone-run.log"
fi
rm -rf "$clone"
finish

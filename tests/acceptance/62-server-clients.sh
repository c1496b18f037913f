#!/usr/bin/env bash
# The published openai, anthropic, langchain and ollama clients, the requests of agents, and Schemathesis over
# /openapi.json, against the demo model: all pass. Needs Python and its package index once.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
log=$SCRATCH/clients.log
rc=0
LARDER_SCHEMATHESIS=1 "$ROOT/tests/clients/run" >"$log" 2>&1 || rc=$?
if grep -q '^skipped: ' "$log"; then
  skip "$(grep -m1 '^skipped: ' "$log")"
else
  verdict "clients' tests that fail (log $log)" "$(grep -c -E '^(FAILED|ERROR)' "$log" || true)" == 0
  verdict "exit status of the clients' tests" "$rc" == 0
fi
finish

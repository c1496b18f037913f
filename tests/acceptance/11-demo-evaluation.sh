#!/usr/bin/env bash
# The demo model on 200 unseen prompts per skill, answered by `larder` from the shipped file. Needs Python
# with the tokenizers package (tools/requirements.txt).
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
python3 -c "import tokenizers" 2>/dev/null || { skip "demo evaluation: Python has no tokenizers package"; finish; }
out=$SCRATCH/demo-evaluation.json
(cd "$ROOT/tools/demo" && python3 evaluate.py --larder "$LARDER" --json "$out" "$@") || { fail "evaluate.py"; finish; }
# SKILL CHECK -> percent passed
share() {
  python3 -c 'import json, sys
passed, total = json.load(open(sys.argv[1]))["results"][sys.argv[2]][sys.argv[3]]
print(100 * passed / total)' "$out" "$1" "$2"
}
verdict "JSON parses" "$(share json parses)" ">=" 98 "%"
verdict "tool calls with the right function" "$(share tool_call function)" ">=" 95 "%"
verdict "tool calls with all arguments right" "$(share tool_call right)" ">=" 90 "%"
verdict "arithmetic" "$(share arithmetic right)" ">=" 90 "%"
verdict "questions about Larder" "$(share larder right)" ">=" 95 "%"
overlap=$(python3 -c 'import json, sys
print(sum(n for n, _ in json.load(open(sys.argv[1]))["shared"].values()))' "$out")
verdict "names, numbers, tools and phrasings shared with training" "$overlap" == 0
finish

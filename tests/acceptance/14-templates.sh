#!/usr/bin/env bash
# Chat templates give the bytes that Python's jinja2 gives, set up as transformers does, or both
# refuse: the templates beside the repository x the stored conversations, and thousands of small
# templates; and `larder template` prints the same.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"

if [[ -d "$TESTDATA/templates" ]]; then
  gtest_figures template_golden_test 'TemplateGolden.VendorTemplates'
else
  skip "vendors' templates: $TESTDATA/templates is not there"
fi
gtest_figures template_golden_test 'TemplateGolden.DemoTemplate:TemplateGolden.Expressions'

# The command: a text with every kind of white space control, from stdin, byte for byte.
printf '%s' '{%- for m in messages %}<{{ m.role }}>{{ m.content | trim }}
{% endfor -%}
{{ strftime_now("%d %b %Y") }}' >"$SCRATCH/chat.jinja"
printf '%s' '{"messages": [{"role": "user", "content": " Grüße "}]}' >"$SCRATCH/chat.json"
got=$("$LARDER" template --template "$SCRATCH/chat.jinja" --input - --now "2026-03-09 14:05:07" \
  <"$SCRATCH/chat.json" || true)
want=$'<user>Grüße\n09 Mar 2026'
if [[ "$got" == "$want" ]]; then
  pass "larder template: the expected text"
else
  fail "larder template: got '$got', expected '$want'"
fi
finish

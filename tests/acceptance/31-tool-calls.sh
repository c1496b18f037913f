#!/usr/bin/env bash
# Tool calls and reasoning come back from a model's answer: 200 answers per format as the models' own
# chat templates write them, byte by byte and cut in two at every byte; none wrong, nothing leaks.
# speed: fast
. "$(dirname "$0")/lib.sh"
[[ "${ALL_CUTS:-0}" == 1 ]] && export LARDER_ALL_CUTS=1
gtest_figures text_test '*OutputGolden.*'
gtest_figures text_test 'Output*:ToolSchema.*:MessageBuilder.*'
finish

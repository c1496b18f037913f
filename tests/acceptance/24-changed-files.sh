#!/usr/bin/env bash
# A model file that is cut, written to or replaced while Larder runs is an error that says so, never
# a signal and never logits of the changed file. Default budgets leave alone what others hold.
# speed: fast
. "$(dirname "$0")/lib.sh"
gtest_figures changed_file_test '*'
gtest_figures budget_test '*'
finish

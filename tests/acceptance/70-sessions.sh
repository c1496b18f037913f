#!/usr/bin/env bash
# Requests in company give the bits that each gives alone; cancelled ones leave, a queue has an end;
# prompts that start from what earlier ones left, in memory and on disk, give a cold run's answers.
# speed: fast
. "$(dirname "$0")/lib.sh"
gtest_figures scheduler_test '*'
finish

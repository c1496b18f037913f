#!/usr/bin/env bash
# `larder chat` driven in tmux, as a person would: a tool call is asked for, confirmed, run and
# answered; Ctrl-C stops the answer and not the program, and a tool's command, of which the model hears; a
# saved chat resumes; a command that writes outside its folder fails. On the demo model, and on a model that follows a script
# (tests/helpers/scripted_model.h), whose words are known.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
if ! command -v tmux >/dev/null; then
  skip "chat in a terminal: tmux is not installed"
  finish
fi
demo=$ROOT/models/demo/larder-demo.gguf
work=$SCRATCH/chat
rm -rf "$work"
mkdir -p "$work/folder" "$work/state"
echo "The harbour is blue." >"$work/folder/note.txt"
tmux="tmux -L larder-acceptance-$$-0 -f /dev/null"
n_terminals=0
trap '$tmux kill-server 2>/dev/null || true' EXIT

# start OPTIONS...: a chat in a terminal of its own
start() {
  $tmux kill-server 2>/dev/null || true
  # A server that is still ending would take the next one's clients with it.
  n_terminals=$((n_terminals + 1))
  tmux="tmux -L larder-acceptance-$$-$n_terminals -f /dev/null"
  $tmux new-session -d -s chat -x 160 -y 50 \
    "cd '$work'; XDG_STATE_HOME='$work/state' '$LARDER' chat -m '$model' --temp 0 --threads 2 $*; echo ended with \$?; sleep 60"
}
type_line() { $tmux send-keys -t chat -l -- "$1"; $tmux send-keys -t chat Enter; }
screen() { $tmux capture-pane -t chat -p -J -S -200; }
# wait_for PATTERN [SECONDS]: until the terminal shows it
wait_for() {
  local i
  for ((i = 0; i < ${2:-30} * 10; i++)); do
    screen | grep -a -q -E -- "$1" && return 0
    sleep 0.1
  done
  screen >"$work/failed-screen.txt"
  return 1
}
n_status() { screen | grep -a -c 'tokens/s' || true; }
wait_status() {
  local i
  for ((i = 0; i < ${2:-60} * 10; i++)); do
    [[ $(n_status) -ge $1 ]] && return 0
    sleep 0.1
  done
  return 1
}
check() {  # check NAME COMMAND...
  local name=$1
  shift
  if "$@"; then pass "$name (bar: it happens)"; else fail "$name (terminal: $work/failed-screen.txt)"; fi
}

need_program "$BUILD/chat_test"
script=$work/scripted.gguf
LARDER_SCRIPTED_MODEL=$script "$BUILD/chat_test" --gtest_filter='ScriptedChat.ACallIsAskedForRunAndAnswered' >"$work/model.log" 2>&1 \
  || fail "making the scripted model, log $work/model.log"

# Editing, history, Ctrl-C.
model=$script
start -n 1000000 --ctx 100000
check "chat shows its prompt" wait_for '^> '
type_line 'sing'
check "an answer streams" wait_for 'la la la la'
$tmux send-keys -t chat C-c
check "Ctrl-C stops the answer" wait_for '^stopped'
$tmux send-keys -t chat -l 'half a line'
check "a line is being typed" wait_for '> half a line'
$tmux send-keys -t chat C-c
check "Ctrl-C drops the line" wait_for '\^C'
type_line 'Hi'
check "and not the program" wait_for 'Hello to you\.'
$tmux send-keys -t chat Up
$tmux send-keys -t chat Up
check "history comes back" wait_for '> sing$'
$tmux send-keys -t chat C-c
type_line '/exit'
check "exit" wait_for 'ended with 0'

# saved NAME FIRST SECOND: on $model, a chat that is saved after FIRST and loaded says the same to SECOND
# as one that went on.
saved() {
  local went_on first second
  talk() { "$LARDER" chat -m "$model" --temp 0 -n 40 --threads 2 --no-history "$@" 2>/dev/null; }
  first=$(printf '%s\n' "$2" | talk)
  went_on=$(printf '%s\n' "$2" "$3" | talk)
  second=${went_on#"$first"}
  rm -f "$work/saved.json"
  start -n 40
  wait_for '^> ' || true
  type_line "$2"
  wait_status 1 || true
  type_line "/save $work/saved.json"
  check "$1: saving" wait_for 'saved 2 messages'
  type_line '/exit'
  wait_for 'ended with 0' || true
  check "$1: a saved chat resumes with the same answer" \
    [ "$first$(printf '\n%s' "$(printf '%s\n' "$3" | talk --load "$work/saved.json")")" == "$went_on" ]
  start -n 40 --load "$work/saved.json"
  wait_for '^> ' || true
  type_line "$3"
  wait_status 1 || true
  second=$(grep -a -m1 -E '[[:alnum:]]' <<<"$second" | cut -c 1-60)
  if [[ "$model" == "$demo" && -n "$second" ]]; then
    check "$1: and shows it on the terminal" grep -a -q -F -- "$second" <(screen)
  fi
  type_line '/exit'
}
# A model whose words depend on every token before.
model=$ROOT/tests/golden/models/r4-s32-f32.gguf
saved "random model" 'one' 'two'
if [[ -f "$demo" ]]; then
  model=$demo
  saved "demo model" 'My name is Ada.' 'What is my name?'

  # So slow a disk that Ctrl-C comes in the middle of an answer.
  budget=$({ "$LARDER" chat -m "$demo" --memory 1K </dev/null 2>&1 || true; } | grep -o -E '[0-9.]+[KMG]\b' | tail -1)
  start -n 200 --memory "$budget" --io-throttle 4M
  wait_for '^> ' 60 || true
  type_line 'What is the capital of France?'
  answering() { screen | grep -a -A 9 -F '> What is the capital' | tail -n +2 | grep -a -v 'reading' | grep -a -q '[[:alpha:]]'; }
  for ((i = 0; i < 600; i++)); do answering && break; sleep 0.1; done
  $tmux send-keys -t chat C-c
  check "demo model: Ctrl-C stops the answer" wait_for '^stopped'
  type_line '/stats'
  check "demo model: and not the program" wait_for 'peak memory|there was no answer yet'
  type_line '/exit'
  check "demo model: exit" wait_for 'ended with 0'
fi

# calls NAME QUESTION CALL RESULT ESCAPE: on $model; QUESTION makes it call CALL, which gives RESULT, and
# ESCAPE makes it write outside the folder
calls() {
  start -n 200 --tools --folder "$work/folder"
  wait_for '^> ' || true
  if screen | grep -q 'no commands to run'; then
    skip "$1: $(screen | grep -o 'because.*' | head -1)"
    return 0
  fi
  type_line "$2"
  check "$1: a call is asked for" wait_for "call: $3" 60
  wait_for 'run it\?' || true
  type_line 'y'
  check "$1: it runs when confirmed" wait_for "$4"
  check "$1: and is answered" wait_status 2
  type_line '/clear'
  type_line "$5"
  check "$1: a command is asked for" wait_for 'call: run_command +.*touch ../outside.txt' 60
  wait_for 'lways\): *$' || true
  type_line 'y'
  check "$1: a command that writes outside its folder fails" wait_for 'exit_status'
  if [[ -e "$work/outside.txt" ]]; then
    fail "$1: something was written outside the folder"
  else
    pass "$1: nothing is written outside the folder (bar: no file)"
  fi
  type_line '/exit'
}
# Ctrl-C during a tool's command.
model=$script
start -n 200 --tools --folder "$work/folder"
wait_for '^> ' || true
if screen | grep -q 'no commands to run'; then
  skip "Ctrl-C during a command: $(screen | grep -o 'because.*' | head -1)"
else
  type_line 'wait'
  check "a long command is asked for" wait_for 'call: run_command +echo'
  wait_for 'lways\): *$' || true
  type_line 'y'
  for ((i = 0; i < 300; i++)); do [[ -s "$work/folder/pid.txt" ]] && break; sleep 0.1; done
  $tmux send-keys -t chat C-c
  check "Ctrl-C stops a command" wait_for 'the command is stopped, and the model is told'
  check "the model hears of it" wait_for 'As you wish\.'
  type_line 'Hi'
  check "and the program goes on" wait_for 'Hello to you\.'
  type_line '/exit'
  check "exit behind a stopped command" wait_for 'ended with 0'
  rm -f "$work/folder/pid.txt"
fi
calls "scripted model" 'read the file' 'read_file +note.txt' 'The harbour is blue' 'run it'
if [[ -f "$demo" ]]; then
  model=$demo
  calls "demo model" 'Run the command ls' 'run_command +ls' '"output":"note.txt' 'Run the command touch ../outside.txt'
else
  skip "demo model: it is not here yet"
fi
finish

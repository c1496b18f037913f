#!/usr/bin/env bash
# `larder serve` for an hour (MINUTES=60) with eight clients that use every dialect: streams and whole answers,
# conversations that grow, small requests beside them, long prompts, schemas, wrong requests, clients that leave.
# Every request ends as it should, fixed ones with the answer they got alone; resident memory stays within the budget
# (MEMORY) and is as large in the last quarter of the time as in the second.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
command -v curl >/dev/null || { skip "curl is not installed"; finish; }
MINUTES=${MINUTES:-60}
CLIENTS=${CLIENTS:-8}
PAUSE_MS=${PAUSE_MS:-4000}  # between a client's requests, on average
MEMORY=${MEMORY:-128M}
folder=$SCRATCH/server-hour
rm -rf "$folder"
mkdir -p "$folder"
said=$folder/server.log errors=$folder/errors.txt samples=$folder/resident.txt
: >"$errors"

"$LARDER" serve -m "$ROOT/models/demo/larder-demo.gguf" --port 0 --memory "$MEMORY" --ctx 4096 --parallel 4 \
  --cache-disk 64M --cache-folder "$folder/prefixes" 2>"$said" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$folder/prefixes"' EXIT
for _ in $(seq 600); do grep -q ready "$said" && break; sleep 0.1; done
url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$said")
[[ -n "$url" ]] || { fail "the server does not start: $(tail -1 "$said")"; finish; }

post() { curl -sS --max-time 900 "$url$1" -H 'Content-Type: application/json' -d @- 2>&1; }
status_of() { curl -sS --max-time 900 -o /dev/null -w '%{http_code}' "$url$1" "${@:2}" 2>&1; }

# ---- Requests, each with what its reply must hold ---------------------------------------------------------------
words() { awk -v n="$1" -v s="$2" 'BEGIN { srand(s); for (i = 0; i < n; ++i) printf "word%d ", rand() * 500 }'; }
ask() { echo "{\"temperature\": 0, \"max_tokens\": 48, $2 \"messages\": [{\"role\": \"user\", \"content\": \"$1\"}]}"; }
question() { local all=('What is 2 + 3?' 'What is a hit rate?' 'Sort these: b, a, c' 'Tell me about experts.'); echo "${all[$1]}"; }
answer_to() { ask "$(question "$1")" '' | post /v1/chat/completions | sed -n 's/.*"choices":\(\[.*\]\),"usage".*/\1/p'; }
for i in 0 1 2 3; do answer_to $i >"$folder/alone-$i.txt"; done
grep -q '2 + 3 = 5' "$folder/alone-0.txt" || fail "the first answer: $(cat "$folder/alone-0.txt")"

# expect WHAT PATTERN: the reply, on stdin, holds the pattern.
expect() {
  local reply
  reply=$(cat)
  grep -q -- "$2" <<<"$reply" || echo "$(date +%T) $1: ${reply:0:500}" >>"$errors"
}
SCHEMA='{"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": false}'
TOOL='{"name": "get_weather", "description": "Looks it up.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}'

one_request() {  # one_request KIND RANDOM CLIENT
  local client=$3 user='{"role": "user", "content": "What is 2 + 3?"}' i=$(($2 % 4))
  case $1 in
    0) answer_to "$i" >"$folder/answer-$client.txt"
       cmp -s "$folder/answer-$client.txt" "$folder/alone-$i.txt" ||
         echo "$(date +%T) another answer than alone: $(head -c 300 "$folder/answer-$client.txt")" >>"$errors" ;;
    1) ask "$(question "$i")" '"stream": true, "stream_options": {"include_usage": true},' | post /v1/chat/completions |
         expect 'chat stream' '^data: \[DONE\]' ;;
    2) echo "{\"max_tokens\": 40, \"stream\": true, \"system\": [{\"type\": \"text\", \"text\": \"x-anthropic-billing-header: n=$2\"}, {\"type\": \"text\", \"text\": \"Be brief. $(words 150 1)\"}], \"messages\": [$user]}" |
         post /v1/messages | expect 'messages stream' '^event: message_stop' ;;
    3) echo "{\"messages\": [$user], \"options\": {\"num_predict\": 40, \"seed\": $2}}" | post /api/chat |
         expect 'ollama stream' '"done":true' ;;
    4) echo "{\"input\": \"What is 2 + 3?\", \"stream\": true, \"max_output_tokens\": 40}" | post /v1/responses |
         expect 'responses stream' '^event: response\.\(completed\|incomplete\)' ;;
    5) echo "{\"prompt\": \"$(words 400 $(($2 % 20)))\", \"max_tokens\": 4, \"echo\": true, \"logprobs\": 2}" |
         post /v1/completions | expect 'completion with logprobs' '"token_logprobs":\[null,' ;;
    6) ask "Give x = $i." "\"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"x\", \"schema\": $SCHEMA}}," |
         post /v1/chat/completions | expect 'schema' '"object":"chat.completion"' ;;
    7) ask 'What is the weather in Paris?' "\"tools\": [{\"type\": \"function\", \"function\": $TOOL}]," |
         post /v1/chat/completions | expect 'tools' '"finish_reason":"' ;;
    8) # leaves in the middle
       ask "$(words 300 "$2")" '"ignore_eos": true, "max_completion_tokens": 2000, "stream": true,' |
         curl -sS --max-time "0.$(($2 % 9 + 1))" -o /dev/null "$url/v1/chat/completions" -d @- 2>/dev/null || true ;;
    9) echo '{"messages": 5}' | post /v1/chat/completions | expect 'a wrong request' '"param":"messages"'
       expect 'unknown path' '^404$' < <(status_of /nothing) ;;
    10) ask "### Task:\\nGive a title.\\n### Chat:\\n$(words 60 "$2")" '' | post /v1/chat/completions |
          expect 'title' '"object":"chat.completion"' ;;
    11) for path in /health /metrics /slots /props /v1/models /api/tags; do
          expect "$path" '^200$' < <(status_of "$path")
        done ;;
  esac
}

# Ten turns of a conversation, each with all that was said.
conversation() {
  local messages="{\"role\": \"system\", \"content\": \"Be brief. $(words 200 "$1")\"}" turn reply said_text
  for turn in 1 2 3 4 5 6 7 8 9 10; do
    messages+=", {\"role\": \"user\", \"content\": \"What is $turn + $(($1 % 9))?\"}"
    reply=$(echo "{\"temperature\": 0.7, \"seed\": $1, \"max_tokens\": 60, \"messages\": [$messages]}" | post /v1/chat/completions)
    expect "turn $turn" '"finish_reason":"\(stop\|length\)"' <<<"$reply"
    said_text=$(sed -n -E 's/.*"content":"(([^"\\]|\\.)*)".*/\1/p' <<<"$reply")
    messages+=", {\"role\": \"assistant\", \"content\": \"$said_text\"}"
    echo turn >>"$folder/done-$2.txt"
    pause
  done
}
pause() { sleep "$(awk -v r=$RANDOM -v p="$PAUSE_MS" 'BEGIN { printf "%.2f", 2 * p * r / 32768 / 1000 }')"; }

client() {  # client NUMBER END
  RANDOM=$((1000 + $1))
  while [[ $SECONDS -lt $2 ]]; do
    if [[ $((RANDOM % 15)) == 0 ]]; then conversation $RANDOM "$1"; else one_request $((RANDOM % 12)) $RANDOM "$1"; fi
    echo request >>"$folder/done-$1.txt"
    pause
  done
}

# ---- The hour ---------------------------------------------------------------------------------------------------
start=$SECONDS
end=$((start + MINUTES * 60))
clients=()
for number in $(seq "$CLIENTS"); do
  client "$number" "$end" &
  clients+=($!)
done
while [[ $SECONDS -lt $end ]] && kill -0 "$pid" 2>/dev/null; do
  echo "$((SECONDS - start)) $(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")" >>"$samples"
  sleep 5
done
kill -0 "$pid" 2>/dev/null || fail "the server ended: $(tail -1 "$said")"
wait "${clients[@]}"
peak_kb=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$pid/status")
read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ <"/proc/$pid/stat"
curl -s "$url/metrics" >"$folder/metrics.txt"
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?

quarter() {  # quarter FROM TO: the median of the resident kilobytes between these shares of the time
  awk -v f="$1" -v t="$2" -v all=$((MINUTES * 60)) '$1 >= f * all && $1 < t * all { print $2 }' "$samples" | sort -n |
    awk '{ kb[NR] = $1 } END { print kb[int((NR + 1) / 2)] }'
}
budget_kb=$(awk -v m="$MEMORY" 'BEGIN { u = substr(m, length(m)); f = u == "G" ? 1048576 : u == "M" ? 1024 : 1; print int(m) * f }')
verdict "requests in $MINUTES minutes" "$(cat "$folder"/done-*.txt | wc -l)" '>=' $((MINUTES * CLIENTS)) ''
verdict 'requests that ended otherwise than they should' "$(wc -l <"$errors")" == 0
head -5 "$errors" >&2
verdict 'peak resident memory, of the budget' "$(awk -v a="$peak_kb" -v b="$budget_kb" 'BEGIN { printf "%.4f", a / b }')" '<=' 1.02
verdict 'resident memory, last quarter beside the second' \
  "$(awk -v a="$(quarter 0.75 1)" -v b="$(quarter 0.25 0.5)" 'BEGIN { printf "%.4f", a / b }')" '<=' 1.01
verdict 'exit status after SIGTERM' "$rc" == 0
echo "processor time of the server: $(((user + system) / $(getconf CLK_TCK))) s in $((SECONDS - start)) s" >&2
finish

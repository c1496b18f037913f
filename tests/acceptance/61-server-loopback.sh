#!/usr/bin/env bash
# `larder serve` uses no network but its listening socket: every address in its system calls, from the start
# through an answer to the end, is 127.0.0.1 (strace of the whole process).
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
command -v strace >/dev/null || { skip "strace is not installed"; finish; }
command -v curl >/dev/null || { skip "curl is not installed"; finish; }
calls=$SCRATCH/serve-network.txt said=$SCRATCH/serve-network.log
strace -f -e trace=network -o "$calls" "$LARDER" serve -m "$ROOT/models/demo/larder-demo.gguf" --port 0 2>"$said" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true' EXIT
for _ in $(seq 600); do grep -q ready "$said" && break; sleep 0.1; done
url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$said")
[[ -n "$url" ]] || { skip "strace may not trace here: $(head -c 200 "$said")"; finish; }
answer=$(curl -s "$url/v1/chat/completions" -d '{"temperature": 0, "messages": [{"role": "user", "content": "What is 2 + 3?"}]}')
if grep -q '2 + 3 = 5' <<<"$answer"; then pass "answers under strace"; else fail "no answer under strace: $answer"; fi
# strace passes a signal on to what it traces only when it is sent to that process itself.
kill -TERM "$(pgrep -P "$pid" | head -1)"
wait "$pid" || true
trap - EXIT
verdict "listening sockets" "$(grep -c ' listen(' "$calls" || true)" == 1
verdict "addresses that are not loopback" \
  "$(grep -E 'sin_addr|sin6_addr|AF_INET' "$calls" | grep -E 'bind\(|connect\(|sendto\(|accept' \
     | grep -v -c -E '127\.0\.0\.1|EAGAIN|ECANCELED|socket\(' || true)" == 0
verdict "outgoing connections" "$(grep -c ' connect(' "$calls" || true)" == 0
finish

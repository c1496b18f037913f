#!/usr/bin/env bash
# bench/peers.sh with a stand-in for llama-bench of known rates: it runs both in turns, finds their
# figures and prints the median ratio; wrong use is one sentence.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
MODEL=$(ls "$ROOT"/tests/golden/models/stream-q8_0.gguf)
PEER=$SCRATCH/stand-in-llama-bench
cat >"$PEER" <<'END'
#!/usr/bin/env bash
echo "$*" >>"${0}.calls"
cat <<'TABLE'
| model        |     size |   params | backend | threads |   test |           t/s |
| ------------ | -------: | -------: | ------- | ------: | -----: | ------------: |
| qwen35moe    | 1.00 MiB |   0.50 M | CPU     |       1 |   pp24 | 2.00 ± 0.10 |
| qwen35moe    | 1.00 MiB |   0.50 M | CPU     |       1 |    tg8 | 1.00 ± 0.00 |
TABLE
END
chmod +x "$PEER"
rm -f "$PEER.calls"
out=$SCRATCH/peers.out
rc=0
"$ROOT/bench/peers.sh" --peer "$PEER" --larder "$LARDER" -m "$MODEL" -p 24 -n 8 -t 1 -r 3 \
  --peer-args "-fa 1" >"$out" 2>&1 || rc=$?
cat "$out" >&2
verdict "exit status" "$rc" == 0
verdict "rounds with figures of both" "$(grep -c '^round ' "$out" || true)" == 6
verdict "runs of the peer" "$(grep -c -- "-m $MODEL -t 1 -p 24 -n 8 -r 1 -o md -fa 1" "$PEER.calls" || true)" == 3
# The stand-in answers at 1 token/s, so the ratio is larder's own median rate.
median=$(sed -n 's/^round . tg8: larder \([0-9.]*\) .*/\1/p' "$out" | sort -g | sed -n 2p)
ratio=$(sed -n 's/^ratio tg8 \([0-9.]*\) .*/\1/p' "$out")
verdict "median ratio less the median rate over 1" \
  "$(awk -v a="${ratio:-0}" -v b="${median:-1}" 'BEGIN { d = a - b; print (d < 0 ? -d : d) }')" '<=' 0.006
for wrong in "--peer /nowhere -m $MODEL" "--peer $PEER -m /nowhere" "--peer $PEER -m $MODEL -r x" "--rounds 3"; do
  rc=0
  # shellcheck disable=SC2086
  message=$("$ROOT/bench/peers.sh" $wrong 2>&1) || rc=$?
  [[ $rc -eq 2 && $(wc -l <<<"$message") -eq 1 ]] && pass "refused: ${message#peers.sh: }" \
    || fail "'$wrong' gave $rc: $message"
done
finish

// Tokens to pieces.
#include "server/answer_reader.h"

#include <algorithm>

#include "text/utf8.h"

namespace larder {

StopFinder::StopFinder(std::vector<std::string> stops) : stops_(std::move(stops)) {}

std::string StopFinder::Push(std::string_view text) {
  if (found_) return "";
  if (stops_.empty()) return std::string(text);
  held_ += text;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at >= first) continue;
    first = at;
    which_ = stop;
  }
  if (first != std::string::npos) {
    found_ = true;
    std::string before = held_.substr(0, first);
    n_cut_ = held_.size() - first;
    held_.clear();
    return before;
  }
  // The longest end of the text that a stop begins with must wait.
  std::size_t n_held = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > n_held; --n) {
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) n_held = n;
    }
  }
  std::string ready = held_.substr(0, held_.size() - n_held);
  held_.erase(0, ready.size());
  return ready;
}

std::string StopFinder::Flush() { return std::exchange(held_, ""); }

AnswerReader::AnswerReader(const Tokenizer& tokenizer, AnswerReaderOptions options)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      decoder_(tokenizer),
      stops_(options_.stops) {
  if (options_.is_chat) {
    parser_ = MakeOutputParser(options_.style, options_.tools, options_.prompt, options_.form);
  }
}

// Markers of a format are control tokens in some vocabularies; the parser has to see them.
std::string AnswerReader::BytesOf(std::int32_t token) {
  if (parser_ != nullptr && tokenizer_.IsControl(token)) {
    const std::string_view bytes = tokenizer_.TokenBytes(token);
    if (options_.style.IsMarker(bytes)) return decoder_.Flush() + std::string(bytes);
  }
  return decoder_.Push(token);
}

bool AnswerReader::OnToken(std::int32_t token, const Logprobs* logprobs,
                           std::vector<AnswerPiece>* pieces) {
  if (over_) return false;
  if (tokenizer_.IsEndOfGeneration(token) && parser_ != nullptr &&
      !options_.style.GoesOnAfter(tokenizer_.TokenBytes(token)) &&
      options_.style.calls == CallFormat::kHarmony) {
    over_ = true;  // harmony's parts end with a token that would end other models' answers
  }
  const bool before = parser_ != nullptr && parser_->in_reasoning();
  if (options_.details && logprobs != nullptr) {
    waiting_.push_back(MakeTokenDetail(tokenizer_, token, *logprobs));
  }
  Feed(BytesOf(token), pieces);
  if (before && parser_->in_reasoning()) ++n_reasoning_;
  return !over_;
}

void AnswerReader::Feed(std::string_view text, std::vector<AnswerPiece>* pieces) {
  if (text.empty()) return;
  std::vector<OutputDelta> deltas;
  if (parser_ != nullptr) {
    parser_->Feed(text, &deltas);
  } else {
    deltas.push_back({OutputDelta::Kind::kText, std::string(text), 0});
  }
  Take(&deltas, pieces);
}

void AnswerReader::Take(std::vector<OutputDelta>* deltas, std::vector<AnswerPiece>* pieces) {
  for (OutputDelta& delta : *deltas) {
    if (stops_.found()) return;
    if (n_calls_ > 0 && !options_.parallel_calls) return;
    if (delta.kind == OutputDelta::Kind::kText) {
      std::string text = stops_.Push(delta.text);
      if (stops_.found()) {
        over_ = true;
        DropCutTokens();
      }
      PutText(std::move(text), pieces);
      continue;
    }
    PutText(stops_.Flush(), pieces);
    const bool ended = delta.kind == OutputDelta::Kind::kCallEnd;
    call_failed_ = call_failed_ || delta.kind == OutputDelta::Kind::kCallFailed;
    Put(std::move(delta), pieces);
    if (!ended) continue;
    ++n_calls_;
    if (!options_.parallel_calls) over_ = true;
  }
}

// Tokens of which nothing is shown are not told of either.
void AnswerReader::DropCutTokens() {
  std::size_t n_cut = stops_.n_cut();
  while (!waiting_.empty() && waiting_.back().bytes.size() <= n_cut) {
    n_cut -= waiting_.back().bytes.size();
    waiting_.pop_back();
  }
}

void AnswerReader::PutText(std::string text, std::vector<AnswerPiece>* pieces) {
  if (!text.empty()) Put({OutputDelta::Kind::kText, std::move(text), 0}, pieces);
}

void AnswerReader::Put(OutputDelta delta, std::vector<AnswerPiece>* pieces) {
  AnswerPiece piece;
  piece.choice = options_.choice;
  piece.delta = std::move(delta);
  // Here, so that a stream shows the same as a whole answer, whatever writes it down.
  piece.delta.text = WithValidUtf8(piece.delta.text);
  piece.tokens = std::exchange(waiting_, {});
  pieces->push_back(std::move(piece));
}

ChoiceEnd AnswerReader::Finish(StopCause cause, std::vector<AnswerPiece>* pieces) {
  const bool cut = stops_.found() || (n_calls_ > 0 && !options_.parallel_calls);
  if (!cut) {
    Feed(decoder_.Flush(), pieces);
    if (parser_ != nullptr) {
      std::vector<OutputDelta> deltas;
      parser_->Finish(&deltas);
      Take(&deltas, pieces);
    }
    if (!stops_.found()) PutText(stops_.Flush(), pieces);
  }
  ChoiceEnd end;
  end.choice = options_.choice;
  end.cause = cause;
  const bool by_itself = cause == StopCause::kEnd || cut;
  if (stops_.found() && cause != StopCause::kError) {
    end.cause = StopCause::kStopText;
    end.stop_text = stops_.which();
  } else if (n_calls_ > 0 && !call_failed_ && by_itself && cause != StopCause::kError) {
    end.cause = StopCause::kToolCalls;
  }
  end.tokens = std::exchange(waiting_, {});
  return end;
}

TokenDetail MakeTokenDetail(const Tokenizer& tokenizer, std::int32_t token,
                            const Logprobs& logprobs) {
  TokenDetail detail;
  detail.token = token;
  detail.bytes = std::string(tokenizer.TokenBytes(token));
  detail.logprob = logprobs.chosen;
  for (const TokenLogprob& rival : logprobs.top) {
    detail.top.push_back(
        {rival.token, std::string(tokenizer.TokenBytes(rival.token)), rival.logprob});
  }
  return detail;
}

}  // namespace larder

// Submitting, streaming, ending.
#include "server/answer_run.h"

#include <algorithm>

#include "base/clock.h"

namespace larder {

namespace {

// Choices of one request that wait or run at the same time; the rest follow as these end, so that
// one client's list of prompts does not fill the queue.
constexpr std::size_t kMostAtOnce = 4;
constexpr std::int64_t kProgressUs = 1000000;

StopCause CauseOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return StopCause::kEnd;
    case FinishReason::kLength:
    case FinishReason::kContextFull:
      return StopCause::kLength;
    case FinishReason::kCancelled:
      return StopCause::kCancelled;
    case FinishReason::kError:
      break;
  }
  return StopCause::kError;
}

// What the grammar of a chat's answer (ModelHost::Prepare) lets it be.
OutputForm FormOf(const ChatRequest& request, const PreparedRequest& prepared) {
  const bool with_tools = !prepared.tools.empty();
  if (with_tools && request.tool_choice == ToolChoice::kRequired) return OutputForm::kCalls;
  return request.format == AnswerFormat::kText ? OutputForm::kFree : OutputForm::kCallsOrText;
}

}  // namespace

class AnswerRun::Listener : public GenerationListener {
 public:
  Listener(std::shared_ptr<AnswerRun> run, std::size_t choice)
      : run_(std::move(run)), choice_(choice) {}

  void OnPromptProgress(std::int64_t n_done, std::int64_t n_total, double) override {
    run_->OnProgress(choice_, n_done, n_total);
  }
  void OnPromptLogprobs(std::int64_t position, const Logprobs& logprobs) override {
    run_->OnPromptLogprobs(choice_, position, logprobs);
  }
  bool OnToken(std::int32_t token, const Logprobs* logprobs) override {
    return run_->OnToken(choice_, token, logprobs);
  }
  void OnFinished(const GenerationResult& result) override { run_->OnFinished(choice_, result); }

 private:
  std::shared_ptr<AnswerRun> run_;
  std::size_t choice_;
};

AnswerRun::AnswerRun(const House& house, ChatRequest request, PreparedRequest prepared,
                     std::unique_ptr<AnswerRenderer> renderer, std::shared_ptr<HttpReply> reply)
    : house_(house),
      request_(std::move(request)),
      prepared_(std::move(prepared)),
      renderer_(std::move(renderer)),
      reply_(std::move(reply)),
      choices_(prepared_.prompts.size() * static_cast<std::size_t>(request_.n_choices)) {}

void AnswerRun::Start(const House& house, ChatRequest request, PreparedRequest prepared,
                      std::unique_ptr<AnswerRenderer> renderer, std::shared_ptr<HttpReply> reply) {
  const std::shared_ptr<AnswerRun> run(new AnswerRun(house, std::move(request), std::move(prepared),
                                                     std::move(renderer), std::move(reply)));
  run->Begin();
}

void AnswerRun::Begin() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::size_t n_first = std::min(choices_.size(), kMostAtOnce);
  for (std::size_t i = 0; i < n_first; ++i) {
    ApiError error;
    if (SubmitNext(/*goes_on=*/false, &error)) continue;
    if (i > 0) break;  // the others follow when the first has ended
    over_ = true;
    reply_->Send(ErrorResponse(error, renderer_->error_form()));
    reply_.reset();
    return;
  }
  for (const PreparedPrompt& prompt : prepared_.prompts) {
    usage_.n_prompt += static_cast<std::int64_t>(prompt.tokens.size());
  }
  if (request_.stream) {
    HttpResponse head;
    head.content_type = renderer_->stream_content_type();
    head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
    reply_->Begin(std::move(head), renderer_->KeepAlive(), house_.keep_alive_ms);
    reply_->Write(renderer_->Begin(usage_.n_prompt));
  }
  reply_->OnGone([run = weak_from_this()] {
    if (const auto self = run.lock()) self->Cancel();
  });
}

GenerationRequest AnswerRun::MakeGeneration(std::size_t choice) const {
  const auto n_choices = static_cast<std::size_t>(request_.n_choices);
  const PreparedPrompt& prompt = prepared_.prompts[choice / n_choices];
  GenerationRequest generation;
  generation.prompt = prompt.tokens;
  generation.sampling = prepared_.sampling;
  generation.sampling.seed += choice % n_choices;
  if (prepared_.grammar != nullptr) {
    generation.constraint = std::make_unique<TokenConstraint>(prepared_.grammar, prepared_.trie);
  }
  if (request_.is_chat) {
    generation.reader = std::make_unique<OutputReader>(
        &house_.host->tokenizer(), house_.host->style(), prepared_.tools, prompt.text,
        prepared_.think, FormOf(request_, prepared_));
    // Where a call may come instead, the model writes what is around the text itself.
    const bool is_text = request_.format != AnswerFormat::kText && prepared_.tools.empty();
    if (is_text) generation.reader->HoldText();
  }
  generation.max_tokens = prepared_.max_tokens;
  generation.ignore_end_tokens = request_.ignore_end || prepared_.harmony;
  if (request_.n_logprobs) generation.n_top_logprobs = *request_.n_logprobs;
  generation.prompt_logprobs = request_.echo && request_.n_logprobs.has_value();
  generation.message_boundaries = prompt.boundaries;
  generation.side_request = request_.side_request;
  return generation;
}

void AnswerRun::MakeReader(std::size_t choice) {
  AnswerReaderOptions options;
  options.choice = static_cast<int>(choice);
  options.is_chat = request_.is_chat;
  options.style = house_.host->style();
  options.tools = prepared_.tools;
  options.prompt = prepared_.prompts[choice / static_cast<std::size_t>(request_.n_choices)].text;
  options.form = FormOf(request_, prepared_);
  options.stops = request_.stops;
  options.parallel_calls = request_.parallel_calls;
  options.details = request_.n_logprobs.has_value();
  const Tokenizer& tokenizer = house_.host->tokenizer();
  choices_[choice].reader = std::make_unique<AnswerReader>(tokenizer, std::move(options));
  if (!request_.echo || !request_.n_logprobs) return;
  TokenDetail first;  // which nothing predicts
  first.token = prepared_.prompts[choice / static_cast<std::size_t>(request_.n_choices)].tokens[0];
  first.bytes = std::string(tokenizer.TokenBytes(first.token));
  first.has_logprob = false;
  choices_[choice].prompt_tokens.push_back(std::move(first));
}

bool AnswerRun::SubmitNext(bool goes_on, ApiError* error) {
  const std::size_t choice = n_submitted_;
  if (choice == choices_.size()) return true;
  MakeReader(choice);
  GenerationRequest generation = MakeGeneration(choice);
  generation.goes_on = goes_on;
  const Result<RequestId> id = house_.generator->Submit(
      std::move(generation), std::make_shared<Listener>(shared_from_this(), choice));
  if (!id.ok()) {
    *error = ErrorFromStatus(id.status());
    if (error->status == 429) error->retry_after_seconds = house_.generator->RetryAfterSeconds();
    return false;
  }
  choices_[choice].id = *id;
  ++n_submitted_;
  return true;
}

// The prompt's text and tokens as the first piece of a streamed answer.
void AnswerRun::Echo(std::size_t choice) {
  if (!request_.stream || !request_.echo || choices_[choice].echoed) return;
  choices_[choice].echoed = true;
  const PreparedPrompt& prompt =
      prepared_.prompts[choice / static_cast<std::size_t>(request_.n_choices)];
  AnswerPiece piece;
  piece.choice = static_cast<int>(choice);
  piece.delta = {OutputDelta::Kind::kText, prompt.text, 0};
  piece.tokens = choices_[choice].prompt_tokens;
  std::vector<AnswerPiece> pieces;
  pieces.push_back(std::move(piece));
  Put(choice, std::move(pieces));
}

void AnswerRun::Put(std::size_t choice, std::vector<AnswerPiece> pieces) {
  std::string bytes;
  for (AnswerPiece& piece : pieces) {
    if (request_.stream) {
      bytes += renderer_->Piece(piece);
    } else {
      AppendPiece(std::move(piece), &choices_[choice].pieces);
    }
  }
  if (!bytes.empty()) reply_->Write(std::move(bytes));
}

void AnswerRun::OnProgress(std::size_t choice, std::int64_t n_done, std::int64_t n_total) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (over_ || !request_.stream || choice != 0) return;
  if (NowUs() - progress_us_ < kProgressUs) return;
  if (progress_us_ != 0) reply_->Write(renderer_->Progress(n_done, n_total));
  progress_us_ = NowUs();
}

void AnswerRun::OnPromptLogprobs(std::size_t choice, std::int64_t position,
                                 const Logprobs& logprobs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const PreparedPrompt& prompt =
      prepared_.prompts[choice / static_cast<std::size_t>(request_.n_choices)];
  const std::int32_t token = prompt.tokens[static_cast<std::size_t>(position)];
  choices_[choice].prompt_tokens.push_back(
      MakeTokenDetail(house_.host->tokenizer(), token, logprobs));
}

bool AnswerRun::OnToken(std::size_t choice, std::int32_t token, const Logprobs* logprobs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (over_) return false;
  Echo(choice);
  std::vector<AnswerPiece> pieces;
  const bool goes_on = choices_[choice].reader->OnToken(token, logprobs, &pieces);
  Put(choice, std::move(pieces));
  return goes_on;
}

void AnswerRun::OnFinished(std::size_t choice, const GenerationResult& result) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Choice& one = choices_[choice];
  one.ended = true;
  ++n_ended_;
  // A prompt's first choice tells what earlier requests left; the others read it from that one.
  if (choice % static_cast<std::size_t>(request_.n_choices) == 0) {
    usage_.n_reused += result.n_reused;
  }
  usage_.n_answer += result.n_generated;
  usage_.n_reasoning += one.reader->n_reasoning();
  usage_.queue_us = std::max(usage_.queue_us, result.queue_us);
  usage_.prompt_us += result.prompt_us;
  usage_.generation_us += result.generation_us;
  if (over_) return;
  const StopCause cause = CauseOf(result.reason);
  if (cause == StopCause::kError) {
    ApiError error = ErrorFromStatus(result.status);
    if (error.status < 500) error.status = 500;
    return Fail(error);
  }
  if (cause == StopCause::kCancelled) {
    return Fail(ApiError{503, "the server is stopping", "", "", 1});
  }
  Echo(choice);
  std::vector<AnswerPiece> pieces;
  one.end = one.reader->Finish(cause, &pieces);
  Put(choice, std::move(pieces));
  if (request_.stream) reply_->Write(renderer_->EndChoice(one.end));
  ApiError error;
  if (!SubmitNext(/*goes_on=*/true, &error)) return Fail(error);
  if (n_ended_ == choices_.size()) Finish();
}

ChoiceAnswer AnswerRun::AnswerOf(std::size_t choice) {
  Choice& one = choices_[choice];
  ChoiceAnswer answer;
  MessageBuilder builder;
  answer.tokens = std::move(one.prompt_tokens);
  for (const AnswerPiece& piece : one.pieces) {
    builder.Add(piece.delta);
    answer.tokens.insert(answer.tokens.end(), piece.tokens.begin(), piece.tokens.end());
  }
  for (TokenDetail& token : one.end.tokens) answer.tokens.push_back(std::move(token));
  answer.message = builder.BuildWithBrokenCalls();
  if (request_.echo) {
    answer.message.text =
        prepared_.prompts[choice / static_cast<std::size_t>(request_.n_choices)].text +
        answer.message.text.value_or("");
  }
  answer.pieces = std::move(one.pieces);
  answer.end = std::move(one.end);
  return answer;
}

void AnswerRun::Finish() {
  over_ = true;
  house_.metrics->CountAnswer(usage_);
  if (request_.stream) {
    reply_->Write(renderer_->End(usage_));
    reply_->End();
    reply_.reset();
    return;
  }
  std::vector<ChoiceAnswer> answers;
  for (std::size_t i = 0; i < choices_.size(); ++i) answers.push_back(AnswerOf(i));
  HttpResponse response;
  response.body = renderer_->Whole(answers, usage_);
  reply_->Send(std::move(response));
  reply_.reset();
}

void AnswerRun::Fail(const ApiError& error) {
  over_ = true;
  house_.metrics->CountFailure();
  if (request_.stream) {
    reply_->Write(renderer_->Fail(error));
    reply_->End();
  } else {
    reply_->Send(ErrorResponse(error, renderer_->error_form()));
  }
  reply_.reset();
  for (const Choice& one : choices_) {
    if (one.id != 0 && !one.ended) house_.generator->Cancel(one.id);
  }
}

void AnswerRun::Cancel() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (over_) return;
  over_ = true;
  house_.metrics->CountGone();
  reply_.reset();
  for (const Choice& one : choices_) {
    if (one.id != 0 && !one.ended) house_.generator->Cancel(one.id);
  }
}

}  // namespace larder

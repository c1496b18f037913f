// One request on its way: its choices submitted to the generator, their tokens read, and the answer
// written to the client, as a stream or whole; ended early when the client goes away. Callbacks
// come on the generator's thread and the server's; a lock orders them.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "server/answer.h"
#include "server/answer_reader.h"
#include "server/chat_request.h"
#include "server/generator.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/model_host.h"

namespace larder {

class AnswerRun : public std::enable_shared_from_this<AnswerRun> {
 public:
  /// `host`, `generator` and `metrics` outlive every run.
  struct House {
    ModelHost* host = nullptr;
    Generator* generator = nullptr;
    Metrics* metrics = nullptr;
    int keep_alive_ms = 10000;
  };

  /// Answers `reply` in time, whatever happens.
  static void Start(const House& house, ChatRequest request, PreparedRequest prepared,
                    std::unique_ptr<AnswerRenderer> renderer, std::shared_ptr<HttpReply> reply);

 private:
  class Listener;
  struct Choice {
    std::unique_ptr<AnswerReader> reader;
    RequestId id = 0;
    bool ended = false;
    bool echoed = false;
    std::vector<AnswerPiece> pieces;         // of an answer that is no stream
    std::vector<TokenDetail> prompt_tokens;  // of an echo
    ChoiceEnd end;
  };

  AnswerRun(const House& house, ChatRequest request, PreparedRequest prepared,
            std::unique_ptr<AnswerRenderer> renderer, std::shared_ptr<HttpReply> reply);
  void Begin();
  // The next choice, if any is left; `goes_on`: in the place of one that has ended.
  bool SubmitNext(bool goes_on, ApiError* error);
  GenerationRequest MakeGeneration(std::size_t choice) const;
  void MakeReader(std::size_t choice);
  void Echo(std::size_t choice);
  void Put(std::size_t choice, std::vector<AnswerPiece> pieces);
  void OnProgress(std::size_t choice, std::int64_t n_done, std::int64_t n_total);
  void OnPromptLogprobs(std::size_t choice, std::int64_t position, const Logprobs& logprobs);
  bool OnToken(std::size_t choice, std::int32_t token, const Logprobs* logprobs);
  void OnFinished(std::size_t choice, const GenerationResult& result);
  ChoiceAnswer AnswerOf(std::size_t choice);
  void Finish();
  void Fail(const ApiError& error);
  void Cancel();

  House house_;
  ChatRequest request_;
  PreparedRequest prepared_;
  std::unique_ptr<AnswerRenderer> renderer_;
  std::shared_ptr<HttpReply> reply_;
  std::mutex mutex_;
  std::vector<Choice> choices_;
  std::size_t n_submitted_ = 0;
  std::size_t n_ended_ = 0;
  bool over_ = false;  // nothing more goes to the client
  AnswerUsage usage_;
  std::int64_t progress_us_ = 0;  // when the client last heard
};

}  // namespace larder

// Any bytes as a request's body in every dialect: it is read or refused with a sentence, and what
// was read can be made ready for a model and answered, whole and as a stream, in valid JSON.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "server/anthropic.h"
#include "server/model_host.h"
#include "server/ollama.h"
#include "server/openai_chat.h"
#include "server/responses.h"
#include "text/vocabulary_testing.h"

namespace {

using larder::AnswerRenderer;
using larder::ApiError;
using larder::ChatRequest;
using larder::OrderedJson;

larder::ModelHost& Host() {
  static const larder::Metadata metadata = [] {
    larder::Metadata made = larder::SmallVocabulary("gpt-2", {}, {"<think>", "</think>"},
                                                    {"<|im_start|>", "<|im_end|>"});
    made.SetString("tokenizer.chat_template",
                   "{% for m in messages %}{{ m.role + (m.content or '') }}{% endfor %}"
                   "{% if tools %}{{ tools | tojson }}<function={% endif %}");
    return made;
  }();
  static const auto tokenizer = *larder::Tokenizer::FromMetadata(metadata);
  static const auto host = larder::ModelHost::Make(tokenizer.get(), &metadata, 4096, {});
  return *host;
}

std::optional<ApiError> Parse(int dialect, const OrderedJson& body, ChatRequest* request) {
  std::string errand;
  switch (dialect) {
    case 0:
      return ParseOpenAiChat(body, request);
    case 1:
      return ParseOpenAiText(body, request);
    case 2:
      return ParseAnthropic(body, false, request);
    case 3:
      return ParseResponses(body, request);
    case 4:
      return ParseOllamaChat(body, request, &errand);
    default:
      return ParseOllamaGenerate(body, request, &errand);
  }
}

std::unique_ptr<AnswerRenderer> MakeRenderer(int dialect, const OrderedJson& body,
                                             const ChatRequest& request) {
  switch (dialect) {
    case 0:
      return MakeOpenAiChatRenderer(request, "m");
    case 1:
      return MakeOpenAiTextRenderer(request, "m");
    case 2:
      return larder::MakeAnthropicRenderer(request, "m");
    case 3:
      return larder::MakeResponsesRenderer(body, "m");
    default:
      return larder::MakeOllamaRenderer(dialect == 4, request, "m");
  }
}

void CheckJson(const std::string& text) {
  if (!larder::ParseJson(text, "it").ok()) std::abort();
}

void Answer(AnswerRenderer* renderer) {
  renderer->Begin(5);
  renderer->Progress(1, 5);
  larder::AnswerPiece piece;
  using Kind = larder::OutputDelta::Kind;
  for (const auto& [kind, text] :
       {std::pair(Kind::kReasoning, "r"), std::pair(Kind::kText, "\xff"),
        std::pair(Kind::kCallBegin, "f"), std::pair(Kind::kCallArguments, "{}"),
        std::pair(Kind::kCallEnd, "")}) {
    piece.delta = {kind, text, 0};
    renderer->Piece(piece);
  }
  renderer->EndChoice(larder::ChoiceEnd());
  renderer->End(larder::AnswerUsage());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 20000) return 0;
  const int dialect = data[0] % 6;
  const auto body =
      larder::ParseBody(std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  if (!body.ok()) return 0;
  ChatRequest request;
  if (const auto error = Parse(dialect, *body, &request)) {
    if (error->message.empty() || error->status < 400) std::abort();
    CheckJson(ErrorJson(*error, larder::ErrorForm::kOpenAi));
    return 0;
  }
  larder::PreparedRequest prepared;
  if (const auto error = Host().Prepare(request, &prepared)) {
    if (error->message.empty()) std::abort();
    return 0;
  }
  if (prepared.prompts.empty() && !request.prompts.empty()) std::abort();
  Answer(MakeRenderer(dialect, *body, request).get());
  std::vector<larder::ChoiceAnswer> choices(1);
  choices[0].message.text = "\xc3";
  CheckJson(MakeRenderer(dialect, *body, request)->Whole(choices, larder::AnswerUsage()));
  return 0;
}

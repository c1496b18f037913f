// OpenAI's chat completions: the request read, the answer written. One thread per request.
#pragma once

#include <memory>
#include <optional>

#include "server/answer.h"
#include "server/chat_request.h"
#include "server/fields.h"

namespace larder {

/// POST /v1/chat/completions.
std::optional<ApiError> ParseOpenAiChat(const OrderedJson& body, ChatRequest* request);
std::unique_ptr<AnswerRenderer> MakeOpenAiChatRenderer(const ChatRequest& request,
                                                       const std::string& model);

/// POST /v1/completions. Text prompts and token ids, one or several; 16 tokens unless
/// the request says more, as the API has it.
std::optional<ApiError> ParseOpenAiText(const OrderedJson& body, ChatRequest* request);
std::unique_ptr<AnswerRenderer> MakeOpenAiTextRenderer(const ChatRequest& request,
                                                       const std::string& model);

}  // namespace larder

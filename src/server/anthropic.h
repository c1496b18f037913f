// Anthropic's messages: the request read, the answer written. One thread per request.
#pragma once

#include <memory>
#include <optional>

#include "server/answer.h"
#include "server/chat_request.h"
#include "server/fields.h"

namespace larder {

/// POST /v1/messages, and /v1/messages/count_tokens with `counting` (max_tokens may be missing).
std::optional<ApiError> ParseAnthropic(const OrderedJson& body, bool counting,
                                       ChatRequest* request);
std::unique_ptr<AnswerRenderer> MakeAnthropicRenderer(const ChatRequest& request,
                                                      const std::string& model);

}  // namespace larder

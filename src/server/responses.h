// OpenAI's responses: the request read, the answer written. Nothing is stored between requests. One
// thread per request.
#pragma once

#include <memory>
#include <optional>

#include "server/answer.h"
#include "server/chat_request.h"
#include "server/fields.h"

namespace larder {

/// POST /v1/responses.
std::optional<ApiError> ParseResponses(const OrderedJson& body, ChatRequest* request);
/// `body` is the request, of which the answer repeats some fields.
std::unique_ptr<AnswerRenderer> MakeResponsesRenderer(const OrderedJson& body,
                                                      const std::string& model);

}  // namespace larder

// Ollama's API: lines of JSON instead of events. One thread per request.
#pragma once

#include <memory>
#include <optional>

#include "server/answer.h"
#include "server/chat_request.h"
#include "server/fields.h"

namespace larder {

/// The version of Ollama's API that is spoken; clients look at it before they use newer parts.
inline constexpr const char* kOllamaVersion = "0.13.0";

/// POST /api/chat and /api/generate. A request without a prompt asks only that the model be there,
/// or with a `keep_alive` of 0 that it go (which is only said to have happened): `errand` is "load"
/// or "unload", otherwise empty.
std::optional<ApiError> ParseOllamaChat(const OrderedJson& body, ChatRequest* request,
                                        std::string* errand);
std::optional<ApiError> ParseOllamaGenerate(const OrderedJson& body, ChatRequest* request,
                                            std::string* errand);
/// `chat`: the answer stands in "message", otherwise in "response".
std::unique_ptr<AnswerRenderer> MakeOllamaRenderer(bool chat, const ChatRequest& request,
                                                   const std::string& model);
/// What a request without a prompt is answered with.
std::string OllamaErrandDone(bool chat, const std::string& errand, const std::string& model);

/// "2026-03-09T14:05:07.123456Z"
std::string OllamaTime(std::int64_t unix_us);

}  // namespace larder

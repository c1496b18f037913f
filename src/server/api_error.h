// A refusal or failure as the APIs tell it: which kind, a sentence, the field it is about. The
// dialects give it their own form. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "server/http.h"

namespace larder {

/// How a dialect's errors look.
enum class ErrorForm { kOpenAi, kAnthropic, kOllama };

struct ApiError {
  int status = 400;     // of HTTP
  std::string message;  // one sentence
  std::string param;    // the field, where one is wrong: "messages[0].role"
  std::string code;     // where clients look for one: "context_length_exceeded"
  int retry_after_seconds = 0;
};

ApiError BadField(std::string param, std::string message);
/// By the status's code: 400 for what the caller can mend, 429 for a full queue, 500 for the rest.
ApiError ErrorFromStatus(const Status& status);

/// The error's JSON, for a body or an event of a stream.
std::string ErrorJson(const ApiError& error, ErrorForm form);
HttpResponse ErrorResponse(const ApiError& error, ErrorForm form);

/// The form that clients of this path expect.
ErrorForm ErrorFormOf(std::string_view path);

}  // namespace larder

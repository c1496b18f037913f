// Errors as OpenAI, Anthropic and Ollama write them.
#include "server/api_error.h"

#include "text/message_json.h"

namespace larder {

namespace {

const char* OpenAiType(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

const char* AnthropicType(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

ApiError BadField(std::string param, std::string message) {
  ApiError error;
  error.message = "'" + param + "' " + message;
  error.param = std::move(param);
  return error;
}

ApiError ErrorFromStatus(const Status& status) {
  ApiError error;
  error.message = status.message();
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kUnsupported:
      error.status = 400;
      break;
    case StatusCode::kNotFound:
      error.status = 404;
      break;
    case StatusCode::kUnavailable:
      error.status = 429;
      break;
    default:
      error.status = 500;
  }
  return error;
}

std::string ErrorJson(const ApiError& error, ErrorForm form) {
  OrderedJson json;
  switch (form) {
    case ErrorForm::kOpenAi:
      json["error"] = {{"message", error.message},
                       {"type", OpenAiType(error.status)},
                       {"param", error.param.empty() ? OrderedJson() : OrderedJson(error.param)},
                       {"code", error.code.empty() ? OrderedJson() : OrderedJson(error.code)}};
      break;
    case ErrorForm::kAnthropic:
      json["type"] = "error";
      json["error"] = {{"type", AnthropicType(error.status)}, {"message", error.message}};
      json["request_id"] = nullptr;
      break;
    case ErrorForm::kOllama:
      json["error"] = error.message;
      break;
  }
  return JsonText(json);
}

HttpResponse ErrorResponse(const ApiError& error, ErrorForm form) {
  HttpResponse response;
  response.status = error.status;
  response.body = ErrorJson(error, form);
  if (error.retry_after_seconds > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(error.retry_after_seconds));
  }
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

ErrorForm ErrorFormOf(std::string_view path) {
  if (path.rfind("/v1/messages", 0) == 0) return ErrorForm::kAnthropic;
  if (path.rfind("/api/", 0) == 0) return ErrorForm::kOllama;
  return ErrorForm::kOpenAi;
}

}  // namespace larder

// The server's own description, served at /openapi.json: every path, what it takes and gives, as
// exactly as clients and checkers can use it.
#include "server/service.h"

namespace larder {

namespace {

// In two parts: compilers need not take string literals above 64 KiB.
constexpr const char* kPaths = R"json({
"openapi": "3.1.0",
"info": {"title": "Larder", "version": "1", "description": "A Mixture-of-Experts model behind the OpenAI, Anthropic and Ollama APIs. Unknown fields are ignored, null counts as absent."},
"components": {
 "securitySchemes": {
  "bearer": {"type": "http", "scheme": "bearer"},
  "header": {"type": "apiKey", "in": "header", "name": "x-api-key"}
 },
 "responses": {
  "OpenAiError": {"description": "refused", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAiError"}}}},
  "AnthropicError": {"description": "refused", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AnthropicError"}}}},
  "OllamaError": {"description": "refused", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OllamaError"}}}}
 },
 "schemas": {
  "OpenAiError": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object", "required": ["message", "type", "param", "code"], "properties": {"message": {"type": "string"}, "type": {"type": "string"}, "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}}}},
  "AnthropicError": {"type": "object", "required": ["type", "error"], "properties": {"type": {"const": "error"}, "error": {"type": "object", "required": ["type", "message"], "properties": {"type": {"type": "string"}, "message": {"type": "string"}}}}},
  "OllamaError": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
  "Token": {"type": "integer", "minimum": 0, "maximum": LAST_TOKEN},
  "Temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
  "Share": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
  "Penalty": {"type": ["number", "null"], "minimum": -100, "maximum": 100},
  "TopK": {"type": ["integer", "null"], "minimum": -1, "maximum": 2147483647},
  "Seed": {"type": ["integer", "null"], "minimum": -9223372036854775808, "maximum": 9223372036854775807},
  "MaxTokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 1099511627776},
  "Rivals": {"type": "integer", "minimum": 0, "maximum": 20},
  "Stop": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1}}, {"type": "null"}]},
  "StreamOptions": {"type": ["object", "null"], "properties": {"include_usage": {"type": ["boolean", "null"]}}},
  "TextPart": {"type": "object", "required": ["type", "text"], "properties": {"type": {"const": "text"}, "text": {"type": "string"}}},
  "ChatPart": {"type": "object", "required": ["text"], "properties": {"type": {"const": "text"}, "text": {"type": "string"}}},
  "ChatContent": {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/ChatPart"}]}}]},
  "ToolCalls": {"type": ["array", "null"], "items": {"type": "object", "required": ["function"], "properties": {"id": {"type": ["string", "null"]}, "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}, "arguments": {"type": ["object", "null"]}}}}}},
  "ChatMessage": {"type": "object", "required": ["role"], "properties": {"role": {"enum": ["system", "developer", "user", "assistant", "tool"]}, "content": {"$ref": "#/components/schemas/ChatContent"}, "name": {"type": ["string", "null"]}, "tool_call_id": {"type": ["string", "null"]}, "reasoning_content": {"type": ["string", "null"]}, "reasoning": {"type": ["string", "null"]}, "thinking": {"type": ["string", "null"]}, "tool_calls": {"$ref": "#/components/schemas/ToolCalls"}}},
  "Function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}, "parameters": {"type": ["object", "null"]}}},
  "ChatTool": {"type": "object", "required": ["function"], "properties": {"type": {"const": "function"}, "function": {"$ref": "#/components/schemas/Function"}}},
  "Usage": {"type": "object", "required": ["prompt_tokens", "completion_tokens", "total_tokens"], "properties": {"prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}}},
  "ChatRequest": {"type": "object", "required": ["messages"], "properties": {
   "model": {"type": ["string", "null"]},
   "messages": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/ChatMessage"}},
   "tools": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/ChatTool"}},
   "tool_choice": {"enum": ["auto", "none", null]},
   "parallel_tool_calls": {"type": ["boolean", "null"]},
   "response_format": {"type": ["object", "null"], "required": ["type"], "properties": {"type": {"const": "text"}}},
   "stream": {"type": ["boolean", "null"]}, "stream_options": {"$ref": "#/components/schemas/StreamOptions"},
   "max_tokens": {"$ref": "#/components/schemas/MaxTokens"}, "max_completion_tokens": {"$ref": "#/components/schemas/MaxTokens"},
   "temperature": {"$ref": "#/components/schemas/Temperature"}, "top_p": {"$ref": "#/components/schemas/Share"}, "min_p": {"$ref": "#/components/schemas/Share"}, "top_k": {"$ref": "#/components/schemas/TopK"},
   "presence_penalty": {"$ref": "#/components/schemas/Penalty"}, "frequency_penalty": {"$ref": "#/components/schemas/Penalty"},
   "seed": {"$ref": "#/components/schemas/Seed"}, "stop": {"$ref": "#/components/schemas/Stop"},
   "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 8},
   "logprobs": {"type": ["boolean", "null"]},
   "reasoning_effort": {"enum": ["none", "minimal", "low", "medium", "high", "xhigh", null]},
   "chat_template_kwargs": {"type": ["object", "null"], "properties": {"enable_thinking": {"type": ["boolean", "null"]}}},
   "user": {"type": ["string", "null"]}}},
  "ChatAnswer": {"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"], "properties": {"id": {"type": "string"}, "object": {"const": "chat.completion"}, "created": {"type": "integer"}, "model": {"type": "string"}, "choices": {"type": "array", "items": {"type": "object", "required": ["index", "message", "finish_reason"], "properties": {"index": {"type": "integer"}, "message": {"type": "object", "required": ["role", "content"], "properties": {"role": {"const": "assistant"}, "content": {"type": ["string", "null"]}, "reasoning_content": {"type": "string"}, "tool_calls": {"type": "array"}}}, "finish_reason": {"enum": ["stop", "length", "tool_calls"]}}}}, "usage": {"$ref": "#/components/schemas/Usage"}}},
  "TextRequest": {"type": "object", "required": ["prompt"], "properties": {
   "model": {"type": ["string", "null"]},
   "prompt": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "maxItems": 256, "items": {"type": "string", "minLength": 1}}, {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Token"}}, {"type": "array", "minItems": 1, "maxItems": 256, "items": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Token"}}}]},
   "max_tokens": {"type": ["integer", "null"], "minimum": 0, "maximum": 1099511627776},
   "temperature": {"$ref": "#/components/schemas/Temperature"}, "top_p": {"$ref": "#/components/schemas/Share"}, "min_p": {"$ref": "#/components/schemas/Share"}, "top_k": {"$ref": "#/components/schemas/TopK"},
   "presence_penalty": {"$ref": "#/components/schemas/Penalty"}, "frequency_penalty": {"$ref": "#/components/schemas/Penalty"},
   "seed": {"$ref": "#/components/schemas/Seed"}, "stop": {"$ref": "#/components/schemas/Stop"},
   "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 8},
   "logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": 20},
   "echo": {"type": ["boolean", "null"]}, "stream": {"type": ["boolean", "null"]}, "stream_options": {"$ref": "#/components/schemas/StreamOptions"}, "user": {"type": ["string", "null"]}}},
  "TextAnswer": {"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"], "properties": {"object": {"const": "text_completion"}, "choices": {"type": "array", "items": {"type": "object", "required": ["index", "text", "logprobs", "finish_reason"], "properties": {"text": {"type": "string"}, "logprobs": {"type": ["object", "null"]}, "finish_reason": {"enum": ["stop", "length"]}}}}, "usage": {"$ref": "#/components/schemas/Usage"}}},
)json";

constexpr const char* kMoreSchemas = R"json(
  "InputPart": {"type": "object", "required": ["type", "text"], "properties": {"type": {"enum": ["input_text", "output_text"]}, "text": {"type": "string"}}},
  "InputItem": {"type": "object", "required": ["role", "content"], "properties": {"type": {"enum": ["message", null]}, "role": {"enum": ["user", "assistant", "system", "developer"]}, "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/InputPart"}}]}}},
  "ResponsesRequest": {"type": "object", "required": ["input"], "properties": {
   "model": {"type": ["string", "null"]}, "instructions": {"type": ["string", "null"]},
   "input": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/InputItem"}}]},
   "max_output_tokens": {"$ref": "#/components/schemas/MaxTokens"}, "temperature": {"$ref": "#/components/schemas/Temperature"}, "top_p": {"$ref": "#/components/schemas/Share"},
   "parallel_tool_calls": {"type": ["boolean", "null"]}, "stream": {"type": ["boolean", "null"]}, "store": {"type": ["boolean", "null"]}, "background": {"enum": [false, null]},
   "previous_response_id": {"type": "null"}, "conversation": {"type": "null"}, "prompt": {"type": "null"},
   "tools": {"type": ["array", "null"], "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string", "minLength": 1}}}},
   "tool_choice": {"enum": ["auto", "none", null]},
   "reasoning": {"type": ["object", "null"], "properties": {"effort": {"enum": ["none", "minimal", "low", "medium", "high", "xhigh", null]}}},
   "text": {"type": ["object", "null"], "properties": {"format": {"type": ["object", "null"], "required": ["type"], "properties": {"type": {"const": "text"}}}}},
   "metadata": {"type": ["object", "null"]}}},
  "Response": {"type": "object", "required": ["id", "object", "created_at", "status", "model", "output", "usage"], "properties": {"id": {"type": "string"}, "object": {"const": "response"}, "status": {"enum": ["completed", "incomplete"]}, "output": {"type": "array", "items": {"type": "object", "required": ["type", "id"]}}}},
  "AnthropicText": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/TextPart"}}]},
  "CountRequest": {"type": "object", "required": ["messages"], "properties": {
   "model": {"type": ["string", "null"]}, "system": {"anyOf": [{"$ref": "#/components/schemas/AnthropicText"}, {"type": "null"}]},
   "messages": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["role", "content"], "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"$ref": "#/components/schemas/AnthropicText"}}}},
   "tools": {"type": ["array", "null"], "items": {"type": "object", "required": ["name", "input_schema"], "properties": {"name": {"type": "string", "minLength": 1}, "description": {"type": ["string", "null"]}, "input_schema": {"type": "object"}}}},
   "tool_choice": {"type": ["object", "null"], "required": ["type"], "properties": {"type": {"enum": ["auto", "none"]}, "disable_parallel_tool_use": {"type": ["boolean", "null"]}}},
   "thinking": {"type": ["object", "null"], "required": ["type"], "properties": {"type": {"enum": ["enabled", "adaptive", "disabled"]}, "budget_tokens": {"$ref": "#/components/schemas/MaxTokens"}}}}},
  "MessagesRequest": {"allOf": [{"$ref": "#/components/schemas/CountRequest"}, {"type": "object", "required": ["max_tokens"], "properties": {
   "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1099511627776}, "stream": {"type": ["boolean", "null"]},
   "temperature": {"$ref": "#/components/schemas/Temperature"}, "top_p": {"$ref": "#/components/schemas/Share"}, "top_k": {"type": ["integer", "null"], "minimum": 0, "maximum": 2147483647},
   "stop_sequences": {"$ref": "#/components/schemas/Stop"}, "metadata": {"type": ["object", "null"]}}}]},
  "MessagesAnswer": {"type": "object", "required": ["id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"], "properties": {"type": {"const": "message"}, "role": {"const": "assistant"}, "content": {"type": "array"}, "stop_reason": {"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use"]}, "stop_sequence": {"type": ["string", "null"]}}},
  "OllamaOptions": {"type": ["object", "null"], "properties": {"temperature": {"$ref": "#/components/schemas/Temperature"}, "top_p": {"$ref": "#/components/schemas/Share"}, "top_k": {"$ref": "#/components/schemas/TopK"}, "min_p": {"$ref": "#/components/schemas/Share"}, "seed": {"$ref": "#/components/schemas/Seed"}, "num_predict": {"type": ["integer", "null"], "minimum": -2, "maximum": 1099511627776}, "stop": {"$ref": "#/components/schemas/Stop"}, "presence_penalty": {"$ref": "#/components/schemas/Penalty"}, "frequency_penalty": {"$ref": "#/components/schemas/Penalty"}, "repeat_last_n": {"type": ["integer", "null"], "minimum": -1, "maximum": 2147483647}}},
  "OllamaChat": {"type": "object", "properties": {
   "model": {"type": ["string", "null"]}, "stream": {"type": ["boolean", "null"]}, "think": {"type": ["boolean", "null"]}, "options": {"$ref": "#/components/schemas/OllamaOptions"},
   "messages": {"type": ["array", "null"], "items": {"type": "object", "required": ["role"], "properties": {"role": {"enum": ["system", "user", "assistant", "tool"]}, "content": {"$ref": "#/components/schemas/ChatContent"}, "thinking": {"type": ["string", "null"]}, "reasoning": {"type": ["string", "null"]}, "reasoning_content": {"type": ["string", "null"]}, "name": {"type": ["string", "null"]}, "tool_call_id": {"type": ["string", "null"]}, "tool_calls": {"$ref": "#/components/schemas/ToolCalls"}, "images": {"type": ["array", "null"], "maxItems": 0}, "tool_name": {"type": ["string", "null"]}}}},
   "logprobs": {"type": ["boolean", "null"]}, "top_logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": 20},
   "tools": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/ChatTool"}}}},
  "OllamaGenerate": {"type": "object", "properties": {
   "model": {"type": ["string", "null"]}, "stream": {"type": ["boolean", "null"]}, "think": {"type": ["boolean", "null"]}, "options": {"$ref": "#/components/schemas/OllamaOptions"},
   "prompt": {"type": ["string", "null"]}, "system": {"type": ["string", "null"]}, "raw": {"type": ["boolean", "null"]}, "suffix": {"enum": ["", null]}, "template": {"enum": ["", null]}, "images": {"type": ["array", "null"], "maxItems": 0},
   "logprobs": {"type": ["boolean", "null"]}, "top_logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": 20}}},
  "OllamaLine": {"type": "object", "required": ["model", "created_at", "done"], "properties": {"model": {"type": "string"}, "created_at": {"type": "string"}, "done": {"type": "boolean"}}}
 }
},
)json";

// One operation: a path, a method, what it takes (or ""), what it gives, its stream's type (or "").
struct Operation {
  const char* path;
  const char* method;
  const char* request;
  const char* answer;
  const char* stream;
  const char* error;
};

constexpr const char* kAnyObject = R"({"type": "object"})";

constexpr Operation kOperations[] = {
    {"/health", "get", "", kAnyObject, "", "OpenAiError"},
    {"/metrics", "get", "", "", "text/plain", "OpenAiError"},
    {"/", "get", "", "", "text/plain", "OpenAiError"},
    {"/openapi.json", "get", "", kAnyObject, "", "OpenAiError"},
    {"/props", "get", "", kAnyObject, "", "OpenAiError"},
    {"/slots", "get", "", kAnyObject, "", "OpenAiError"},
    {"/v1/models", "get", "", R"({"type": "object", "required": ["object", "data"]})", "",
     "OpenAiError"},
    {"/tokenizer_info", "get", "", kAnyObject, "", "OpenAiError"},
    {"/tokenize", "post",
     R"({"type": "object", "anyOf": [{"required": ["content"], "properties": {"content": {"type": "string"}}}, {"required": ["prompt"], "properties": {"prompt": {"type": "string"}}}], "properties": {"content": {"type": ["string", "null"]}, "prompt": {"type": ["string", "null"]}, "add_special": {"type": ["boolean", "null"]}, "add_special_tokens": {"type": ["boolean", "null"]}, "parse_special": {"type": ["boolean", "null"]}, "with_pieces": {"type": ["boolean", "null"]}}})",
     R"({"type": "object", "required": ["tokens"], "properties": {"tokens": {"type": "array"}}})",
     "", "OpenAiError"},
    {"/detokenize", "post",
     R"({"type": "object", "required": ["tokens"], "properties": {"tokens": {"type": "array", "items": {"$ref": "#/components/schemas/Token"}}}})",
     R"({"type": "object", "required": ["content"], "properties": {"content": {"type": "string"}}})",
     "", "OpenAiError"},
    {"/apply-template", "post", R"({"$ref": "#/components/schemas/ChatRequest"})",
     R"({"type": "object", "required": ["prompt"]})", "", "OpenAiError"},
    {"/v1/chat/completions", "post", R"({"$ref": "#/components/schemas/ChatRequest"})",
     R"({"$ref": "#/components/schemas/ChatAnswer"})", "text/event-stream", "OpenAiError"},
    {"/v1/completions", "post", R"({"$ref": "#/components/schemas/TextRequest"})",
     R"({"$ref": "#/components/schemas/TextAnswer"})", "text/event-stream", "OpenAiError"},
    {"/v1/responses", "post", R"({"$ref": "#/components/schemas/ResponsesRequest"})",
     R"({"$ref": "#/components/schemas/Response"})", "text/event-stream", "OpenAiError"},
    {"/v1/messages", "post", R"({"$ref": "#/components/schemas/MessagesRequest"})",
     R"({"$ref": "#/components/schemas/MessagesAnswer"})", "text/event-stream", "AnthropicError"},
    {"/v1/messages/count_tokens", "post", R"({"$ref": "#/components/schemas/CountRequest"})",
     R"({"type": "object", "required": ["input_tokens"]})", "", "AnthropicError"},
    {"/api/version", "get", "", kAnyObject, "", "OllamaError"},
    {"/api/tags", "get", "", kAnyObject, "", "OllamaError"},
    {"/api/ps", "get", "", kAnyObject, "", "OllamaError"},
    {"/api/show", "post",
     R"({"type": "object", "properties": {"model": {"type": ["string", "null"]}, "name": {"type": ["string", "null"]}}})",
     kAnyObject, "", "OllamaError"},
    {"/api/chat", "post", R"({"$ref": "#/components/schemas/OllamaChat"})",
     R"({"$ref": "#/components/schemas/OllamaLine"})", "application/x-ndjson", "OllamaError"},
    {"/api/generate", "post", R"({"$ref": "#/components/schemas/OllamaGenerate"})",
     R"({"$ref": "#/components/schemas/OllamaLine"})", "application/x-ndjson", "OllamaError"},
};

std::string OperationText(const Operation& one) {
  std::string content;
  if (one.answer[0] != '\0') {
    content = fmt::format(R"("application/json": {{"schema": {}}})", one.answer);
  }
  if (one.stream[0] != '\0') {
    content += content.empty() ? "" : ", ";
    content += fmt::format(R"("{}": {{"schema": {{}}}})", one.stream);
  }
  std::string body;
  if (one.request[0] != '\0') {
    body = fmt::format(
        R"("requestBody": {{"required": true, "content": {{"application/json": {{"schema": {}}}}}}}, )",
        one.request);
  }
  return fmt::format(
      R"("{}": {{"{}": {{{}"responses": {{"200": {{"description": "the answer", "content": {{{}}}}}, )"
      R"("4XX": {{"$ref": "#/components/responses/{}"}}, "5XX": {{"$ref": "#/components/responses/{}"}}}}}}}})",
      one.path, one.method, body, content, one.error, one.error);
}

}  // namespace

std::string OpenApiText(std::int64_t n_vocab) {
  constexpr std::string_view kLastToken = "LAST_TOKEN";
  std::string text = std::string(kPaths) + kMoreSchemas + "\"paths\": {\n";
  text.replace(text.find(kLastToken), kLastToken.size(), std::to_string(n_vocab - 1));
  bool first = true;
  for (const Operation& one : kOperations) {
    text += (first ? "" : ",\n") + OperationText(one);
    first = false;
  }
  return text + "\n}}\n";
}

}  // namespace larder

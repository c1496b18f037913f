// The server's own description, served at /openapi.json: every path, what it takes and gives, as
// exactly as clients and checkers can use it.
#include "server/service.h"

namespace larder {

namespace {

// In two parts: compilers need not take string literals above 64 KiB.
constexpr const char* kPaths = R"json({
"openapi": "3.1.0",
"info": {"title": "Larder", "version": "1", "description": "A Mixture-of-Experts model behind the OpenAI, Anthropic and Ollama APIs. Unknown fields are ignored, null counts as absent. What a schema cannot say: a tool that must be called is among the tools, a JSON schema uses only the words of docs/constrained-output.md, top_logprobs needs logprobs, best_of is as large as n, the input of a response without instructions is more than reasoning, a message that is gone on with follows another, stop texts have at most 64 KiB together, tools (at most 512 functions) 8 MiB, the texts of tokens to detokenize 8 MiB; results of tools count among a conversation's 100,000 messages. Keys are asked for where the server was started with some."},
"security": [{"bearer": []}, {"header": []}, {}],
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
  "Flag": {"type": ["boolean", "null"]},
  "Text": {"type": ["string", "null"]},
  "AnyObject": {"type": ["object", "null"]},
  "Token": {"type": "integer", "minimum": 0, "maximum": LAST_TOKEN},
  "Temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
  "Share": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
  "Penalty": {"type": ["number", "null"], "minimum": -100, "maximum": 100},
  "RepeatPenalty": {"type": ["number", "null"], "minimum": 0.01, "maximum": 100},
  "TopK": {"type": ["integer", "null"], "minimum": -1, "maximum": 2147483647},
  "Seed": {"type": ["integer", "null"], "minimum": -9223372036854775808, "maximum": 9223372036854775807},
  "Choices": {"type": ["integer", "null"], "minimum": 1, "maximum": 8},
  "MaxTokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 1099511627776},
  "Rivals": {"type": ["integer", "null"], "minimum": 0, "maximum": 20},
  "LogitBias": {"type": ["object", "null"], "description": "token ids as texts, and what is added to their logits", "propertyNames": {"pattern": "^[0-9]+$"}, "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}},
  "Stop": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1}}, {"type": "null"}]},
  "StreamOptions": {"type": ["object", "null"], "properties": {"include_usage": {"$ref": "#/components/schemas/Flag"}}},
  "Effort": {"enum": ["none", "minimal", "low", "medium", "high", "xhigh", null]},
  "Schema": {"type": ["object", "boolean"], "description": "a JSON schema"},
  "FlatFormat": {"anyOf": [{"type": "null"}, {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["text", "json_object"]}}}, {"type": "object", "required": ["type", "schema"], "properties": {"type": {"const": "json_schema"}, "schema": {"$ref": "#/components/schemas/Schema"}}}]},
  "Format": {"anyOf": [{"type": "null"}, {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["text", "json_object"]}}}, {"type": "object", "required": ["type", "json_schema"], "properties": {"type": {"const": "json_schema"}, "json_schema": {"type": "object", "required": ["schema"], "properties": {"schema": {"$ref": "#/components/schemas/Schema"}}}}}]},
  "Common": {"type": "object", "properties": {
   "model": {"$ref": "#/components/schemas/Text"}, "user": {"$ref": "#/components/schemas/Text"},
   "temperature": {"$ref": "#/components/schemas/Temperature"}, "top_p": {"$ref": "#/components/schemas/Share"}, "min_p": {"$ref": "#/components/schemas/Share"}, "top_k": {"$ref": "#/components/schemas/TopK"},
   "presence_penalty": {"$ref": "#/components/schemas/Penalty"}, "frequency_penalty": {"$ref": "#/components/schemas/Penalty"},
   "repeat_penalty": {"$ref": "#/components/schemas/RepeatPenalty"}, "repetition_penalty": {"$ref": "#/components/schemas/RepeatPenalty"}, "repeat_last_n": {"type": ["integer", "null"], "minimum": 0, "maximum": 2147483647},
   "seed": {"$ref": "#/components/schemas/Seed"}, "logit_bias": {"$ref": "#/components/schemas/LogitBias"}, "stop": {"$ref": "#/components/schemas/Stop"},
   "n": {"$ref": "#/components/schemas/Choices"}, "ignore_eos": {"$ref": "#/components/schemas/Flag"},
   "stream": {"$ref": "#/components/schemas/Flag"}, "stream_options": {"$ref": "#/components/schemas/StreamOptions"}}},
  "TextPart": {"type": "object", "required": ["type", "text"], "properties": {"type": {"const": "text"}, "text": {"type": "string"}}},
  "ChatPart": {"type": "object", "required": ["text"], "properties": {"type": {"const": "text"}, "text": {"type": "string"}}},
  "ChatContent": {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/ChatPart"}]}}]},
  "Call": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}, "arguments": {"type": ["object", "string", "null"], "description": "an object or its text; of a call that was cut off, what there is"}}},
  "ToolCalls": {"type": ["array", "null"], "items": {"anyOf": [{"type": "object", "required": ["function"], "properties": {"id": {"$ref": "#/components/schemas/Text"}, "function": {"$ref": "#/components/schemas/Call"}}}, {"allOf": [{"$ref": "#/components/schemas/Call"}, {"type": "object", "properties": {"id": {"$ref": "#/components/schemas/Text"}, "function": false}}]}]}},
  "ChatMessage": {"type": "object", "required": ["role"], "properties": {"role": {"enum": ["system", "developer", "user", "assistant", "tool"]}, "content": {"$ref": "#/components/schemas/ChatContent"}, "name": {"$ref": "#/components/schemas/Text"}, "tool_call_id": {"$ref": "#/components/schemas/Text"}, "reasoning_content": {"$ref": "#/components/schemas/Text"}, "reasoning": {"$ref": "#/components/schemas/Text"}, "thinking": {"$ref": "#/components/schemas/Text"}, "tool_calls": {"$ref": "#/components/schemas/ToolCalls"}}},
  "Named": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}},
  "Function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}, "description": {}, "parameters": {"$ref": "#/components/schemas/AnyObject"}}},
  "ChatTool": {"anyOf": [{"type": "object", "required": ["function"], "properties": {"type": {"const": "function"}, "function": {"$ref": "#/components/schemas/Function"}}}, {"allOf": [{"$ref": "#/components/schemas/Function"}, {"type": "object", "properties": {"type": {"const": "function"}, "function": false}}]}]},
  "ChatTools": {"type": ["array", "null"], "maxItems": 512, "items": {"$ref": "#/components/schemas/ChatTool"}},
  "Usage": {"type": "object", "required": ["prompt_tokens", "completion_tokens", "total_tokens"], "properties": {"prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}}},
  "ChatRequest": {"allOf": [{"$ref": "#/components/schemas/Common"}, {"type": "object", "required": ["messages"], "properties": {
   "messages": {"type": "array", "minItems": 1, "maxItems": 100000, "items": {"$ref": "#/components/schemas/ChatMessage"}},
   "tools": {"$ref": "#/components/schemas/ChatTools"},
   "tool_choice": {"anyOf": [{"enum": ["auto", "none", "required", null]}, {"type": "object", "required": ["function"], "properties": {"function": {"$ref": "#/components/schemas/Named"}}}, {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}, "function": false}}]},
   "parallel_tool_calls": {"$ref": "#/components/schemas/Flag"},
   "response_format": {"$ref": "#/components/schemas/Format"},
   "modalities": {"anyOf": [{"enum": ["text", null]}, {"type": "array", "items": {"const": "text"}}]},
   "max_tokens": {"$ref": "#/components/schemas/MaxTokens"}, "max_completion_tokens": {"$ref": "#/components/schemas/MaxTokens"},
   "logprobs": {"$ref": "#/components/schemas/Flag"}, "top_logprobs": {"$ref": "#/components/schemas/Rivals"},
   "reasoning_effort": {"$ref": "#/components/schemas/Effort"},
   "continue_final_message": {"$ref": "#/components/schemas/Flag"},
   "chat_template_kwargs": {"type": ["object", "null"], "properties": {"enable_thinking": {"$ref": "#/components/schemas/Flag"}}}}}]},
  "ChatAnswer": {"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"], "properties": {"id": {"type": "string"}, "object": {"const": "chat.completion"}, "created": {"type": "integer"}, "model": {"type": "string"}, "choices": {"type": "array", "items": {"type": "object", "required": ["index", "message", "finish_reason"], "properties": {"index": {"type": "integer"}, "message": {"type": "object", "required": ["role", "content"], "properties": {"role": {"const": "assistant"}, "content": {"type": ["string", "null"]}, "reasoning_content": {"type": "string"}, "tool_calls": {"type": "array"}}}, "finish_reason": {"enum": ["stop", "length", "tool_calls"]}}}}, "usage": {"$ref": "#/components/schemas/Usage"}}},
  "TextRequest": {"allOf": [{"$ref": "#/components/schemas/Common"}, {"type": "object", "required": ["prompt"], "properties": {
   "prompt": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "maxItems": 256, "items": {"type": "string", "minLength": 1}}, {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Token"}}, {"type": "array", "minItems": 1, "maxItems": 256, "items": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Token"}}}]},
   "max_tokens": {"type": ["integer", "null"], "minimum": 0, "maximum": 1099511627776},
   "best_of": {"$ref": "#/components/schemas/Choices"}, "suffix": {"enum": ["", null]},
   "logprobs": {"$ref": "#/components/schemas/Rivals"},
   "response_format": {"$ref": "#/components/schemas/Format"},
   "echo": {"$ref": "#/components/schemas/Flag"}}}]},
  "TextAnswer": {"type": "object", "required": ["id", "object", "created", "model", "choices", "usage"], "properties": {"object": {"const": "text_completion"}, "choices": {"type": "array", "items": {"type": "object", "required": ["index", "text", "logprobs", "finish_reason"], "properties": {"text": {"type": "string"}, "logprobs": {"type": ["object", "null"]}, "finish_reason": {"enum": ["stop", "length"]}}}}, "usage": {"$ref": "#/components/schemas/Usage"}}},
)json";

constexpr const char* kMoreSchemas = R"json(
  "InputPart": {"anyOf": [{"type": "object", "required": ["type", "text"], "properties": {"type": {"enum": ["input_text", "output_text", "text", "summary_text", "reasoning_text"]}, "text": {"type": "string"}}}, {"type": "object", "required": ["type"], "properties": {"type": {"const": "refusal"}, "refusal": {"$ref": "#/components/schemas/Text"}}}]},
  "InputParts": {"type": "array", "items": {"$ref": "#/components/schemas/InputPart"}},
  "InputText": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/InputParts"}]},
  "InputReasoning": {"anyOf": [{"$ref": "#/components/schemas/InputParts"}, {"type": "null"}]},
  "InputItem": {"anyOf": [
   {"type": "object", "required": ["role", "content"], "properties": {"type": {"enum": ["message", null]}, "role": {"enum": ["user", "assistant", "system", "developer"]}, "content": {"$ref": "#/components/schemas/InputText"}}},
   {"type": "object", "required": ["type", "name"], "properties": {"type": {"const": "function_call"}, "call_id": {"$ref": "#/components/schemas/Text"}, "name": {"type": "string", "minLength": 1}, "arguments": {"$ref": "#/components/schemas/Text"}}},
   {"type": "object", "required": ["type", "output"], "properties": {"type": {"const": "function_call_output"}, "call_id": {"$ref": "#/components/schemas/Text"}, "output": {"$ref": "#/components/schemas/InputText"}}},
   {"type": "object", "required": ["type"], "properties": {"type": {"const": "reasoning"}, "content": {"$ref": "#/components/schemas/InputReasoning"}, "summary": {"$ref": "#/components/schemas/InputReasoning"}}}]},
  "ResponsesTool": {"anyOf": [{"type": "object", "required": ["type", "name"], "properties": {"type": {"const": "function"}, "name": {"type": "string", "minLength": 1}, "description": {}, "parameters": {"$ref": "#/components/schemas/AnyObject"}}}, {"type": "object", "required": ["type"], "properties": {"type": {"type": "string", "minLength": 1, "not": {"const": "function"}}}}]},
  "ResponsesRequest": {"type": "object", "required": ["input"], "properties": {
   "model": {"$ref": "#/components/schemas/Text"}, "instructions": {"$ref": "#/components/schemas/Text"},
   "input": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "maxItems": 100000, "items": {"$ref": "#/components/schemas/InputItem"}}]},
   "max_output_tokens": {"$ref": "#/components/schemas/MaxTokens"}, "temperature": {"$ref": "#/components/schemas/Temperature"}, "top_p": {"$ref": "#/components/schemas/Share"},
   "top_logprobs": {"$ref": "#/components/schemas/Rivals"}, "include": {"type": ["array", "null"], "items": {"type": "string"}},
   "parallel_tool_calls": {"$ref": "#/components/schemas/Flag"}, "stream": {"$ref": "#/components/schemas/Flag"}, "store": {"$ref": "#/components/schemas/Flag"}, "background": {"enum": [false, null]},
   "previous_response_id": {"type": "null"}, "conversation": {"type": "null"}, "prompt": {"type": "null"},
   "tools": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/ResponsesTool"}},
   "tool_choice": {"anyOf": [{"enum": ["auto", "none", "required", null]}, {"$ref": "#/components/schemas/Named"}]},
   "reasoning": {"type": ["object", "null"], "properties": {"effort": {"$ref": "#/components/schemas/Effort"}}},
   "text": {"type": ["object", "null"], "properties": {"format": {"$ref": "#/components/schemas/FlatFormat"}}},
   "metadata": {"$ref": "#/components/schemas/AnyObject"}}},
  "Response": {"type": "object", "required": ["id", "object", "created_at", "status", "model", "output", "usage"], "properties": {"id": {"type": "string"}, "object": {"const": "response"}, "status": {"enum": ["completed", "incomplete"]}, "output": {"type": "array", "items": {"type": "object", "required": ["type", "id"]}}}},
  "AnthropicText": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/TextPart"}}]},
  "RedactedBlock": {"type": "object", "required": ["type"], "properties": {"type": {"const": "redacted_thinking"}}},
  "ToolUseBlock": {"type": "object", "required": ["type", "name"], "properties": {"type": {"const": "tool_use"}, "id": {"$ref": "#/components/schemas/Text"}, "name": {"type": "string", "minLength": 1}, "input": {"$ref": "#/components/schemas/AnyObject"}}},
  "ToolResultBlock": {"type": "object", "required": ["type"], "properties": {"type": {"const": "tool_result"}, "tool_use_id": {"$ref": "#/components/schemas/Text"}, "content": {"anyOf": [{"$ref": "#/components/schemas/AnthropicText"}, {"type": "null"}]}, "is_error": {"$ref": "#/components/schemas/Flag"}}},
  "ThinkingBlock": {"type": "object", "required": ["type"], "properties": {"type": {"const": "thinking"}, "thinking": {"$ref": "#/components/schemas/Text"}}},
  "AnthropicMessage": {"anyOf": [
   {"type": "object", "required": ["role", "content"], "properties": {"role": {"const": "user"}, "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": [{"$ref": "#/components/schemas/TextPart"}, {"$ref": "#/components/schemas/ToolResultBlock"}, {"$ref": "#/components/schemas/RedactedBlock"}]}}]}}},
   {"type": "object", "required": ["role", "content"], "properties": {"role": {"const": "assistant"}, "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": [{"$ref": "#/components/schemas/TextPart"}, {"$ref": "#/components/schemas/ToolUseBlock"}, {"$ref": "#/components/schemas/ThinkingBlock"}, {"$ref": "#/components/schemas/RedactedBlock"}]}}]}}},
   {"type": "object", "required": ["role", "content"], "properties": {"role": {"const": "system"}, "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": [{"$ref": "#/components/schemas/TextPart"}, {"$ref": "#/components/schemas/RedactedBlock"}]}}]}}}]},
  "AnthropicTool": {"type": "object", "required": ["name", "input_schema"], "properties": {"name": {"type": "string", "minLength": 1}, "description": {"$ref": "#/components/schemas/Text"}, "input_schema": {"type": "object"}}},
  "AnthropicToolChoice": {"anyOf": [{"type": "null"}, {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["auto", "none", "any"]}, "disable_parallel_tool_use": {"$ref": "#/components/schemas/Flag"}}}, {"type": "object", "required": ["type", "name"], "properties": {"type": {"const": "tool"}, "name": {"type": "string", "minLength": 1}, "disable_parallel_tool_use": {"$ref": "#/components/schemas/Flag"}}}]},
  "CountRequest": {"type": "object", "required": ["messages"], "properties": {
   "model": {"$ref": "#/components/schemas/Text"}, "system": {"anyOf": [{"$ref": "#/components/schemas/AnthropicText"}, {"type": "null"}]},
   "messages": {"type": "array", "minItems": 1, "maxItems": 100000, "items": {"$ref": "#/components/schemas/AnthropicMessage"}},
   "tools": {"type": ["array", "null"], "maxItems": 512, "items": {"$ref": "#/components/schemas/AnthropicTool"}},
   "tool_choice": {"$ref": "#/components/schemas/AnthropicToolChoice"},
   "thinking": {"type": ["object", "null"], "required": ["type"], "properties": {"type": {"enum": ["enabled", "adaptive", "disabled"]}, "budget_tokens": {"$ref": "#/components/schemas/MaxTokens"}}},
   "output_format": {"$ref": "#/components/schemas/FlatFormat"},
   "output_config": {"type": ["object", "null"], "properties": {"format": {"$ref": "#/components/schemas/FlatFormat"}}},
   "stream": {"$ref": "#/components/schemas/Flag"}, "metadata": {"$ref": "#/components/schemas/AnyObject"}, "max_tokens": {"$ref": "#/components/schemas/MaxTokens"},
   "temperature": {"$ref": "#/components/schemas/Temperature"}, "top_p": {"$ref": "#/components/schemas/Share"}, "top_k": {"type": ["integer", "null"], "minimum": 0, "maximum": 2147483647},
   "stop_sequences": {"$ref": "#/components/schemas/Stop"}}},
  "MessagesRequest": {"allOf": [{"$ref": "#/components/schemas/CountRequest"}, {"type": "object", "required": ["max_tokens"], "properties": {"max_tokens": {"type": "integer", "minimum": 1, "maximum": 1099511627776}}}]},
  "MessagesAnswer": {"type": "object", "required": ["id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"], "properties": {"type": {"const": "message"}, "role": {"const": "assistant"}, "content": {"type": "array"}, "stop_reason": {"enum": ["end_turn", "max_tokens", "stop_sequence", "tool_use"]}, "stop_sequence": {"type": ["string", "null"]}}},
  "OllamaOptions": {"type": ["object", "null"], "properties": {"temperature": {"$ref": "#/components/schemas/Temperature"}, "top_p": {"$ref": "#/components/schemas/Share"}, "top_k": {"$ref": "#/components/schemas/TopK"}, "min_p": {"$ref": "#/components/schemas/Share"}, "seed": {"$ref": "#/components/schemas/Seed"}, "num_predict": {"type": ["integer", "null"], "minimum": -2, "maximum": 1099511627776}, "stop": {"$ref": "#/components/schemas/Stop"}, "repeat_penalty": {"$ref": "#/components/schemas/RepeatPenalty"}, "presence_penalty": {"$ref": "#/components/schemas/Penalty"}, "frequency_penalty": {"$ref": "#/components/schemas/Penalty"}, "repeat_last_n": {"type": ["integer", "null"], "minimum": -1, "maximum": 2147483647}}},
  "OllamaCommon": {"type": "object", "properties": {
   "model": {"$ref": "#/components/schemas/Text"}, "stream": {"$ref": "#/components/schemas/Flag"}, "options": {"$ref": "#/components/schemas/OllamaOptions"},
   "think": {"anyOf": [{"$ref": "#/components/schemas/Flag"}, {"$ref": "#/components/schemas/Effort"}]},
   "format": {"anyOf": [{"enum": ["json", "", null]}, {"type": "object", "description": "a JSON schema"}]},
   "keep_alive": {"type": ["number", "string", "null"]},
   "logprobs": {"$ref": "#/components/schemas/Flag"}, "top_logprobs": {"$ref": "#/components/schemas/Rivals"}}},
  "NoImages": {"type": ["array", "null"], "maxItems": 0},
  "OllamaChat": {"allOf": [{"$ref": "#/components/schemas/OllamaCommon"}, {"type": "object", "properties": {
   "messages": {"type": ["array", "null"], "maxItems": 100000, "items": {"allOf": [{"$ref": "#/components/schemas/ChatMessage"}, {"type": "object", "properties": {"images": {"$ref": "#/components/schemas/NoImages"}, "tool_name": {"$ref": "#/components/schemas/Text"}}}]}},
   "tools": {"$ref": "#/components/schemas/ChatTools"}}}]},
  "OllamaGenerate": {"allOf": [{"$ref": "#/components/schemas/OllamaCommon"}, {"type": "object", "properties": {
   "prompt": {"$ref": "#/components/schemas/Text"}, "system": {"$ref": "#/components/schemas/Text"}, "raw": {"$ref": "#/components/schemas/Flag"}, "suffix": {"enum": ["", null]}, "template": {"enum": ["", null]}, "images": {"$ref": "#/components/schemas/NoImages"}}}]},
  "OllamaLine": {"type": "object", "required": ["model", "created_at", "done"], "properties": {"model": {"type": "string"}, "created_at": {"type": "string"}, "done": {"type": "boolean"}}}
 }
},
)json";

// One operation: a path, a method, what it takes (or ""), what it gives, its stream's type (or "";
// without answer and stream: errors only), its errors, and what else it says (or "").
struct Operation {
  const char* path;
  const char* method;
  const char* request;
  const char* answer;
  const char* stream;
  const char* error;
  const char* more = "";
};

constexpr const char* kAnyObject = R"({"type": "object"})";

constexpr Operation kOperations[] = {
    {"/health", "get", "", kAnyObject, "", "OpenAiError", R"("security": [], )"},
    {"/metrics", "get", "", "", "text/plain", "OpenAiError"},
    {"/", "get", "", "", "text/plain", "OpenAiError"},
    {"/openapi.json", "get", "", kAnyObject, "", "OpenAiError"},
    {"/props", "get", "", kAnyObject, "", "OpenAiError"},
    {"/slots", "get", "", kAnyObject, "", "OpenAiError"},
    {"/v1/models", "get", "", R"({"type": "object", "required": ["object", "data"]})", "",
     "OpenAiError"},
    {"/v1/models/{id}", "get", "", R"({"type": "object", "required": ["id", "object"]})", "",
     "OpenAiError",
     R"("parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}], )"},
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
    {"/v1/embeddings", "post", "", "", "", "OpenAiError"},
    {"/api/embed", "post", "", "", "", "OllamaError"},
    {"/api/embeddings", "post", "", "", "", "OllamaError"},
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
  std::string whole;
  if (!content.empty()) {
    whole = fmt::format(R"("200": {{"description": "the answer", "content": {{{}}}}}, )", content);
  }
  return fmt::format(
      R"("{}": {{"{}": {{{}{}"responses": {{{}"4XX": {{"$ref": "#/components/responses/{}"}}, )"
      R"("5XX": {{"$ref": "#/components/responses/{}"}}}}}}}})",
      one.path, one.method, one.more, body, whole, one.error, one.error);
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

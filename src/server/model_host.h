// The loaded model as requests see it: its name, its templates, its tokenizer, what its answers
// look like; and the work of making a request ready to be generated. Any thread.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/scheduler.h"
#include "sample/grammar.h"
#include "sample/token_trie.h"
#include "server/api_error.h"
#include "server/chat_request.h"
#include "text/chat_template.h"
#include "text/output_parser.h"
#include "text/think_mode.h"

namespace larder {

struct ModelHostOptions {
  std::string name;             // what clients call the model
  ThinkMode think;              // where a request does not say
  bool strict_model = false;    // other names are refused
  std::int64_t max_tokens = 0;  // of an answer, where a request does not say; 0: no limit
};

/// A prompt as the generator reads it.
struct PreparedPrompt {
  std::string text;
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> boundaries;  // ends of messages, in tokens
};

/// A request made ready.
struct PreparedRequest {
  std::vector<PreparedPrompt> prompts;
  SamplerParams sampling;
  std::shared_ptr<const Grammar> grammar;  // null: none
  std::shared_ptr<const TokenTrie> trie;   // with a grammar
  std::vector<ToolDefinition> tools;       // that calls are looked for of
  std::int64_t max_tokens = -1;
  ThinkMode think;       // of a chat, with the request's own limit
  bool harmony = false;  // ends of parts are not ends of answers
};

struct PrepareOptions {
  const std::atomic<bool>* gone = nullptr;  // given up when it becomes true; null: never
  bool any_length = false;  // for a request that is only looked at: also beyond the context
};

class ModelHost {
 public:
  /// All borrowed parts outlive the host. A template that cannot be read fails the conversations,
  /// not the model.
  static std::unique_ptr<ModelHost> Make(const Tokenizer* tokenizer, const Metadata* metadata,
                                         std::int64_t context_tokens, ModelHostOptions options);

  const std::string& name() const { return options_.name; }
  /// What is wrong with the name of a model that a request gives: nothing, unless only this model's
  /// own counts (`strict_model`; Ollama's clients may add ":latest").
  std::optional<ApiError> CheckName(const std::string& asked) const;
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const Metadata& metadata() const { return *metadata_; }
  const OutputStyle& style() const { return style_; }
  std::int64_t context_tokens() const { return context_tokens_; }
  std::int64_t created() const { return created_; }
  std::string template_source() const;

  /// The conversation as the model reads it.
  Result<std::string> Render(const ChatRequest& request, bool thinking) const;

  /// Everything the generator needs, or what is wrong with the request.
  std::optional<ApiError> Prepare(const ChatRequest& request, PreparedRequest* prepared,
                                  const PrepareOptions& options = {});

 private:
  ModelHost(const Tokenizer* tokenizer, const Metadata* metadata, std::int64_t context_tokens,
            ModelHostOptions options);
  const ChatTemplate* TemplateFor(bool with_tools) const;
  std::string CloseThought(std::string text, const ChatRequest& request, bool thinking) const;
  std::size_t most_counted_tokens(bool any_length) const;
  std::optional<ApiError> AddPrompt(const ChatRequest& request, std::string text,
                                    Result<std::vector<std::int32_t>> tokens, bool any_length,
                                    PreparedRequest* prepared) const;
  std::optional<ApiError> PrepareTokens(const ChatRequest& request, const RawPrompt& raw,
                                        bool any_length, PreparedRequest* prepared) const;
  std::optional<ApiError> PreparePrompts(const ChatRequest& request, const PrepareOptions& how,
                                         PreparedRequest* prepared) const;
  std::optional<ApiError> PrepareSampling(const ChatRequest& request, SamplerParams* params) const;
  std::optional<ApiError> PrepareGrammar(const ChatRequest& request, PreparedRequest* prepared);
  std::optional<ApiError> PrepareTools(const ChatRequest& request, const std::string& text_schema,
                                       PreparedRequest* prepared);
  Status NeedTrie(PreparedRequest* prepared);
  std::shared_ptr<const Grammar> FindGrammar(const std::string& key);
  void KeepGrammar(const std::string& key, std::shared_ptr<const Grammar> grammar);

  const Tokenizer* tokenizer_;
  const Metadata* metadata_;
  std::int64_t context_tokens_;
  ModelHostOptions options_;
  std::int64_t created_;
  std::optional<ChatTemplate> template_;
  std::optional<ChatTemplate> tool_template_;
  Status template_status_;
  OutputStyle style_;
  std::mutex mutex_;  // of what follows
  std::shared_ptr<const TokenTrie> trie_;
  std::map<std::string, std::shared_ptr<const Grammar>> grammars_;  // of tools seen lately
};

}  // namespace larder

// A model's chat template: the Jinja source from its file, parsed once, and rendered with a
// conversation to the text that the model was trained to read. The text is byte for byte what
// Python's jinja2 makes of it, set up as the transformers library does. A template is untrusted
// code: it reaches no file, and steps, depth, memory and output are limited (RenderLimits).
// Templates are immutable; any number of threads may render one at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/metadata.h"
#include "text/jinja_meter.h"
#include "text/tokenizer.h"

namespace larder {

namespace jinja {
struct Template;
}  // namespace jinja

struct RenderOptions {
  RenderLimits limits;
  std::optional<std::tm> now;  // what strftime_now shows; absent: the local time
  bool* too_large = nullptr;   // set by failures: whether the limits were what ended it
};

class ChatTemplate {
 public:
  /// kInvalidArgument with the line of what is wrong, kUnsupported naming a part of Jinja that
  /// Larder lacks. Sources above 1 MiB are refused.
  static Result<ChatTemplate> Parse(std::string_view source);

  /// Renders with an object's members as the variables: messages, tools, add_generation_prompt,
  /// bos_token, eos_token, enable_thinking and whatever else the template reads. As transformers
  /// does: tools and documents are none and add_generation_prompt false unless given, and a
  /// message's reasoning is there under "reasoning_content" and "thinking", whichever of
  /// "reasoning_content", "thinking" and "reasoning" it was given as. kInvalidArgument says what
  /// the template itself refused (raise_exception), or where it failed.
  Result<std::string> Render(const nlohmann::ordered_json& variables,
                             const RenderOptions& options = RenderOptions()) const;

  /// The same, from JSON text; integers beyond 64 bits are refused instead of rounded.
  Result<std::string> RenderText(std::string_view variables_json,
                                 const RenderOptions& options = RenderOptions()) const;

  const std::string& source() const { return *source_; }

 private:
  std::shared_ptr<const std::string> source_;
  std::shared_ptr<const jinja::Template> template_;
};

/// The template that a model's file brings: tokenizer.chat_template.tool_use when `with_tools` and
/// there is one, otherwise tokenizer.chat_template. Nothing when the file has none. Errors as
/// ChatTemplate::Parse.
Result<std::optional<ChatTemplate>> ModelChatTemplate(const Metadata& metadata, bool with_tools);

/// The template that the file keeps as tokenizer.chat_template.`name`; "default" is
/// tokenizer.chat_template. kNotFound lists the names there are. Errors as ChatTemplate::Parse.
Result<ChatTemplate> NamedChatTemplate(const Metadata& metadata, const std::string& name);

/// Adds bos_token, eos_token and pad_token as the vocabulary has them, where the object
/// does not say otherwise.
void AddTokenVariables(const Tokenizer& tokenizer, nlohmann::ordered_json* variables);

/// Tokens of a rendered prompt: control tokens are read as such, and the begin token is added only
/// where the model wants one and the template has not written it, whatever `options` say of either.
Result<std::vector<std::int32_t>> EncodeChat(const Tokenizer& tokenizer, std::string_view text,
                                             EncodeOptions options = EncodeOptions());

}  // namespace larder

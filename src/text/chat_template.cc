// The door between templates and the rest: every failure of the interpreter becomes a Status here.
#include "text/chat_template.h"

#include <fmt/format.h>

#include <new>

#include "text/jinja_interpreter.h"
#include "text/jinja_json.h"
#include "text/jinja_parser.h"
#include "text/utf8.h"

namespace larder {
namespace {

using jinja::Fault;
using jinja::Kind;
using jinja::Value;

constexpr std::size_t kMaxSourceBytes = std::size_t{1} << 20;
constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

Status StatusOf(const jinja::Error& error, int line) {
  const int at = error.line > 0 ? error.line : line;
  if (error.fault == Fault::kRaised) {
    return InvalidArgument("the chat template refuses this: {}", error.message);
  }
  const std::string where = at > 0 ? fmt::format("chat template, line {}", at) : "chat template";
  if (error.fault == Fault::kUnsupported) return Unsupported("{}: {}", where, error.message);
  return InvalidArgument("{}: {}", where, error.message);
}

// A message's reasoning under the names that templates read. The first that is given and not null
// counts.
Value WithReasoning(jinja::Meter& meter, const Value& message) {
  if (!message.is(Kind::kDict)) {
    jinja::Fail(Fault::kType, "each of the messages must be an object");
  }
  const jinja::Dict& given = message.dict();
  const Value* reasoning = nullptr;
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const Value* found = given.Find(meter, name);
    if (reasoning == nullptr && found != nullptr && !found->is(Kind::kNone)) reasoning = found;
  }
  if (reasoning == nullptr) return message;
  auto dict = std::make_shared<jinja::Dict>(&meter);
  dict->Set(meter, jinja::MakeString(meter, "thinking"), *reasoning);
  for (const auto& [key, value] : given.items()) dict->Set(meter, key, value);
  dict->Set(meter, jinja::MakeString(meter, "reasoning_content"), *reasoning);
  return jinja::MakeDict(std::move(dict));
}

// The variables as transformers passes them on.
Value Complete(jinja::Meter& meter, const Value& variables) {
  if (!variables.is(Kind::kDict)) {
    jinja::Fail(Fault::kType, "the input must be a JSON object with messages");
  }
  auto dict = std::make_shared<jinja::Dict>(&meter);
  const auto set = [&](const char* name, Value value) {
    dict->Set(meter, jinja::MakeString(meter, name), std::move(value));
  };
  set("tools", Value::None());
  set("documents", Value::None());
  set("add_generation_prompt", Value::Bool(false));
  for (const auto& [key, value] : variables.dict().items()) dict->Set(meter, key, value);
  const Value* messages = dict->Find(meter, "messages");
  if (messages == nullptr || !messages->is(Kind::kList)) {
    jinja::Fail(Fault::kType, "the input needs \"messages\", a list of objects");
  }
  std::vector<Value> aliased;
  for (const Value& message : messages->items()) aliased.push_back(WithReasoning(meter, message));
  set("messages", jinja::MakeList(meter, std::move(aliased)));
  return jinja::MakeDict(std::move(dict));
}

template <typename MakeVariables>
Result<std::string> RenderWith(const jinja::Template& source, const RenderOptions& options,
                               const MakeVariables& make_variables) {
  jinja::Interpreter interpreter(source, options.limits, options.now);
  bool rendering = false;
  try {
    const Value variables = Complete(interpreter.meter(), make_variables(interpreter.meter()));
    rendering = true;
    return interpreter.Render(variables);
  } catch (const jinja::Error& error) {
    if (options.too_large != nullptr) *options.too_large = error.fault == Fault::kTooLarge;
    if (!rendering) return InvalidArgument("a chat template's input: {}", error.message);
    return StatusOf(error, interpreter.line());
  } catch (const std::bad_alloc&) {
    return OutOfMemory("there is not enough memory to render the chat template");
  }
}

Status CheckUtf8(std::string_view text) {
  const std::size_t at = FindInvalidUtf8(text);
  if (at == std::string_view::npos) return Status::Ok();
  return InvalidArgument("the chat template is not valid UTF-8 at byte {}", at);
}

}  // namespace

Result<ChatTemplate> ChatTemplate::Parse(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return InvalidArgument("the chat template has {} bytes; at most {} are read", source.size(),
                           kMaxSourceBytes);
  }
  LARDER_RETURN_IF_ERROR(CheckUtf8(source));
  ChatTemplate made;
  made.source_ = std::make_shared<const std::string>(source);
  try {
    made.template_ = std::make_shared<const jinja::Template>(jinja::ParseTemplate(source));
  } catch (const jinja::Error& error) {
    return StatusOf(error, 0);
  } catch (const std::bad_alloc&) {
    return OutOfMemory("there is not enough memory to read the chat template");
  }
  return made;
}

Result<std::string> ChatTemplate::Render(const nlohmann::ordered_json& variables,
                                         const RenderOptions& options) const {
  return RenderWith(*template_, options, [&variables](jinja::Meter& meter) {
    return jinja::FromJson(meter, variables);
  });
}

Result<std::string> ChatTemplate::RenderText(std::string_view variables_json,
                                             const RenderOptions& options) const {
  return RenderWith(*template_, options, [variables_json](jinja::Meter& meter) {
    return jinja::ParseJsonText(meter, variables_json);
  });
}

Result<std::optional<ChatTemplate>> ModelChatTemplate(const Metadata& metadata, bool with_tools) {
  std::optional<ChatTemplate> made;
  const std::string default_key(kTemplateKey);
  for (const std::string& key : {default_key + ".tool_use", default_key}) {
    if (!metadata.Has(key) || (key != default_key && !with_tools)) continue;
    LARDER_ASSIGN_OR_RETURN(const std::string source, metadata.GetString(key));
    if (source.empty()) continue;
    LARDER_ASSIGN_OR_RETURN(made, ChatTemplate::Parse(source));
    break;
  }
  return made;
}

Result<ChatTemplate> NamedChatTemplate(const Metadata& metadata, const std::string& name) {
  const std::string default_key(kTemplateKey);
  const std::string key = name == "default" ? default_key : default_key + "." + name;
  if (!metadata.Has(key)) {
    std::string names = metadata.Has(default_key) ? "default" : "";
    for (const auto& [one, value] : metadata.values()) {
      if (one.rfind(default_key + ".", 0) != 0) continue;
      names += (names.empty() ? "" : ", ") + one.substr(default_key.size() + 1);
    }
    return NotFound("the model has no chat template '{}'; it has {}", name,
                    names.empty() ? "none" : names);
  }
  LARDER_ASSIGN_OR_RETURN(const std::string source, metadata.GetString(key));
  return ChatTemplate::Parse(source);
}

void AddTokenVariables(const Tokenizer& tokenizer, nlohmann::ordered_json* variables) {
  const auto add = [&](const char* name, std::optional<std::int32_t> token) {
    if (!token || variables->contains(name)) return;
    (*variables)[name] = std::string(tokenizer.TokenBytes(*token));
  };
  add("bos_token", tokenizer.bos());
  add("eos_token", tokenizer.eos());
  add("pad_token", tokenizer.pad());
}

Result<std::vector<std::int32_t>> EncodeChat(const Tokenizer& tokenizer, std::string_view text,
                                             EncodeOptions options) {
  options.add_special = false;
  options.parse_special = true;
  LARDER_ASSIGN_OR_RETURN(std::vector<std::int32_t> tokens, tokenizer.Encode(text, options));
  const std::optional<std::int32_t> bos = tokenizer.bos();
  const bool written = bos && !tokens.empty() && tokens[0] == *bos;
  if (tokenizer.add_bos() && bos && !written) tokens.insert(tokens.begin(), *bos);
  return tokens;
}

}  // namespace larder

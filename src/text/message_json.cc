// JSON to messages and back.
#include "text/message_json.h"

#include <map>
#include <optional>
#include <utility>

namespace larder {

namespace {

// Where brackets nest deeper than allowed; the parser itself recurses once per level.
bool NestsTooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

// Objects with more members look names up in a map: nlohmann's own search passes all members.
constexpr std::size_t kFewMembers = 16;

// Builds the tree that OrderedJson::parse builds, in time that grows with the text and not with the
// square of an object's members.
class OrderedTreeBuilder : public nlohmann::json_sax<OrderedJson> {
 public:
  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& name) override {
    open_.back().names.push_back(std::move(name));
    return true;
  }
  bool start_object(std::size_t) override { return Open(); }
  bool start_array(std::size_t) override { return Open(); }
  bool end_object() override {
    Container object = Close();
    return Add(MakeObject(std::move(object)));
  }
  bool end_array() override {
    Container array = Close();
    return Add(std::move(array.values));
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    error_at_ = position;
    is_range_error_ = dynamic_cast<const OrderedJson::out_of_range*>(&error) != nullptr;
    return false;
  }

  OrderedJson TakeRoot() { return std::move(root_); }
  std::size_t error_at() const { return error_at_; }
  /// A number is beyond a double's range.
  bool is_range_error() const { return is_range_error_; }

 private:
  struct Container {
    std::vector<std::string> names;  // of an object's values, in the same order
    std::vector<OrderedJson> values;
  };

  bool Open() {
    open_.emplace_back();
    return true;
  }
  Container Close() {
    Container closed = std::move(open_.back());
    open_.pop_back();
    return closed;
  }
  bool Add(OrderedJson value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else {
      open_.back().values.push_back(std::move(value));
    }
    return true;
  }

  // Of values with the same name the last one counts, in the first one's place.
  static OrderedJson MakeObject(Container members) {
    OrderedJson json = OrderedJson::object();
    auto& object = json.get_ref<OrderedJson::object_t&>();
    const std::size_t n = members.names.size();
    object.reserve(n);
    std::map<std::string_view, std::size_t> places;  // of names chosen to collide, too
    for (std::size_t i = 0; i < n; ++i) {
      const std::string& name = members.names[i];
      if (n <= kFewMembers) {
        object[name] = std::move(members.values[i]);
        continue;
      }
      const auto [place, is_new] = places.emplace(name, object.size());
      if (is_new) {
        object.emplace_back(name, std::move(members.values[i]));
      } else {
        (object.begin() + static_cast<std::ptrdiff_t>(place->second))->second =
            std::move(members.values[i]);
      }
    }
    return json;
  }

  std::vector<Container> open_;
  OrderedJson root_;
  std::size_t error_at_ = 0;
  bool is_range_error_ = false;
};

// A text field; absent and null give nothing.
Result<std::optional<std::string>> TextField(const OrderedJson& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return std::optional<std::string>();
  if (!found->is_string()) return InvalidArgument("a message's '{}' must be a text", key);
  return std::optional<std::string>(found->get<std::string>());
}

Result<Role> RoleFromName(const std::string& name) {
  if (name == "system" || name == "developer") return Role::kSystem;
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  if (name == "tool") return Role::kTool;
  return InvalidArgument("a message's role is 'system', 'user', 'assistant' or 'tool', not '{}'",
                         name);
}

Result<ContentPart> PartFromJson(const OrderedJson& json) {
  ContentPart part;
  if (json.is_string()) {
    part.text = json.get<std::string>();
    return part;
  }
  if (!json.is_object()) {
    return InvalidArgument("a part of a message's 'content' must be an object or a text");
  }
  const auto type = json.find("type");
  const auto text = json.find("text");
  if (type != json.end() && type->is_string()) part.type = type->get<std::string>();
  if (text != json.end() && text->is_string() && part.type == "text") {
    part.text = text->get<std::string>();
    return part;
  }
  if (part.type == "text") return InvalidArgument("a part of type 'text' needs a 'text'");
  part.json = JsonText(json);
  return part;
}

Status ReadContent(const OrderedJson& json, Message* message) {
  const auto content = json.find("content");
  if (content == json.end() || content->is_null()) return Status::Ok();
  if (content->is_string()) {
    message->text = content->get<std::string>();
    return Status::Ok();
  }
  if (!content->is_array()) {
    return InvalidArgument("a message's 'content' must be a text, null or a list of parts");
  }
  if (content->empty()) message->text = "";
  for (const OrderedJson& one : *content) {
    LARDER_ASSIGN_OR_RETURN(ContentPart part, PartFromJson(one));
    message->parts.push_back(std::move(part));
  }
  return Status::Ok();
}

Result<ToolCall> CallFromJson(const OrderedJson& json) {
  if (!json.is_object()) return InvalidArgument("each of 'tool_calls' must be an object");
  ToolCall call;
  LARDER_ASSIGN_OR_RETURN(const auto id, TextField(json, "id"));
  call.id = id.value_or("");
  const auto inner = json.find("function");
  const OrderedJson& function = inner != json.end() ? *inner : json;
  if (!function.is_object()) return InvalidArgument("a tool call's 'function' must be an object");
  LARDER_ASSIGN_OR_RETURN(const auto name, TextField(function, "name"));
  if (!name || name->empty()) return InvalidArgument("a tool call needs a 'name'");
  call.name = *name;
  const auto arguments = function.find("arguments");
  if (arguments == function.end() || arguments->is_null()) {
    call.arguments_json = "{}";
  } else if (arguments->is_string()) {
    call.arguments_json = arguments->get<std::string>();
    if (call.arguments_json.empty()) call.arguments_json = "{}";
  } else if (arguments->is_object()) {
    call.arguments_json = JsonText(*arguments);
  } else {
    return InvalidArgument("a tool call's 'arguments' must be an object or its text");
  }
  return call;
}

}  // namespace

Result<OrderedJson> ParseJson(std::string_view text, std::string_view what) {
  if (NestsTooDeep(text)) {
    return InvalidArgument("{} nests deeper than {} levels", what, kMaxJsonDepth);
  }
  OrderedTreeBuilder builder;
  if (OrderedJson::sax_parse(text, &builder)) return builder.TakeRoot();
  if (builder.is_range_error()) return InvalidArgument("{} has a number that is too large", what);
  return InvalidArgument("{} is no valid JSON (at byte {} of {})", what, builder.error_at(),
                         text.size());
}

std::string JsonText(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

Result<Message> MessageFromJson(const OrderedJson& json) {
  if (!json.is_object()) return InvalidArgument("a message must be an object");
  Message message;
  LARDER_ASSIGN_OR_RETURN(const auto role, TextField(json, "role"));
  if (!role) return InvalidArgument("a message needs a 'role'");
  LARDER_ASSIGN_OR_RETURN(message.role, RoleFromName(*role));
  LARDER_RETURN_IF_ERROR(ReadContent(json, &message));
  for (const char* key : {"reasoning_content", "reasoning", "thinking"}) {
    LARDER_ASSIGN_OR_RETURN(auto reasoning, TextField(json, key));
    if (reasoning && !message.reasoning) message.reasoning = std::move(reasoning);
  }
  const auto calls = json.find("tool_calls");
  if (calls != json.end() && !calls->is_null()) {
    if (!calls->is_array()) return InvalidArgument("a message's 'tool_calls' must be a list");
    for (const OrderedJson& one : *calls) {
      LARDER_ASSIGN_OR_RETURN(ToolCall call, CallFromJson(one));
      message.tool_calls.push_back(std::move(call));
    }
  }
  LARDER_ASSIGN_OR_RETURN(const auto call_id, TextField(json, "tool_call_id"));
  LARDER_ASSIGN_OR_RETURN(const auto name, TextField(json, "name"));
  message.tool_call_id = call_id.value_or("");
  message.name = name.value_or("");
  return message;
}

Result<std::vector<Message>> MessagesFromJson(const OrderedJson& json) {
  if (!json.is_array()) return InvalidArgument("'messages' must be a list");
  std::vector<Message> messages;
  for (const OrderedJson& one : json) {
    Result<Message> message = MessageFromJson(one);
    if (!message.ok()) {
      return message.status().WithContext(fmt::format("message {}", messages.size() + 1));
    }
    messages.push_back(std::move(message).value());
  }
  return messages;
}

OrderedJson MessageToJson(const Message& message, bool arguments_as_text) {
  OrderedJson json = {{"role", RoleName(message.role)}};
  if (!message.parts.empty()) {
    OrderedJson& parts = json["content"] = OrderedJson::array();
    for (const ContentPart& part : message.parts) {
      const Result<OrderedJson> whole = ParseJson(part.json, "a part");
      if (part.type != "text" && whole.ok()) {
        parts.push_back(*whole);
      } else {
        parts.push_back({{"type", part.type}, {"text", part.text}});
      }
    }
  } else {
    json["content"] = message.text ? OrderedJson(*message.text) : OrderedJson();
  }
  if (message.reasoning) json["reasoning_content"] = *message.reasoning;
  for (const ToolCall& call : message.tool_calls) {
    OrderedJson function = {{"name", call.name}, {"arguments", call.arguments_json}};
    if (!arguments_as_text) {
      const Result<OrderedJson> arguments = ParseJson(call.arguments_json, "arguments");
      if (arguments.ok() && arguments->is_object()) function["arguments"] = *arguments;
    }
    OrderedJson one = OrderedJson::object();
    if (!call.id.empty()) one["id"] = call.id;
    one["type"] = "function";
    one["function"] = std::move(function);
    json["tool_calls"].push_back(std::move(one));
  }
  if (!message.tool_call_id.empty()) json["tool_call_id"] = message.tool_call_id;
  if (!message.name.empty()) json["name"] = message.name;
  return json;
}

bool WrapTextArguments(OrderedJson* messages) {
  bool wrapped = false;
  for (OrderedJson& message : *messages) {
    const auto calls = message.find("tool_calls");
    if (calls == message.end()) continue;
    for (OrderedJson& call : *calls) {
      OrderedJson& arguments = call["function"]["arguments"];
      if (!arguments.is_string()) continue;
      arguments = OrderedJson{{"arguments", arguments.get<std::string>()}};
      wrapped = true;
    }
  }
  return wrapped;
}

Result<ToolDefinition> ToolFromJson(const OrderedJson& json) {
  if (!json.is_object()) return InvalidArgument("each of 'tools' must be an object");
  const auto inner = json.find("function");
  const OrderedJson& function = inner != json.end() ? *inner : json;
  if (!function.is_object()) return InvalidArgument("a tool's 'function' must be an object");
  ToolDefinition tool;
  const auto name = function.find("name");
  if (name == function.end() || !name->is_string() || name->get<std::string>().empty()) {
    return InvalidArgument("a tool needs a 'name'");
  }
  tool.name = name->get<std::string>();
  const auto description = function.find("description");
  if (description != function.end() && description->is_string()) {
    tool.description = description->get<std::string>();
  }
  const auto parameters = function.find("parameters");
  if (parameters == function.end() || parameters->is_null()) {
    tool.parameters_json = "{}";
  } else if (parameters->is_object()) {
    tool.parameters_json = JsonText(*parameters);
  } else {
    return InvalidArgument("the 'parameters' of tool '{}' must be a JSON schema, an object",
                           tool.name);
  }
  tool.definition_json = inner != json.end()
                             ? JsonText(json)
                             : JsonText({{"type", "function"}, {"function", function}});
  return tool;
}

Result<std::vector<ToolDefinition>> ToolsFromJson(const OrderedJson& json) {
  if (!json.is_array()) return InvalidArgument("'tools' must be a list");
  std::vector<ToolDefinition> tools;
  for (const OrderedJson& one : json) {
    Result<ToolDefinition> tool = ToolFromJson(one);
    if (!tool.ok()) return tool.status().WithContext(fmt::format("tool {}", tools.size() + 1));
    tools.push_back(std::move(tool).value());
  }
  return tools;
}

std::string ConversationToJson(const std::vector<Message>& messages) {
  OrderedJson list = OrderedJson::array();
  for (const Message& message : messages) list.push_back(MessageToJson(message, true));
  const OrderedJson json = {{"larder_chat", 1}, {"messages", list}};
  return json.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

Result<std::vector<Message>> ConversationFromJson(std::string_view text) {
  LARDER_ASSIGN_OR_RETURN(const OrderedJson json, ParseJson(text, "the saved chat"));
  const auto list = json.is_object() ? json.find("messages") : json.end();
  if (!json.is_object() || list == json.end()) {
    return InvalidArgument("the saved chat has no 'messages'");
  }
  return MessagesFromJson(*list);
}

}  // namespace larder

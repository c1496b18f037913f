// The JSON writer follows Python's: separators, escapes, float repr, NaN and Infinity.
#include "text/jinja_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja_callable.h"
#include "text/python_text.h"
#include "text/utf8.h"

namespace larder::jinja {
namespace {

class Writer {
 public:
  Writer(Meter& meter, const JsonStyle& style) : meter_(meter), style_(style) {}

  void Write(const Value& value, int level) {
    meter_.Step();
    meter_.CheckRoom(out_.size());
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        break;
      case Kind::kBool:
        out_ += value.integer() != 0 ? "true" : "false";
        break;
      case Kind::kInt:
        out_ += std::to_string(value.integer());
        break;
      case Kind::kFloat:
        out_ += FloatText(value.real());
        break;
      case Kind::kString:
        Text(value.text());
        break;
      case Kind::kList:
      case Kind::kTuple:
        List(value.items(), level);
        break;
      case Kind::kDict:
        Object(value.dict(), level);
        break;
      default:
        Fail(Fault::kType,
             fmt::format("an object of type {} is not JSON serializable", TypeName(value)));
    }
  }

  std::string Take() { return std::move(out_); }

 private:
  static std::string FloatText(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return FloatRepr(value);
  }

  void Unit(std::uint32_t unit) { out_ += fmt::format("\\u{:04x}", unit); }

  void Text(std::string_view text) {
    meter_.StepBytes(text.size());
    out_ += '"';
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Char c = DecodeUtf8(text, at);
      Char(c.code_point, text.substr(at, c.n_bytes));
      at += c.n_bytes;
    }
    out_ += '"';
  }

  void Char(std::uint32_t c, std::string_view bytes) {
    constexpr std::string_view kFrom = "\"\\\n\r\t\f\b", kTo = "\"\\nrtfb";
    const std::size_t short_form =
        c < 0x80 ? kFrom.find(static_cast<char>(c)) : std::string_view::npos;
    if (short_form != std::string_view::npos) {
      out_ += '\\';
      out_ += kTo[short_form];
    } else if (c < 0x20 || (style_.ensure_ascii && c > 0x7e && c < 0x10000)) {
      Unit(c);
    } else if (style_.ensure_ascii && c >= 0x10000) {
      Unit(0xd800 + ((c - 0x10000) >> 10));
      Unit(0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
      out_ += bytes;
    }
  }

  void Break(int level) {
    if (!style_.indent) return;
    out_ += '\n';
    for (int i = 0; i < level; ++i) out_ += *style_.indent;
    meter_.StepBytes(style_.indent->size() * static_cast<std::size_t>(level));
    meter_.CheckRoom(out_.size());
  }

  void List(const std::vector<Value>& items, int level) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      Break(level + 1);
      Write(items[i], level + 1);
    }
    Break(level);
    out_ += ']';
  }

  std::string KeyText(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return key.text();
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return key.integer() != 0 ? "true" : "false";
      case Kind::kInt:
        return std::to_string(key.integer());
      case Kind::kFloat:
        return FloatText(key.real());
      default:
        Fail(Fault::kType, fmt::format("keys of JSON must be str, int, float, bool or None, not {}",
                                       TypeName(key)));
    }
  }

  void Object(const Dict& dict, int level) {
    if (dict.items().empty()) {
      out_ += "{}";
      return;
    }
    std::vector<const Dict::Item*> items;
    for (const Dict::Item& item : dict.items()) items.push_back(&item);
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(), [this](const auto* a, const auto* b) {
        return Less(meter_, a->first, b->first);
      });
    }
    out_ += '{';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      Break(level + 1);
      Text(KeyText(items[i]->first));
      out_ += style_.key_separator;
      Write(items[i]->second, level + 1);
    }
    Break(level);
    out_ += '}';
  }

  Meter& meter_;
  const JsonStyle& style_;
  std::string out_;
};

constexpr const char* kWideInteger = "an integer of the input needs more than 64 bits";

// Builds values as the parser reads; no recursion, and no detour through a document.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(Meter& meter) : meter_(meter) {}

  Value Take() { return std::move(root_); }

  bool null() override { return Put(Value::None()); }
  bool boolean(bool value) override { return Put(Value::Bool(value)); }
  bool number_integer(number_integer_t value) override { return Put(Value::Int(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      Fail(Fault::kUnsupported, kWideInteger);
    }
    return Put(Value::Int(static_cast<std::int64_t>(value)));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    if (text.find_first_of(".eE") == std::string::npos) Fail(Fault::kUnsupported, kWideInteger);
    return Put(Value::Float(value));
  }
  bool string(string_t& value) override { return Put(MakeString(meter_, value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(true); }
  bool start_array(std::size_t) override { return Open(false); }
  bool key(string_t& value) override {
    open_.back().key = MakeString(meter_, value);
    return true;
  }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    Fail(Fault::kValue, fmt::format("no JSON at byte {}", position));
  }

 private:
  struct Level {
    std::shared_ptr<Dict> dict;  // nullptr: an array
    std::vector<Value> items;
    Value key;
  };

  bool Put(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().dict != nullptr) {
      open_.back().dict->Set(meter_, open_.back().key, std::move(value));
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  bool Open(bool object) {
    if (open_.size() >= static_cast<std::size_t>(kMaxValueDepth)) {
      Fail(Fault::kLimit, fmt::format("the input nests deeper than {} levels", kMaxValueDepth));
    }
    open_.emplace_back();
    if (object) open_.back().dict = std::make_shared<Dict>(&meter_);
    return true;
  }

  bool Close() {
    Level level = std::move(open_.back());
    open_.pop_back();
    return Put(level.dict != nullptr ? MakeDict(std::move(level.dict))
                                     : MakeList(meter_, std::move(level.items)));
  }

  Meter& meter_;
  std::vector<Level> open_;
  Value root_;
};

Value FromJsonAt(Meter& meter, const nlohmann::ordered_json& json, int level) {
  if (level > kMaxValueDepth) {
    Fail(Fault::kLimit, fmt::format("the input nests deeper than {} levels", kMaxValueDepth));
  }
  if (json.is_boolean()) return Value::Bool(json.get<bool>());
  if (json.is_number_unsigned()) {
    const auto value = json.get<std::uint64_t>();
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      Fail(Fault::kUnsupported, kWideInteger);
    }
    return Value::Int(static_cast<std::int64_t>(value));
  }
  if (json.is_number_integer()) return Value::Int(json.get<std::int64_t>());
  if (json.is_number_float()) return Value::Float(json.get<double>());
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Char c = DecodeUtf8(text, at);
      if (c.code_point == kInvalidCodePoint) Fail(Fault::kValue, "a text is not valid UTF-8");
      at += c.n_bytes;
    }
    return MakeString(meter, text);
  }
  if (json.is_array()) {
    std::vector<Value> items;
    items.reserve(json.size());
    for (const auto& item : json) items.push_back(FromJsonAt(meter, item, level + 1));
    return MakeList(meter, std::move(items));
  }
  if (json.is_object()) {
    auto dict = std::make_shared<Dict>(&meter);
    for (const auto& [key, value] : json.items()) {
      dict->Set(meter, MakeString(meter, key), FromJsonAt(meter, value, level + 1));
    }
    return MakeDict(std::move(dict));
  }
  return Value::None();
}

std::string IndentOf(Meter& meter, const Value& value) {
  if (value.is(Kind::kString)) return value.text();
  const std::int64_t width = std::max<std::int64_t>(IntegerArgument(value, 0), 0);
  meter.Reserve(static_cast<std::size_t>(width));
  return std::string(static_cast<std::size_t>(width), ' ');
}

}  // namespace

JsonStyle ReadJsonStyle(Meter& meter, const std::vector<Value>& arguments) {
  const auto given = [&](std::size_t i) {
    return !arguments[i].IsMissing() && !arguments[i].is(Kind::kNone);
  };
  JsonStyle style;
  style.ensure_ascii = FlagArgument(arguments[0], false);
  if (given(1)) {
    style.indent = IndentOf(meter, arguments[1]);
    style.item_separator = ",";
  }
  if (given(2)) {
    const std::vector<Value> pair = ToVector(meter, arguments[2]);
    if (pair.size() != 2) Fail(Fault::kValue, "separators of tojson are two texts");
    style.item_separator = TextArgument(pair[0], "a separator");
    style.key_separator = TextArgument(pair[1], "a separator");
  }
  style.sort_keys = FlagArgument(arguments[3], false);
  return style;
}

std::string DumpJson(Meter& meter, const Value& value, const JsonStyle& style) {
  Writer writer(meter, style);
  writer.Write(value, 0);
  return writer.Take();
}

Value FromJson(Meter& meter, const nlohmann::ordered_json& json) {
  return FromJsonAt(meter, json, 0);
}

Value ParseJsonText(Meter& meter, std::string_view text) {
  Builder builder(meter);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    Fail(Fault::kValue, "no JSON");
  }
  return builder.Take();
}

}  // namespace larder::jinja

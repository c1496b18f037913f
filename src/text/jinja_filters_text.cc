// Filters that make texts of texts.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_filters.h"
#include "text/jinja_markup.h"
#include "text/jinja_methods.h"
#include "text/python_text.h"
#include "text/utf8.h"

namespace larder::jinja {
namespace {

// The filter as a method of str(value).
Value AsMethod(const FilterCall& call, std::string_view method, Arguments arguments = {}) {
  const Value text = SoftStr(call.meter, call.value);
  const Value bound = call.interpreter.GetAttribute(text, method);
  return call.interpreter.Call(bound, arguments);
}

Value Upper(const FilterCall& call) { return AsMethod(call, "upper"); }
Value Lower(const FilterCall& call) { return AsMethod(call, "lower"); }
Value Capitalize(const FilterCall& call) { return AsMethod(call, "capitalize"); }

Value Trim(const FilterCall& call) {
  Arguments arguments;
  if (!call[0].IsMissing()) arguments.positional.push_back(call[0]);
  return AsMethod(call, "strip", std::move(arguments));
}

Value Center(const FilterCall& call) {
  Arguments arguments;
  arguments.positional.push_back(call[0].IsMissing() ? Value::Int(80) : call[0]);
  return AsMethod(call, "center", std::move(arguments));
}

// Words begin after white space and any of -({[<.
Value Title(const FilterCall& call) {
  const std::string text = ToStr(call.meter, call.value);
  std::string out;
  std::size_t at = 0;
  const auto is_break = [](std::uint32_t c) {
    return IsSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  };
  while (at < text.size()) {
    std::size_t end = at;
    const bool breaks = is_break(DecodeUtf8(text, at).code_point);
    while (end < text.size()) {
      const Utf8Char c = DecodeUtf8(text, end);
      if (is_break(c.code_point) != breaks) break;
      end += c.n_bytes;
    }
    const std::string_view word = std::string_view(text).substr(at, end - at);
    const std::size_t first = DecodeUtf8(word, 0).n_bytes;
    out += jinja::Upper(word.substr(0, first)) + jinja::Lower(word.substr(first));
    at = end;
  }
  return call.interpreter.Text(std::move(out));
}

Value String(const FilterCall& call) { return SoftStr(call.meter, call.value); }

Value Safe(const FilterCall& call) {
  return MakeString(call.meter, ToStr(call.meter, call.value), true);
}

Value Escape(const FilterCall& call) {
  return MakeString(call.meter, EscapedText(call.meter, call.value), true);
}

Value ForceEscape(const FilterCall& call) {
  return MakeString(call.meter, EscapeHtml(call.meter, ToStr(call.meter, call.value)), true);
}

Value Replace(const FilterCall& call) {
  const std::string text = ToStr(call.meter, call.value);
  const std::string from = ToStr(call.meter, call[0]), to = ToStr(call.meter, call[1]);
  const std::int64_t count = IsSet(call[2]) ? IntegerArgument(call[2], -1) : -1;
  return call.interpreter.Text(ReplaceText(call.meter, text, from, to, count));
}

const std::string& PlainText(const FilterCall& call) {
  if (call.value.is(Kind::kUndefined)) FailUndefined(call.value);
  return TextArgument(call.value, fmt::format("the value of {}", call.name));
}

std::string Indention(const FilterCall& call) {
  if (call[0].is(Kind::kString)) return call[0].text();
  const std::int64_t width = std::max<std::int64_t>(IntegerArgument(call[0], 4), 0);
  call.meter.Reserve(static_cast<std::size_t>(width));
  return std::string(static_cast<std::size_t>(width), ' ');
}

Value Indent(const FilterCall& call) {
  const std::string text = PlainText(call) + "\n";
  const std::string indention = Indention(call);
  const bool first = FlagArgument(call[1], false), blank = FlagArgument(call[2], false);
  std::string out = first ? indention : "";
  const std::vector<std::string_view> lines = SplitLines(text, false);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indention;
    out += lines[i];
    call.meter.StepBytes(indention.size());
    call.meter.CheckRoom(out.size());
  }
  return MakeString(call.meter, std::move(out), call.value.string().markup);
}

Value Truncate(const FilterCall& call) {
  const std::int64_t length = IntegerArgument(call[0], 255);
  const bool kill_words = FlagArgument(call[1], false);
  const std::string end = call[2].IsMissing() ? "..." : TextArgument(call[2], "end");
  const std::int64_t leeway = IsSet(call[3]) ? IntegerArgument(call[3], 5) : 5;
  const auto n_end = static_cast<std::int64_t>(CountChars(end));
  if (length < n_end || leeway < 0) {
    Fail(Fault::kRuntime, "truncate needs a length of at least its end, and a leeway of 0 or more");
  }
  const std::int64_t n_items = LengthOf(call.value);
  if (n_items >= 0 && n_items <= length + leeway) return call.value;
  const std::string& text = PlainText(call);
  std::string_view kept =
      std::string_view(text).substr(0, ByteOffset(text, static_cast<std::size_t>(length - n_end)));
  if (!kill_words) kept = kept.substr(0, kept.rfind(' '));
  return call.interpreter.Text(std::string(kept) + end);
}

Value WordCount(const FilterCall& call) {
  const std::string text = ToStr(call.meter, call.value);
  std::int64_t n = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    const bool word = IsWordChar(c.code_point);
    if (word && !inside) ++n;
    inside = word;
    at += c.n_bytes;
  }
  return Value::Int(n);
}

Value Format(const FilterCall& call) {
  const Arguments& arguments = call.arguments;
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    Fail(Fault::kRuntime, "format takes positional or named arguments, not both");
  }
  Value values;
  if (arguments.named.empty()) {
    values = MakeTuple(call.meter, arguments.positional);
  } else {
    auto dict = std::make_shared<Dict>(&call.meter);
    for (const auto& [name, value] : arguments.named) {
      dict->Set(call.meter, call.interpreter.Text(name), value);
    }
    values = MakeDict(std::move(dict));
  }
  return Arithmetic(call.interpreter, ExprKind::kModulo, SoftStr(call.meter, call.value), values);
}

constexpr Filter kFilters[] = {
    {"upper", "", 0, Upper},
    {"lower", "", 0, Lower},
    {"capitalize", "", 0, Capitalize},
    {"title", "", 0, Title},
    {"trim", "chars", 0, Trim},
    {"center", "width", 0, Center},
    {"string", "", 0, String},
    {"safe", "", 0, Safe},
    {"e", "", 0, Escape},
    {"escape", "", 0, Escape},
    {"forceescape", "", 0, ForceEscape},
    {"replace", "old new count", 2, Replace},
    {"indent", "width first blank", 0, Indent},
    {"truncate", "length killwords end leeway", 0, Truncate},
    {"wordcount", "", 0, WordCount},
    {"format", "*", 0, Format},
};

}  // namespace

std::span<const Filter> TextFilters() { return kFilters; }

}  // namespace larder::jinja

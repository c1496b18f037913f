// Methods of str that ask, map and fill.
#include <fmt/format.h>

#include "text/jinja_markup.h"
#include "text/jinja_methods.h"
#include "text/python_text.h"

namespace larder::jinja {

TextWindow WindowOf(const MethodCall& call, const Value& start, const Value& stop) {
  const String& self = call.self.string();
  const auto length = static_cast<std::int64_t>(self.n_chars);
  const auto resolve = [&](const Value& value, std::int64_t fallback) {
    if (value.IsMissing() || value.is(Kind::kNone)) return fallback;
    std::int64_t at = IntegerArgument(value, fallback);
    if (at < 0) at = std::max<std::int64_t>(at + length, 0);
    return at;
  };
  const std::int64_t from = resolve(start, 0);
  const std::int64_t to = std::min(resolve(stop, length), length);
  TextWindow window;
  if (from > length || from > to) return window;
  window.valid = true;
  window.begin = ByteOffset(self.text, static_cast<std::size_t>(from));
  window.end = ByteOffset(self.text, static_cast<std::size_t>(to));
  return window;
}

namespace {

std::string_view SelfText(const MethodCall& call) { return call.self.text(); }

template <std::string (*map)(std::string_view)>
Value Map(const MethodCall& call) {
  return call.Result(map(SelfText(call)));
}

template <CharTest test>
Value Test(const MethodCall& call) {
  return Value::Bool(TestText(SelfText(call), test));
}

Value IsAscii(const MethodCall& call) { return Value::Bool(call.self.string().is_ascii()); }

// startswith, endswith: one text or a tuple of them.
bool HasAffix(const MethodCall& call, const Value& affix, bool at_end) {
  if (affix.is(Kind::kTuple)) {
    for (const Value& one : affix.items()) {
      if (HasAffix(call, one, at_end)) return true;
    }
    return false;
  }
  const std::string& part = TextArgument(affix, fmt::format("{} first arg", call.method));
  const TextWindow window = WindowOf(call, call[1], call[2]);
  if (!window.valid) return false;
  std::string_view text = SelfText(call).substr(window.begin, window.end - window.begin);
  if (part.size() > text.size()) return false;
  return (at_end ? text.substr(text.size() - part.size()) : text.substr(0, part.size())) == part;
}

Value StartsWith(const MethodCall& call) { return Value::Bool(HasAffix(call, call[0], false)); }
Value EndsWith(const MethodCall& call) { return Value::Bool(HasAffix(call, call[0], true)); }

// The last place of `part` in the text, npos when there is none.
std::size_t FindLast(Meter& meter, std::string_view text, std::string_view part) {
  if (part.empty()) return text.size();
  std::size_t last = std::string_view::npos;
  for (std::size_t at = FindText(text, part); at != std::string_view::npos;) {
    last = at;
    meter.StepBytes(part.size());
    at = FindText(text, part, at + 1);
  }
  return last;
}

std::int64_t FindIndex(const MethodCall& call, bool last) {
  const std::string& part = TextArgument(call[0], "the text to find");
  const TextWindow window = WindowOf(call, call[1], call[2]);
  if (!window.valid) return -1;
  const std::string_view text = SelfText(call).substr(window.begin, window.end - window.begin);
  const std::size_t at = last ? FindLast(call.meter, text, part) : FindText(text, part);
  if (at == std::string_view::npos) return -1;
  return static_cast<std::int64_t>(CountChars(SelfText(call).substr(0, window.begin + at)));
}

template <bool last, bool must>
Value Find(const MethodCall& call) {
  const std::int64_t index = FindIndex(call, last);
  if (must && index < 0) Fail(Fault::kValue, "substring not found");
  return Value::Int(index);
}

Value Count(const MethodCall& call) {
  const std::string& part = TextArgument(call[0], "the text to count");
  const TextWindow window = WindowOf(call, call[1], call[2]);
  if (!window.valid) return Value::Int(0);
  const std::string_view text = SelfText(call).substr(window.begin, window.end - window.begin);
  if (part.empty()) return Value::Int(static_cast<std::int64_t>(CountChars(text)) + 1);
  std::int64_t n = 0;
  for (std::size_t at = FindText(text, part); at != std::string_view::npos;) {
    ++n;
    call.meter.StepBytes(part.size());
    at = FindText(text, part, at + part.size());
  }
  return Value::Int(n);
}

// One character to fill with; a space by default.
std::string FillOf(const Value& value) {
  if (value.IsMissing()) return " ";
  const std::string& fill = TextArgument(value, "the fill character");
  if (CountChars(fill) != 1) Fail(Fault::kType, "the fill character must be one character long");
  return fill;
}

Value Padded(const MethodCall& call, std::int64_t left, std::int64_t right,
             const std::string& fill) {
  const auto n_left = static_cast<std::size_t>(left), n_right = static_cast<std::size_t>(right);
  if (n_left + n_right > (std::size_t{1} << 40)) call.meter.Reserve(std::size_t{1} << 62);
  call.meter.Reserve((n_left + n_right) * fill.size() + SelfText(call).size());
  std::string text;
  for (std::size_t i = 0; i < n_left; ++i) text += fill;
  text += SelfText(call);
  for (std::size_t i = 0; i < n_right; ++i) text += fill;
  return call.Result(std::move(text));
}

template <char side>
Value Justify(const MethodCall& call) {
  const std::int64_t width = IntegerArgument(call[0], 0);
  const std::string fill = FillOf(call[1]);
  const std::int64_t length = LengthOf(call.self);
  if (width <= length) return call.self;
  const std::int64_t pad = width - length;
  if (side == 'l') return Padded(call, 0, pad, fill);
  if (side == 'r') return Padded(call, pad, 0, fill);
  const std::int64_t left = pad / 2 + (pad & width & 1);
  return Padded(call, left, pad - left, fill);
}

Value ZeroFill(const MethodCall& call) {
  const std::int64_t pad = IntegerArgument(call[0], 0) - LengthOf(call.self);
  if (pad <= 0) return call.self;
  const std::string_view text = SelfText(call);
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  if (pad > (std::int64_t{1} << 40)) call.meter.Reserve(std::size_t{1} << 62);
  call.meter.Reserve(static_cast<std::size_t>(pad) + text.size());
  std::string out(text.substr(0, sign ? 1 : 0));
  out.append(static_cast<std::size_t>(pad), '0');
  return call.Result(out + std::string(text.substr(sign ? 1 : 0)));
}

Value ExpandTabs(const MethodCall& call) {
  const std::int64_t size = IntegerArgument(call[0], 8);
  if (size > 1024) Fail(Fault::kUnsupported, "tabs wider than 1024 are not supported");
  std::string out;
  std::int64_t column = 0;
  for (const char c : SelfText(call)) {
    if (c == '\t') {
      const std::int64_t n = size > 0 ? size - column % size : 0;
      out.append(static_cast<std::size_t>(n), ' ');
      column += n;
      call.meter.CheckRoom(out.size());
      continue;
    }
    out += c;
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++column;
    if (c == '\n' || c == '\r') column = 0;
  }
  return call.Result(std::move(out));
}

Value Format(const MethodCall& call) {
  if (call.self.string().markup) {
    Fail(Fault::kUnsupported, "format on a safe string is not supported");
  }
  return call.interpreter.Text(StrFormat(call.interpreter, SelfText(call), call.arguments));
}

Value FormatMap(const MethodCall& call) {
  if (!call[0].is(Kind::kDict)) Fail(Fault::kType, "format_map() takes a mapping");
  Arguments arguments;
  for (const auto& [key, value] : call[0].dict().items()) {
    if (key.is(Kind::kString)) arguments.named.emplace_back(key.text(), value);
  }
  return call.interpreter.Text(StrFormat(call.interpreter, SelfText(call), arguments));
}

Value NotSupported(const MethodCall& call) {
  Fail(Fault::kUnsupported, fmt::format("the method '{}' of a text is not supported", call.method));
}

constexpr Method kMethods[] = {
    {"upper", "", 0, Map<Upper>},
    {"lower", "", 0, Map<Lower>},
    {"capitalize", "", 0, Map<Capitalize>},
    {"title", "", 0, Map<Title>},
    {"swapcase", "", 0, Map<SwapCase>},
    {"isalpha", "", 0, Test<CharTest::kAlpha>},
    {"isalnum", "", 0, Test<CharTest::kAlnum>},
    {"isdecimal", "", 0, Test<CharTest::kDecimal>},
    {"isdigit", "", 0, Test<CharTest::kDigit>},
    {"isnumeric", "", 0, Test<CharTest::kNumeric>},
    {"isspace", "", 0, Test<CharTest::kSpace>},
    {"isupper", "", 0, Test<CharTest::kUpper>},
    {"islower", "", 0, Test<CharTest::kLower>},
    {"istitle", "", 0, Test<CharTest::kTitle>},
    {"isascii", "", 0, IsAscii},
    {"startswith", "prefix start end", 1, StartsWith},
    {"endswith", "suffix start end", 1, EndsWith},
    {"find", "sub start end", 1, Find<false, false>},
    {"rfind", "sub start end", 1, Find<true, false>},
    {"index", "sub start end", 1, Find<false, true>},
    {"rindex", "sub start end", 1, Find<true, true>},
    {"count", "sub start end", 1, Count},
    {"ljust", "width fillchar", 1, Justify<'l'>},
    {"rjust", "width fillchar", 1, Justify<'r'>},
    {"center", "width fillchar", 1, Justify<'c'>},
    {"zfill", "width", 1, ZeroFill},
    {"expandtabs", "tabsize", 0, ExpandTabs},
    {"format", "*", 0, Format},
    {"format_map", "mapping", 1, FormatMap},
    {"casefold", "*", 0, NotSupported},
    {"encode", "*", 0, NotSupported},
    {"isidentifier", "*", 0, NotSupported},
    {"isprintable", "*", 0, NotSupported},
    {"maketrans", "*", 0, NotSupported},
    {"translate", "*", 0, NotSupported},
};

}  // namespace

std::span<const Method> StrMethods() { return kMethods; }

}  // namespace larder::jinja

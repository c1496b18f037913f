// "%s is %d" % values, and "{} is {name.attribute[0]!r:>8}".format(...).
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_filters.h"
#include "text/jinja_format.h"
#include "text/python_text.h"
#include "text/utf8.h"

namespace larder::jinja {
namespace {

class Percent {
 public:
  Percent(Interpreter& interpreter, std::string_view format, const Value& values)
      : meter_(interpreter.meter()), format_(format), values_(values) {}

  std::string Run() {
    while (at_ < format_.size()) {
      const std::size_t percent = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, percent - at_);
      at_ = percent;
      if (at_ < format_.size()) Conversion();
      meter_.Step();
      meter_.CheckRoom(out_.size());
    }
    const bool single = !values_.is(Kind::kTuple);
    const std::size_t n_values = single ? 1 : values_.items().size();
    const bool loose = single && (values_.is(Kind::kDict) || values_.is(Kind::kList) ||
                                  values_.is(Kind::kUndefined) || values_.is(Kind::kRange));
    if (n_used_ < n_values && !by_name_ && !loose) {
      Fail(Fault::kType, "not all arguments converted during string formatting");
    }
    return std::move(out_);
  }

 private:
  char Peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  const Value& NextValue() {
    if (!values_.is(Kind::kTuple)) {
      if (n_used_++ > 0) Fail(Fault::kType, "not enough arguments for format string");
      return values_;
    }
    if (n_used_ >= values_.items().size()) {
      Fail(Fault::kType, "not enough arguments for format string");
    }
    return values_.items()[n_used_++];
  }

  Value Named() {
    const std::size_t end = format_.find(')', at_);
    if (end == std::string_view::npos) Fail(Fault::kValue, "incomplete format key");
    const std::string key(format_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    if (!values_.is(Kind::kDict)) Fail(Fault::kType, "format requires a mapping");
    const Value* found = values_.dict().Find(meter_, key);
    if (found == nullptr) Fail(Fault::kLookup, fmt::format("no key '{}' to format", key));
    by_name_ = true;
    return *found;
  }

  std::int64_t Number() {
    if (Peek() == '*') {
      ++at_;
      const Value& value = NextValue();
      if (!value.IsInteger()) Fail(Fault::kType, "* wants int");
      return value.integer();
    }
    std::int64_t value = -1;
    while (Peek() >= '0' && Peek() <= '9') {
      value = std::max<std::int64_t>(value, 0) * 10 + (format_[at_++] - '0');
      if (value > (1 << 20)) Fail(Fault::kLimit, "a width of a format is too large");
    }
    return value;
  }

  void Conversion() {
    ++at_;
    Value named;
    bool minus = false, zero = false;
    FormatStyle style;
    if (Peek() == '(') named = Named();
    while (Peek() != '\0' && std::string_view("-+ #0").find(Peek()) != std::string_view::npos) {
      const char flag = format_[at_++];
      minus = minus || flag == '-';
      zero = zero || flag == '0';
      if (flag == '+' || (flag == ' ' && style.sign != '+')) style.sign = flag;
      style.alternate = style.alternate || flag == '#';
    }
    style.width = Number();
    if (style.width < -1) {
      minus = true;
      style.width = -style.width;
    }
    if (std::abs(style.width) > (1 << 20)) Fail(Fault::kLimit, "a width of a format is too large");
    if (Peek() == '.') {
      ++at_;
      style.precision = std::max<std::int64_t>(Number(), 0);
      if (style.precision > (1 << 20)) Fail(Fault::kLimit, "a precision of a format is too large");
    }
    while (Peek() == 'l' || Peek() == 'h' || Peek() == 'L') ++at_;
    if (at_ >= format_.size()) Fail(Fault::kValue, "incomplete format");
    const char type = format_[at_++];
    style.align = minus ? '<' : zero ? '=' : '>';
    if (type == '%') {
      out_ += '%';
      return;
    }
    const Value value = named.IsMissing() ? NextValue() : named;
    meter_.Reserve(static_cast<std::size_t>(std::max<std::int64_t>(style.width, 0)) +
                   static_cast<std::size_t>(std::max<std::int64_t>(style.precision, 0)));
    Convert(type, zero && !minus, style, value);
  }

  void Convert(char type, bool zero, FormatStyle style, const Value& value) {
    if (type == 's' || type == 'r' || type == 'a') {
      if (type == 'a') Fail(Fault::kUnsupported, "%a is not supported");
      std::string text = type == 's' ? ToStr(meter_, value) : ToRepr(meter_, value);
      if (style.precision >= 0) {
        text.resize(ByteOffset(text, static_cast<std::size_t>(style.precision)));
      }
      if (style.align == '=') style.align = '>';
      out_ += PadText(style, text, '>');
      return;
    }
    if (type == 'c') return Character(style, value);
    if (std::string_view("diouxXeEfFgG").find(type) == std::string_view::npos) {
      Fail(Fault::kValue, fmt::format("unsupported format character '{}'", type));
    }
    if (value.is(Kind::kUndefined)) FailUndefined(value);
    if (!value.IsNumber()) {
      Fail(Fault::kType,
           fmt::format("%{} format: a number is required, not {}", type, TypeName(value)));
    }
    if (zero) style.fill = "0";
    if (std::string_view("eEfFgG").find(type) != std::string_view::npos) {
      style.type = type;
      out_ += FormatNumber(style, Value::Float(value.AsDouble()));
      return;
    }
    Integer(type, style, value);
  }

  void Integer(char type, FormatStyle style, const Value& value) {
    const bool decimal = type == 'd' || type == 'i' || type == 'u';
    if (!decimal && value.is(Kind::kFloat)) {
      Fail(Fault::kType, fmt::format("%{} format: an integer is required, not float", type));
    }
    const std::int64_t number =
        value.is(Kind::kFloat) ? TruncateToInteger(value.real()) : value.integer();
    style.type = decimal ? 'd' : type;
    if (style.precision >= 0) {
      // At least so many digits.
      FormatStyle inner;
      inner.type = style.type;
      inner.alternate = style.alternate;
      inner.sign = style.sign;
      std::string text = FormatNumber(inner, Value::Int(number));
      const std::size_t head = text.find_first_of("0123456789abcdefABCDEF");
      const std::size_t prefix = style.alternate && !decimal ? 2 : 0;
      const auto n_digits = static_cast<std::int64_t>(text.size() - head - prefix);
      if (n_digits < style.precision) {
        text.insert(head + prefix, static_cast<std::size_t>(style.precision - n_digits), '0');
      }
      style.type = '\0';
      if (style.align == '=') style.align = '>', style.fill.clear();
      out_ += PadText(style, text, '>');
      return;
    }
    out_ += FormatNumber(style, Value::Int(number));
  }

  void Character(FormatStyle style, const Value& value) {
    if (style.align == '=') style.align = '>';
    style.precision = -1;
    if (value.is(Kind::kString)) {
      if (LengthOf(value) != 1) Fail(Fault::kType, "%c requires int or char");
      out_ += PadText(style, value.text(), '>');
      return;
    }
    if (!value.IsInteger()) Fail(Fault::kType, "%c requires int or char");
    FormatStyle plain;
    plain.type = 'c';
    out_ += PadText(style, FormatNumber(plain, Value::Int(value.integer())), '>');
  }

  Meter& meter_;
  std::string_view format_;
  const Value& values_;
  std::string out_;
  std::size_t at_ = 0, n_used_ = 0;
  bool by_name_ = false;
};

class Braces {
 public:
  Braces(Interpreter& interpreter, const Arguments& arguments)
      : interpreter_(interpreter), arguments_(arguments) {}

  std::string Run(std::string_view format, int level) {
    if (level > 2) Fail(Fault::kValue, "max string recursion exceeded");
    std::string out;
    for (std::size_t at = 0; at < format.size();) {
      const char c = format[at];
      const bool doubled = at + 1 < format.size() && format[at + 1] == c;
      if ((c == '{' || c == '}') && doubled) {
        out += c;
        at += 2;
      } else if (c == '}') {
        Fail(Fault::kValue, "single '}' encountered in format string");
      } else if (c == '{') {
        const std::size_t end = FieldEnd(format, at + 1);
        out += Field(format.substr(at + 1, end - at - 1), level);
        at = end + 1;
      } else {
        out += c;
        ++at;
      }
      interpreter_.meter().Step();
      interpreter_.meter().CheckRoom(out.size());
    }
    return out;
  }

 private:
  static std::size_t FieldEnd(std::string_view format, std::size_t at) {
    for (int depth = 1; at < format.size(); ++at) {
      if (format[at] == '{') ++depth;
      if (format[at] == '}' && --depth == 0) return at;
    }
    Fail(Fault::kValue, "expected '}' before end of string");
  }

  // name!conversion:spec
  std::string Field(std::string_view field, int level) {
    std::size_t name_end = 0;
    for (int brackets = 0; name_end < field.size(); ++name_end) {
      if (field[name_end] == '[') ++brackets;
      if (field[name_end] == ']') --brackets;
      if (brackets <= 0 && (field[name_end] == '!' || field[name_end] == ':')) break;
    }
    Value value = Lookup(field.substr(0, name_end));
    std::string_view rest = field.substr(name_end);
    if (!rest.empty() && rest[0] == '!') {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':')) {
        Fail(Fault::kValue, "a conversion of a format is one letter");
      }
      if (rest[1] != 's' && rest[1] != 'r') {
        Fail(Fault::kValue, fmt::format("unknown conversion specifier {}", rest[1]));
      }
      Meter& meter = interpreter_.meter();
      value = interpreter_.Text(rest[1] == 's' ? ToStr(meter, value) : ToRepr(meter, value));
      rest.remove_prefix(2);
    }
    const std::string spec = rest.empty() ? "" : Run(rest.substr(1), level + 1);
    return FormatSpec(interpreter_, value, spec);
  }

  Value Lookup(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = First(name.substr(0, end));
    std::size_t at = end;
    while (at < name.size()) {
      if (name[at] == '.') {
        const std::size_t stop = std::min(name.find_first_of(".[", at + 1), name.size());
        if (stop == at + 1) Fail(Fault::kValue, "empty attribute in format string");
        value = interpreter_.GetAttribute(value, name.substr(at + 1, stop - at - 1));
        at = stop;
      } else if (name[at] == '[') {
        const std::size_t stop = name.find(']', at);
        if (stop == std::string_view::npos) Fail(Fault::kValue, "missing ']' in format string");
        if (stop == at + 1) Fail(Fault::kValue, "empty attribute in format string");
        value = interpreter_.GetItem(value, Key(name.substr(at + 1, stop - at - 1)));
        at = stop + 1;
      } else {
        Fail(Fault::kValue, "only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  Value Key(std::string_view text) {
    const bool digits = text.find_first_not_of("0123456789") == std::string_view::npos;
    if (digits && text.size() < 18) return Value::Int(ParseInteger(text, 10));
    return interpreter_.Text(std::string(text));
  }

  Value First(std::string_view name) {
    const bool digits = name.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits) {
      const Value* found = arguments_.FindNamed(name);
      if (found == nullptr) Fail(Fault::kLookup, fmt::format("no argument '{}' to format", name));
      return *found;
    }
    if (name.empty() ? numbered_ : counted_) {
      Fail(Fault::kValue, "automatic and manual numbering of fields cannot be mixed");
    }
    (name.empty() ? counted_ : numbered_) = true;
    if (name.size() > 17) Fail(Fault::kValue, "too many decimal digits in format string");
    const std::size_t index =
        name.empty() ? next_++ : static_cast<std::size_t>(ParseInteger(name, 10));
    if (index >= arguments_.positional.size()) {
      Fail(Fault::kLookup, fmt::format("there is no argument {} to format", index));
    }
    return arguments_.positional[index];
  }

  Interpreter& interpreter_;
  const Arguments& arguments_;
  std::size_t next_ = 0;
  bool counted_ = false, numbered_ = false;
};

}  // namespace

std::string PercentFormat(Interpreter& interpreter, std::string_view format, const Value& values) {
  return Percent(interpreter, format, values).Run();
}

std::string StrFormat(Interpreter& interpreter, std::string_view format,
                      const Arguments& arguments) {
  return Braces(interpreter, arguments).Run(format, 1);
}

}  // namespace larder::jinja

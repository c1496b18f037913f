// format(value, spec), the language of "{:>8.2f}", for texts and numbers.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja_filters.h"
#include "text/jinja_format.h"
#include "text/python_text.h"
#include "text/utf8.h"

namespace larder::jinja {
namespace {

constexpr std::int64_t kMaxWidth = 1 << 20;

bool IsAlign(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

// A number at `at`, -1 when there is none.
std::int64_t TakeNumber(std::string_view text, std::size_t* at) {
  if (*at >= text.size() || text[*at] < '0' || text[*at] > '9') return -1;
  std::int64_t value = 0;
  while (*at < text.size() && text[*at] >= '0' && text[*at] <= '9') {
    value = value * 10 + (text[(*at)++] - '0');
    if (value > kMaxWidth) Fail(Fault::kLimit, "a width or precision of a format is too large");
  }
  return value;
}

std::string Grouped(const std::string& digits, char separator, std::size_t every) {
  if (separator == '\0') return digits;
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string Digits(std::uint64_t value, unsigned base, bool upper) {
  std::string out;
  do {
    const auto digit = static_cast<unsigned>(value % base);
    out += static_cast<char>(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10);
    value /= base;
  } while (value != 0);
  return {out.rbegin(), out.rend()};
}

struct NumberText {
  std::string sign, prefix, digits, tail;  // tail: from the decimal point on
};

std::string SignOf(const FormatStyle& style, bool negative) {
  if (negative) return "-";
  return style.sign == '+' ? "+" : style.sign == ' ' ? " " : "";
}

// Pads with zeros between sign and digits, grouping those too.
std::string FillNumber(const FormatStyle& style, NumberText number, std::size_t group) {
  const bool inner = style.align == '=';
  if (inner && style.fill == "0" && style.group != '\0') {
    const std::size_t fixed = number.sign.size() + number.prefix.size() + number.tail.size();
    while (Grouped(number.digits, style.group, group).size() + fixed <
           static_cast<std::size_t>(std::max<std::int64_t>(style.width, 0))) {
      number.digits.insert(0, "0");
    }
  }
  const std::string head = number.sign + number.prefix;
  const std::string body = Grouped(number.digits, style.group, group) + number.tail;
  if (!inner) return PadText(style, head + body, '>');
  FormatStyle rest = style;
  rest.align = '>';
  rest.width = std::max<std::int64_t>(style.width - static_cast<std::int64_t>(head.size()), 0);
  return head + PadText(rest, body, '>');
}

std::string FormatInteger(const FormatStyle& style, std::int64_t value) {
  if (style.precision >= 0)
    Fail(Fault::kValue, "precision not allowed in integer format specifier");
  const std::uint64_t magnitude =
      value < 0 ? -static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  NumberText number;
  number.sign = SignOf(style, value < 0);
  std::size_t group = 3;
  switch (style.type) {
    case '\0':
    case 'd':
    case 'n':
      number.digits = Digits(magnitude, 10, false);
      break;
    case 'b':
    case 'o':
    case 'x':
    case 'X': {
      const char lower = static_cast<char>(style.type | 0x20);
      number.digits = Digits(magnitude,
                             lower == 'b'   ? 2
                             : lower == 'o' ? 8
                                            : 16,
                             style.type == 'X');
      if (style.alternate) number.prefix = std::string("0") + style.type;
      group = 4;
      break;
    }
    case 'c':
      if (value < 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        Fail(Fault::kOverflow, "%c arg not in range(0x110000)");
      }
      number.sign.clear();
      AppendUtf8(static_cast<std::uint32_t>(value), number.digits);
      return PadText(style, number.digits, '<');
    default:
      Fail(Fault::kValue,
           fmt::format("unknown format code '{}' for object of type 'int'", style.type));
  }
  return FillNumber(style, std::move(number), group);
}

// The digits of a float by C's printf, which rounds as Python does.
std::string PrintFloat(char type, bool alternate, std::int64_t precision, double value) {
  const std::string format = fmt::format("%{}.{}{}", alternate ? "#" : "", precision, type);
  char buffer[64];
  const int n = std::snprintf(buffer, sizeof buffer, format.c_str(), value);
  if (n < static_cast<int>(sizeof buffer)) return buffer;
  std::string text(static_cast<std::size_t>(n) + 1, '\0');
  std::snprintf(text.data(), text.size(), format.c_str(), value);
  text.pop_back();
  return text;
}

std::string FloatDigits(const FormatStyle& style, double value) {
  const std::int64_t precision = style.precision < 0 ? 6 : style.precision;
  if (std::isnan(value))
    return style.type == 'F' || style.type == 'E' || style.type == 'G' ? "NAN" : "nan";
  if (std::isinf(value))
    return style.type == 'F' || style.type == 'E' || style.type == 'G' ? "INF" : "inf";
  switch (style.type) {
    case '\0': {
      if (style.precision < 0) return FloatRepr(value);
      // As 'g', but never without a digit behind the point and with an exponent one place sooner.
      std::string text =
          PrintFloat('g', style.alternate, std::max<std::int64_t>(precision, 1), value);
      const bool exponent = text.find('e') != std::string::npos;
      if (!exponent && text.find('.') == std::string::npos) {
        const auto n_digits = static_cast<std::int64_t>(text.size());
        if (n_digits < std::max<std::int64_t>(precision, 1)) return text + ".0";
        return PrintFloat('e', false, std::max<std::int64_t>(n_digits - 1, 0), value);
      }
      return text;
    }
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      return PrintFloat(style.type, style.alternate, precision, value);
    case 'n':
      return PrintFloat('g', style.alternate, precision, value);
    case '%':
      return PrintFloat('f', style.alternate, precision, value * 100) + "%";
    default:
      Fail(Fault::kValue,
           fmt::format("unknown format code '{}' for object of type 'float'", style.type));
  }
}

std::string FormatFloat(const FormatStyle& style, double value) {
  NumberText number;
  number.sign = SignOf(style, std::signbit(value) && !std::isnan(value));
  const std::string text = FloatDigits(style, std::isnan(value) ? value : std::fabs(value));
  const std::size_t end = text.find_first_not_of("0123456789");
  number.digits = text.substr(0, end);
  if (end != std::string::npos) number.tail = text.substr(end);
  return FillNumber(style, std::move(number), 3);
}

std::string FormatText(const FormatStyle& style, std::string_view text) {
  if (style.type != '\0' && style.type != 's') {
    Fail(Fault::kValue,
         fmt::format("unknown format code '{}' for object of type 'str'", style.type));
  }
  if (style.sign != '\0') Fail(Fault::kValue, "sign not allowed in string format specifier");
  if (style.alternate) Fail(Fault::kValue, "alternate form not allowed in string format specifier");
  if (style.group != '\0') Fail(Fault::kValue, "cannot specify ',' or '_' with 's'");
  if (style.align == '=')
    Fail(Fault::kValue, "'=' alignment not allowed in string format specifier");
  if (style.precision >= 0) {
    text = text.substr(0, ByteOffset(text, static_cast<std::size_t>(style.precision)));
  }
  return PadText(style, text, '<');
}

}  // namespace

FormatStyle ParseFormatSpec(std::string_view spec) {
  FormatStyle style;
  std::size_t at = 0;
  if (!spec.empty()) {
    const std::size_t n_fill = DecodeUtf8(spec, 0).n_bytes;
    if (n_fill < spec.size() && IsAlign(spec[n_fill])) {
      style.fill = spec.substr(0, n_fill);
      style.align = spec[n_fill];
      at = n_fill + 1;
    } else if (IsAlign(spec[0])) {
      style.align = spec[at++];
    }
  }
  const auto peek = [&] { return at < spec.size() ? spec[at] : '\0'; };
  if (peek() == '+' || peek() == '-' || peek() == ' ') style.sign = spec[at++];
  if (peek() == 'z') Fail(Fault::kUnsupported, "the format option 'z' is not supported");
  if (peek() == '#') style.alternate = true, ++at;
  if (peek() == '0') {
    ++at;
    if (style.fill.empty()) style.fill = "0";
    if (style.align == '\0') style.align = '=', style.zero = true;
  }
  style.width = TakeNumber(spec, &at);
  if (peek() == ',' || peek() == '_') style.group = spec[at++];
  if (peek() == '.') {
    ++at;
    style.precision = TakeNumber(spec, &at);
    if (style.precision < 0) Fail(Fault::kValue, "format specifier missing precision");
  }
  if (at + 1 < spec.size()) Fail(Fault::kValue, "invalid format specifier");
  if (at < spec.size()) style.type = spec[at];
  if (style.group == ',' && std::string_view("boxXcn").find(style.type) != std::string_view::npos &&
      style.type != '\0') {
    Fail(Fault::kValue, fmt::format("cannot specify ',' with '{}'", style.type));
  }
  return style;
}

std::string PadText(const FormatStyle& style, std::string_view text, char default_align) {
  const auto length = static_cast<std::int64_t>(CountChars(text));
  const std::int64_t pad = std::max<std::int64_t>(style.width - length, 0);
  const char align = style.align == '\0' ? default_align : style.align;
  const std::int64_t left = align == '<' ? 0 : align == '^' ? pad / 2 : pad;
  const std::string fill = style.fill.empty() ? " " : style.fill;
  std::string out;
  for (std::int64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (std::int64_t i = left; i < pad; ++i) out += fill;
  return out;
}

std::string FormatNumber(const FormatStyle& style, const Value& value) {
  if (value.is(Kind::kFloat)) return FormatFloat(style, value.real());
  const bool as_float =
      style.type != '\0' && std::string_view("eEfFgG%").find(style.type) != std::string_view::npos;
  return as_float ? FormatFloat(style, value.AsDouble()) : FormatInteger(style, value.integer());
}

std::string FormatSpec(Interpreter& interpreter, const Value& value, std::string_view spec) {
  Meter& meter = interpreter.meter();
  if (spec.empty()) return ToStr(meter, value);
  FormatStyle style = ParseFormatSpec(spec);
  meter.Reserve(static_cast<std::size_t>(std::max<std::int64_t>(style.width, 0)) * 4 +
                static_cast<std::size_t>(std::max<std::int64_t>(style.precision, 0)));
  if (value.is(Kind::kString)) {
    // For a text a leading 0 fills, and does not align.
    if (style.zero) style.align = '<';
    return FormatText(style, value.text());
  }
  if (value.is(Kind::kBool) && style.type == '\0') {
    return FormatInteger(style, value.integer());
  }
  if (value.IsNumber()) return FormatNumber(style, value);
  Fail(Fault::kType,
       fmt::format("unsupported format string passed to {}.__format__", TypeName(value)));
}

}  // namespace larder::jinja

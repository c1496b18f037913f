// Escaping.
#include "text/jinja_markup.h"

namespace larder::jinja {

std::string EscapeHtml(Meter& meter, std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  meter.Reserve(out.size());
  return out;
}

std::string EscapedText(Meter& meter, const Value& value) {
  if (value.is(Kind::kString) && value.string().markup) return value.text();
  return EscapeHtml(meter, ToStr(meter, value));
}

}  // namespace larder::jinja

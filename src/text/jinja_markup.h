// Strings marked as safe (the filter `safe`): joined with other text they escape it for HTML, even
// in chat templates, where nothing else is escaped.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja_value.h"

namespace larder::jinja {

/// & < > ' " as markupsafe writes them.
std::string EscapeHtml(Meter& meter, std::string_view text);

/// The text of str(value), escaped unless it is marked as safe itself.
std::string EscapedText(Meter& meter, const Value& value);

/// a / b of integers, correctly rounded.
double DivideIntegers(std::int64_t a, std::int64_t b);

}  // namespace larder::jinja

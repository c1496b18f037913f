// Python's str over UTF-8: lengths, slices and cases count code points, not bytes. All texts are
// valid UTF-8. Pure functions, linear in their texts unless said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace larder::jinja {

std::size_t CountChars(std::string_view text);
/// The byte where character `index` <= CountChars begins.
std::size_t ByteOffset(std::string_view text, std::size_t index);

/// str.isspace of a character; what strip() and split() without arguments remove.
bool IsSpace(std::uint32_t c);
bool IsDecimal(std::uint32_t c);
/// The text with every decimal digit of any script as 0 to 9, as int() and float() read it.
std::string WithAsciiDigits(std::string_view text);
bool IsPrintable(std::uint32_t c);
bool IsWordChar(std::uint32_t c);  // \w of Python's re

enum class CharTest { kAlpha, kDecimal, kDigit, kNumeric, kAlnum, kSpace, kUpper, kLower, kTitle };
/// str.isalpha and its kin.
bool TestText(std::string_view text, CharTest test);

enum Sides { kLeft = 1, kRight = 2, kBoth = 3 };
std::string_view StripSpace(std::string_view text, Sides sides);
/// Removes any of the characters of `chars`.
std::string_view StripChars(std::string_view text, std::string_view chars, Sides sides);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string Capitalize(std::string_view text);
std::string Title(std::string_view text);  // str.title
std::string SwapCase(std::string_view text);

/// str.split() at runs of white space; at most `max_splits` cuts when that is not negative.
std::vector<std::string_view> SplitSpace(std::string_view text, std::int64_t max_splits);
std::vector<std::string_view> RSplitSpace(std::string_view text, std::int64_t max_splits);
/// str.splitlines: at \n, \r, \r\n, \v, \f, \x1c to \x1e, \x85, U+2028 and U+2029.
std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends);

/// The first place of `part` at or after `from`, in linear time; npos when there is none.
std::size_t FindText(std::string_view text, std::string_view part, std::size_t from = 0);

/// repr() of a str, with its quotes.
void AppendTextRepr(std::string_view text, std::string& out);
/// repr() of a float: the shortest digits that read back, 1e+16 and 1e-05 at the ends.
std::string FloatRepr(double value);

}  // namespace larder::jinja

// The repository's rules that a compiler does not know: who may include whom, and how long files
// and functions may be. Pure functions from text to complaints; style_test.cc feeds them the tree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace larder::style {

constexpr int kMaxFileLines = 599;     // "under 600"
constexpr int kMaxFunctionLines = 69;  // "under 70"

/// One function (or test body) of a source file; lines count from 1.
struct FunctionSpan {
  std::string name;
  int first_line = 0;  // where its signature begins
  int last_line = 0;   // its closing brace
  int n_lines() const { return last_line - first_line + 1; }
};

/// The same text, same length, with comments, strings, character literals and preprocessor lines
/// (continuations too) overwritten by spaces; line breaks stay.
std::string BlankOutNonCode(std::string_view text);

/// Finds the functions of a file by its braces. Expects clang-format's spacing: a body's brace has
/// a space before it, an initialiser's has none or follows "=", "(" or ",". `balanced` (may be
/// null) becomes false when the braces do not add up and the result cannot be trusted.
std::vector<FunctionSpan> FindFunctions(std::string_view text, bool* balanced);

/// Complaints "path:line: ..." about a file, empty when it keeps the rules.
std::vector<std::string> CheckFileLength(const std::string& path, std::string_view text);
std::vector<std::string> CheckFunctionLengths(const std::string& path, std::string_view text);

/// The include arrows of a file src/ROOM/...; `path` starts with "src/". Files directly in src/ and
/// unknown rooms are complaints too.
std::vector<std::string> CheckIncludes(const std::string& path, std::string_view text);

/// Every source file opens with a paragraph that says what it is.
std::vector<std::string> CheckOpening(const std::string& path, std::string_view text);

}  // namespace larder::style

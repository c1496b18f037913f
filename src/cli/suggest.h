// "Did you mean": the nearest known word. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace larder {

/// Edits (insert, delete, replace, swap of neighbours) between two words; "optimal string
/// alignment" distance.
int EditDistance(std::string_view a, std::string_view b);

/// The known word nearest to `word`, or an empty string when none is near enough to be meant.
std::string NearestWord(std::string_view word, const std::vector<std::string>& known);

}  // namespace larder

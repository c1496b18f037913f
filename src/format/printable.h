// Names out of a file, made fit for a sentence on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace larder {

/// 'name' in quotes: bytes that are not printable ASCII as \xNN, no longer than 80 characters.
std::string Quoted(std::string_view name);

}  // namespace larder

// Lists as people write them behind an option: "512,2048". Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace larder {

/// The words between commas; empty ones are left out.
std::vector<std::string> SplitList(const std::string& text);

/// Whole numbers from 0 on; kInvalidArgument names `option` and the first word that is none.
Result<std::vector<std::int64_t>> ParseNumberList(const char* option, const std::string& text);

}  // namespace larder

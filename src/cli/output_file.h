// Whether a file can be written, asked before the work whose result goes there.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace larder {

/// Whether a result may be written to `path` in the end; changes nothing. kInvalidArgument: a
/// folder, a link that leads nowhere, a folder that is not there, a model, or one of `inputs` by
/// whatever name; kIoError: it cannot be opened. An empty path stands for no output.
Status CheckOutputFile(const std::string& path, const std::vector<std::string>& inputs = {});

/// The same for a file that a ReplacingFile will take the place of: kInvalidArgument as well for
/// what is no regular file, kIoError where none can be made beside it.
Status CheckReplacedFile(const std::string& path, const std::vector<std::string>& inputs = {});

/// Whether two names stand for one file, be it there or not: "a", "./a" and a link to it.
bool IsSameFile(const std::string& path, const std::string& other);

}  // namespace larder

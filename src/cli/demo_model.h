// Finds the model that ships with the program.
#pragma once

#include <string>

#include "base/status.h"

namespace larder {

/// The demo model beside the running executable: ../models/demo/ in a source tree, ../share/larder/
/// after installation. kNotFound says to give -m.
Result<std::string> FindDemoModel();

/// `given` when it is not empty, otherwise the demo model.
Result<std::string> ResolveModel(const std::string& given);

}  // namespace larder

// `larder plan`, for the table of commands. (command.h is what every command includes.)
#pragma once

#include "cli/command.h"

namespace larder {

int PlanMain(const Arguments& arguments);

}  // namespace larder

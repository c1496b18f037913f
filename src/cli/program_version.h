// Which program this is. The values are set when CMake runs.
#pragma once

namespace larder {

const char* ProgramVersion();  // "0.1.0"
const char* ProgramCommit();   // twelve digits, or "unknown"

}  // namespace larder

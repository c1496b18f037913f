// The only file that sees the generated header, so that a commit rebuilds nothing else.
#include "cli/program_version.h"

#include "version.h"

namespace larder {

const char* ProgramVersion() { return LARDER_VERSION; }
const char* ProgramCommit() { return LARDER_COMMIT; }

}  // namespace larder

// The program without its main: picks the command, runs it, gives the exit status.
#pragma once

namespace larder {

/// 0 on success, 1 for a failure, 2 for wrong use, 130 after Ctrl-C. Answers go to stdout, all
/// else to stderr; an error is one sentence that begins with "larder: ".
int LarderMain(int argc, char** argv);

}  // namespace larder

// Runs the program as a user does.
#pragma once

#include <string>

namespace larder {

struct Outcome {
  int exit_status = -1;  // 128 and the signal's number where one ended it
  std::string out;
  std::string err;
};

/// The bytes of a file, which is removed; "" where there is none.
std::string ReadAndRemove(const std::string& path);

/// `words` are those behind "larder", quoted for the shell where they need it; `before` stands
/// before the program.
Outcome Larder(const std::string& words, const std::string& before = "");

/// One sentence on stderr that begins with "larder: " and holds `part`; nothing on stdout.
void ExpectError(const Outcome& outcome, int exit_status, const std::string& part);

}  // namespace larder

// The program's exit status and what it writes, by way of the shell and two files.
#include "helpers/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "helpers/tiny_model.h"

namespace larder {

std::string ReadAndRemove(const std::string& path) {
  std::string text;
  {
    std::ifstream in(path, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::remove(path.c_str());
  return text;
}

Outcome Larder(const std::string& words, const std::string& before) {
  const std::string out = TemporaryPath("out.txt");
  const std::string err = TemporaryPath("err.txt");
  const std::string command =
      before + " '" LARDER_BINARY "' " + words + " >'" + out + "' 2>'" + err + "'";
  const int status = std::system(command.c_str());
  Outcome outcome;
  outcome.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = ReadAndRemove(out);
  outcome.err = ReadAndRemove(err);
  return outcome;
}

void ExpectError(const Outcome& outcome, int exit_status, const std::string& part) {
  EXPECT_EQ(outcome.exit_status, exit_status) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, testing::HasSubstr(part));
  const std::size_t last_line = outcome.err.rfind('\n', outcome.err.size() - 2);
  const std::size_t begin = last_line == std::string::npos ? 0 : last_line + 1;
  EXPECT_THAT(outcome.err.substr(begin), testing::StartsWith("larder: "));
}

}  // namespace larder

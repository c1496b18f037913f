// Standard streams.
#include "cli/output.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace larder {

void PrepareStandardStreams() {
  signal(SIGPIPE, SIG_IGN);
  // open() takes the lowest free number, so each of the three must be tried in this order.
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    if (open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) < 0) return;
  }
}

Status CheckStdout() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return Status::Ok();
  const int error = errno;
  if (error == EPIPE) return IoError("cannot write to stdout: nobody reads the pipe any more");
  if (error == EBADF) return IoError("cannot write to stdout: it is closed");
  if (error == ENOSPC) return IoError("cannot write to stdout: the disk is full");
  return IoError("cannot write to stdout{}{}", error == 0 ? "" : ": ",
                 error == 0 ? "" : std::strerror(error));
}

Status WriteStdout(std::string_view text) {
  PutText(stdout, text);
  return CheckStdout();
}

void PutText(std::FILE* out, std::string_view text) {
  // ferror() remembers a failure for those who want to know.
  if (std::fwrite(text.data(), 1, text.size(), out) != text.size()) return;
}

}  // namespace larder

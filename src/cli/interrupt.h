// Ctrl-C, SIGTERM and SIGHUP: the first asks for a clean end, the second ends the process at once,
// both with 128 + the signal (Ctrl-C: 130). What is said of Ctrl-C below holds for all three. A
// signal handler can only reach process-wide variables: the one place of the program that has them.
#pragma once

#include <atomic>

namespace larder {

class Session;

/// While one lives, Ctrl-C sets requested() and cancels the watched session; without one the
/// process ends at once, as nothing would be left half done. One at a time, made by the main
/// thread.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  /// Cancelled at the first Ctrl-C; nullptr stops watching. The session outlives the watch.
  void Watch(Session* session);
  bool requested() const;
  /// Only Ctrl-C has come: what it stops is one answer, not the program.
  bool only_ctrl_c() const;
  /// Forgets the Ctrl-C that has been dealt with, so that the next is a first one again.
  void Forget();
};

/// 128 + the first signal that came, 130 when none did.
int InterruptExitStatus();

/// Makes Ctrl-C outside of every scope end the process with 130. Called once, by LarderMain.
void InstallInterruptHandler();

}  // namespace larder

// The handler of SIGINT, SIGTERM and SIGHUP and its variables.
#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/command.h"
#include "engine/session.h"

namespace larder {

namespace {

std::atomic<bool> g_in_scope{false};
std::atomic<int> g_n_interrupts{0};
std::atomic<int> g_first_signal{SIGINT};
std::atomic<Session*> g_session{nullptr};
static_assert(std::atomic<Session*>::is_always_lock_free);

void OnInterrupt(int signal_number) {
  const int n_before = g_n_interrupts.fetch_add(1);
  if (n_before == 0) g_first_signal.store(signal_number);
  if (!g_in_scope.load() || n_before > 0) {
    // Leaves a progress line behind on a line of its own.
    const int exit_status = 128 + signal_number;
    if (isatty(STDERR_FILENO) != 0 && write(STDERR_FILENO, "\n", 1) < 0) _exit(exit_status);
    _exit(exit_status);
  }
  if (Session* session = g_session.load()) session->Cancel();
}

}  // namespace

InterruptScope::InterruptScope() { LARDER_CHECK(!g_in_scope.exchange(true)); }

InterruptScope::~InterruptScope() {
  g_session.store(nullptr);
  g_in_scope.store(false);
}

void InterruptScope::Watch(Session* session) {
  g_session.store(session);
  // A Ctrl-C between the scope's beginning and the watch must not be lost.
  if (session != nullptr && requested()) session->Cancel();
}

bool InterruptScope::requested() const { return g_n_interrupts.load() > 0; }

bool InterruptScope::only_ctrl_c() const { return g_first_signal.load() == SIGINT; }

void InterruptScope::Forget() { g_n_interrupts.store(0); }

int InterruptExitStatus() { return 128 + g_first_signal.load(); }

void InstallInterruptHandler() {
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // nohup asks for hang-ups to be ignored.
  struct sigaction before = {};
  sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

}  // namespace larder

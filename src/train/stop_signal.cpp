#include "train/stop_signal.h"

#include <unistd.h>

#include <atomic>
#include <iterator>

namespace elenchus {
namespace {

// A signal has no way to be told where to write, so these two are of the process, like the signals
// themselves.
std::atomic<int> stop_signal_number{0};
std::atomic<bool> save_asked_for{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

static_assert(std::size(kSignals) == StopSignal::kCount);

extern "C" void on_stop_signal(int number) {
  if (stop_signal_number.exchange(number) != 0) _exit(128 + number);
}

extern "C" void on_save_signal(int) { save_asked_for = true; }

}  // namespace

StopSignal::StopSignal() {
  stop_signal_number = 0;
  save_asked_for = false;
  for (int i = 0; i < kCount; ++i) {
    sigaction(kSignals[i], nullptr, &earlier_[i]);
    if (kSignals[i] == SIGHUP && earlier_[i].sa_handler == SIG_IGN) continue;  // under nohup
    struct sigaction action {};
    action.sa_handler = kSignals[i] == SIGUSR1 ? on_save_signal : on_stop_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignal::~StopSignal() {
  for (int i = 0; i < kCount; ++i) sigaction(kSignals[i], &earlier_[i], nullptr);
}

int StopSignal::stop_requested() const { return stop_signal_number; }

bool StopSignal::take_save_request() { return save_asked_for.exchange(false); }

}  // namespace elenchus

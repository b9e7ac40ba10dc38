#pragma once
// Signals, turned into flags that the training loop looks at.

#include <csignal>

namespace elenchus {

/// While it lives, SIGINT, SIGTERM and SIGHUP (a terminal that went away; left alone where it is
/// ignored, as under nohup) ask the run to save and stop, and SIGUSR1 to save and go on. A second
/// one of the first three ends the process at once. One at a time; the earlier actions come back
/// at the end.
class StopSignal {
 public:
  static constexpr int kCount = 4;  ///< signals that it listens to
  StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal();
  /// The number of the signal that asked to stop; 0: none did.
  int stop_requested() const;
  /// Whether SIGUSR1 came since the last call.
  bool take_save_request();

 private:
  struct sigaction earlier_[kCount];
};

}  // namespace elenchus

#pragma once
// Signals, turned into flags that the training loop looks at.

#include <csignal>

namespace elenchus {

/// While it lives, SIGINT and SIGTERM ask the run to save and stop, and SIGUSR1 to save and go on.
/// A second SIGINT or SIGTERM ends the process at once. One at a time; the earlier actions come
/// back at the end.
class StopSignal {
 public:
  StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal();
  /// The number of the signal that asked to stop; 0: none did.
  int stop_requested() const;
  /// Whether SIGUSR1 came since the last call.
  bool take_save_request();

 private:
  struct sigaction earlier_[3];
};

}  // namespace elenchus

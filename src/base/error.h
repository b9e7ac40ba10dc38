#pragma once
// The three kinds of failure, and the exit code each ends the program with.

#include <sstream>
#include <stdexcept>
#include <string>

namespace elenchus {

/// What the program returns to the shell.
enum class ExitCode : int {
  done = 0,
  failed = 1,            ///< a bug, or anything without a code of its own
  bad_recipe = 2,        ///< command line or recipe; nothing was started
  bad_input = 3,         ///< a model or data file was rejected
  out_of_resources = 4,  ///< memory, disk or file handles
  bad_numbers = 5,       ///< NaN or infinity that training cannot recover from
  rank_failed = 6,       ///< another rank failed
  folder_in_use = 7,     ///< another run holds the output folder
  wrong_checkpoint = 8,  ///< the checkpoint does not match this run
  device_failed = 9,     ///< the device failed
};

/// The user can fix it: a bad flag, file, config or an impossible request. The message says what
/// was found, what was expected, where (file, line, row, key or byte), and what to do.
struct UserError : std::runtime_error {
  explicit UserError(const std::string& message, ExitCode code = ExitCode::bad_recipe)
      : runtime_error(message), exit_code(code) {}
  ExitCode exit_code;
};

/// A model, tokenizer or data file is not what it should be. Ends the program with `bad_input`.
struct InputError : UserError {
  explicit InputError(const std::string& message) : UserError(message, ExitCode::bad_input) {}
};

/// The machine failed: out of memory, disk, CUDA.
struct DeviceError : std::runtime_error {
  explicit DeviceError(const std::string& message, ExitCode code = ExitCode::out_of_resources)
      : runtime_error(message), exit_code(code) {}
  ExitCode exit_code;
};

/// A bug: a broken contract between two functions. Names the caller's file and line.
struct InternalError : std::logic_error {
  using logic_error::logic_error;
};

/// The caller's file and line, as a default argument. (std::source_location needs clang 16.)
struct Where {
  const char* file;
  int line;
  static constexpr Where here(const char* f = __builtin_FILE(), int l = __builtin_LINE()) {
    return {f, l};
  }
};

/// Throws InternalError unless `ok`. For contracts, never for user input.
inline void expect(bool ok, const char* what, Where at = Where::here()) {
  if (!ok) throw InternalError(std::string(at.file) + ":" + std::to_string(at.line) + ": " + what);
}

/// Its arguments written one after the other, as `operator<<` writes them.
template <class... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace elenchus

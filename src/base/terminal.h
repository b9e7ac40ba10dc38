#pragma once
// Standard output and standard error.

#include <string>
#include <string_view>

namespace elenchus {

enum class StandardStream { output = 1, error = 2 };

/// Whether a person reads the stream, so that colours and moving lines make sense.
bool is_terminal(StandardStream stream);

/// Who read standard output went away. Not a failure: there is nobody left to write for.
struct OutputClosed {};

/// Writes all of `text` to standard output, past any buffer. OutputClosed; DeviceError: the disk
/// behind it is full, or it cannot be written.
void write_output(std::string_view text);

/// Writes to standard error as well as can be; what cannot be written is lost.
void write_error(std::string_view text) noexcept;

/// `text` with control bytes other than line feeds escaped, so that none reaches the terminal.
std::string without_controls(std::string_view text);

}  // namespace elenchus

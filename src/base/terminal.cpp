#include "base/terminal.h"

#include <unistd.h>

#include <cerrno>

#include "base/output_file.h"

namespace elenchus {
namespace {

/// 0, or the error number of the write that failed.
int write_all(int descriptor, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

bool is_terminal(StandardStream stream) { return ::isatty(static_cast<int>(stream)) == 1; }

void write_output(std::string_view text) {
  const int failure = write_all(static_cast<int>(StandardStream::output), text);
  if (failure == EPIPE) throw OutputClosed{};
  if (failure != 0) throw file_error("write", "standard output", failure);
}

void write_error(std::string_view text) noexcept {
  write_all(static_cast<int>(StandardStream::error), text);
}

std::string without_controls(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n') || byte == 0x7f) {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace elenchus

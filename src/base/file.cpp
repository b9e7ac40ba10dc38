#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/output_file.h"

namespace elenchus {
namespace {

std::string shown(const std::filesystem::path& path) { return printable(path.native(), 512); }

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

void identity_of(const struct stat& status, std::uint64_t (&identity)[4]) {
  identity[0] = std::uint64_t(status.st_dev);
  identity[1] = std::uint64_t(status.st_ino);
  identity[2] = std::uint64_t(status.st_mtim.tv_sec);
  identity[3] = std::uint64_t(status.st_mtim.tv_nsec);
}

/// The length of the well-formed UTF-8 sequence at the start of `text`; 0 if there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;  // the range of the second byte
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  }
  if (length == 0 || text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  return length;
}

/// Whether a terminal could take the well-formed character for a command or turn the text around.
bool is_control(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7F;
  if (character.size() == 2) return byte(0) == 0xC2 && byte(1) < 0xA0;  // U+0080 to U+009F
  if (character == "\xEF\xBB\xBF") return true;  // a byte order mark, which no one sees
  if (character.size() != 3 || byte(0) != 0xE2) return false;
  return (byte(1) == 0x80 && byte(2) >= 0xA8 && byte(2) <= 0xAE) ||  // U+2028 to U+202E
         (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9);    // U+2066 to U+2069
}

std::string escaped(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      char text[5];
      std::snprintf(text, sizeof text, "\\x%02x", static_cast<unsigned char>(c));
      out += text;
    }
  }
  return out;
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : path_(path) {
  do {
    // Without O_NONBLOCK opening a pipe would wait for a writer.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
    throw file_error("open", path_, errno);
  if (descriptor_ < 0)
    throw InputError(cat(shown(path), ": could not open: ", std::strerror(errno)));
  struct stat status = {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    size_ = std::uint64_t(status.st_size);
    identity_of(status, identity_);
    return;
  }
  const std::string reason = known ? cat("found ", kind_of(status.st_mode), ", expected a file")
                                   : cat("could not look at it: ", std::strerror(errno));
  ::close(descriptor_);
  descriptor_ = -1;
  throw InputError(cat(shown(path), ": ", reason));
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {
  std::copy(std::begin(other.identity_), std::end(other.identity_), identity_);
}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(identity_, other.identity_);
  return *this;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  const auto ends_early = [&](std::uint64_t at) {
    return InputError(cat(shown(path_), ": the file ends at byte ", at, ", expected ", out.size(),
                          " bytes from byte ", offset));
  };
  if (offset > size_ || out.size() > size_ - offset) throw ends_early(size_);
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        ::pread(descriptor_, out.data() + done, out.size() - done, off_t(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw InputError(cat(shown(path_), ": could not read at byte ", offset + done, ": ",
                           std::strerror(errno)));
    if (count == 0) throw ends_early(offset + done);
    done += std::size_t(count);
  }
  struct stat status = {};
  std::uint64_t identity[4] = {};
  if (::fstat(descriptor_, &status) == 0) identity_of(status, identity);
  if (!std::equal(std::begin(identity), std::end(identity), identity_) ||
      std::uint64_t(status.st_size) != size_)
    throw InputError(cat(shown(path_), ": the file was changed while it was read; try again"));
}

std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit_bytes) {
  const InputFile file(path);
  if (file.size() > limit_bytes)
    throw InputError(
        cat(shown(path), ": found ", file.size(), " bytes, expected at most ", limit_bytes));
  std::string text(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  write_file_atomically(path, bytes.size(),
                        [&](const ByteSink& sink) { sink(std::as_bytes(std::span(bytes))); });
}

std::string printable(std::string_view text, std::size_t limit) {
  constexpr std::string_view kCut = "...";
  std::string out;
  std::size_t fits = 0;  // the length of `out` that still leaves room for the mark of a cut
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    const std::string_view character = text.substr(i, std::max<std::size_t>(length, 1));
    out += length == 0 || is_control(character) ? escaped(character) : std::string(character);
    if (out.size() > limit) {
      out.resize(fits);
      out += kCut.substr(0, limit - fits);
      return out;
    }
    if (out.size() + kCut.size() <= limit) fits = out.size();
    i += character.size();
  }
  return out;
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    std::uint64_t eight = 0;
    if (text.size() - i >= 8) {
      std::memcpy(&eight, text.data() + i, 8);
      if ((eight & 0x8080808080808080u) == 0) {
        i += 8;
        continue;
      }
    }
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

}  // namespace elenchus

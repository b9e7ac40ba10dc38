#include "data/character_source.h"

#include <algorithm>

#include "base/error.h"

namespace elenchus {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;

/// How files that are no text begin which people train on elsewhere.
struct Container {
  std::string_view begin, name;
};
constexpr Container kContainers[] = {{"PAR1", "a Parquet file"},
                                     {"ARROW1", "an Arrow file"},
                                     {"\x1F\x8B", "a gzip file"},
                                     {"\x28\xB5\x2F\xFD", "a Zstandard file"},
                                     {"PK\x03\x04", "a zip file"}};

}  // namespace

CharacterSource::CharacterSource(const std::filesystem::path& path) : file_(path) {
  peek();
  const std::string_view start = buffer_;
  if (start.starts_with("\xFF\xFE") || start.starts_with("\xFE\xFF"))
    throw InputError(cat(name(), ": is UTF-16, expected UTF-8; convert the file"));
  for (const Container& container : kContainers)
    if (start.starts_with(container.begin))
      throw InputError(
          cat(name(), ": is ", container.name,
              ", expected text: JSON Lines, a JSON array or CSV; convert or unpack it"));
  if (start.starts_with("\xEF\xBB\xBF")) at_ = 3;
}

std::string CharacterSource::name() const { return printable(file_.path().string(), 512); }

void CharacterSource::fail(std::string_view what) const {
  throw InputError(cat(name(), ": line ", line_, ": ", what));
}

int CharacterSource::peek() {
  if (at_ == buffer_.size()) {
    const std::uint64_t left = file_.size() - offset_;
    buffer_.resize(std::size_t(std::min<std::uint64_t>(left, kBufferBytes)));
    at_ = 0;
    if (buffer_.empty()) return kEnd;
    file_.read(offset_, std::as_writable_bytes(std::span(buffer_)));
    offset_ += buffer_.size();
    hash_.update(buffer_);
  }
  return static_cast<unsigned char>(buffer_[at_]);
}

void CharacterSource::take() {
  const char c = buffer_[at_++];
  if (c == '\r' || (c == '\n' && !after_return_)) ++line_;
  after_return_ = c == '\r';
}

}  // namespace elenchus

#include "data/character_source.h"

#include <algorithm>

#include "base/error.h"

namespace elenchus {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;

}  // namespace

CharacterSource::CharacterSource(const std::filesystem::path& path) : file_(path) {
  peek();
  const std::string_view start = buffer_;
  if (start.starts_with("\xFF\xFE") || start.starts_with("\xFE\xFF"))
    throw InputError(cat(name(), ": is UTF-16, expected UTF-8; convert the file"));
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

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace elenchus {

std::string TextStream::push(std::string_view bytes) {
  held_ += bytes;
  std::string out;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Utf8Prefix prefix = read_utf8_prefix(rest);
    if (prefix.kind == Utf8Prefix::Kind::cut_off) break;
    if (prefix.kind == Utf8Prefix::Kind::whole)
      out += rest.substr(0, prefix.length);
    else
      append_utf8(out, 0xFFFD);
    rest.remove_prefix(prefix.length);
  }
  held_.erase(0, held_.size() - rest.size());
  return out;
}

std::string TextStream::finish() {
  std::string out = with_replacement_characters(held_);
  held_.clear();
  return out;
}

}  // namespace elenchus

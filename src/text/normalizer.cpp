#include "text/normalizer.h"

#include "base/error.h"
#include "base/file.h"
#include "text/reference_characters.h"

namespace elenchus {

namespace {

/// `text` with each character replaced by what `change` appends for it.
template <class Change>
AlignedText change_characters(const AlignedText& text, Change change) {
  const std::string& from = text.text();
  AlignedText out = AlignedText::to_fill(from.size(), text.origin(from.size()));
  std::string bytes;
  for (std::size_t at = 0; at < from.size();) {
    const Utf8Char c = utf8_char(from, at);
    bytes.clear();
    change(c.code, bytes);
    out.append(bytes, text.origin(at));
    at += c.length;
  }
  return out;
}

}  // namespace

AlignedText Normalizer::apply(AlignedText text, const CharClassTable& classes) const {
  for (const Step& step : steps_)
    text = std::visit([&](const auto& s) { return run(s, std::move(text), classes); }, step);
  return text;
}

AlignedText Normalizer::run(const NormalForm& form, AlignedText text, const CharClassTable&) {
  return form.apply(std::move(text));
}

AlignedText Normalizer::run(const Replace& replace, AlignedText text,
                            const CharClassTable& classes) {
  std::vector<Stretch> stretches;
  replace.pattern.find(text.text(), classes, stretches);
  AlignedText out = AlignedText::to_fill(text.text().size(), text.origin(text.text().size()));
  for (const Stretch& stretch : stretches) {
    if (stretch.matched)
      out.append(replace.content, text.origin(stretch.range.begin));
    else
      out.append(text, stretch.range);
  }
  return out;
}

AlignedText Normalizer::run(const Prepend& prepend, AlignedText text, const CharClassTable&) {
  if (text.empty()) return text;
  AlignedText out = AlignedText::to_fill(text.text().size() + prepend.text.size(),
                                         text.origin(text.text().size()));
  out.append(prepend.text, text.origin(0));
  out.append(text, {0, text.text().size()});
  return out;
}

AlignedText Normalizer::run(const Strip& strip, AlignedText text, const CharClassTable& classes) {
  const std::string& from = text.text();
  TextRange kept{0, from.size()};
  const auto is_space = [&](std::size_t at) {
    return (classes[utf8_char(from, at).code] & kSpace) != 0;
  };
  while (strip.left && kept.begin < kept.end && is_space(kept.begin))
    kept.begin += utf8_length(from[kept.begin]);
  while (strip.right && kept.end > kept.begin && is_space(utf8_before(from, kept.end)))
    kept.end = utf8_before(from, kept.end);
  return text.part(kept);
}

AlignedText Normalizer::run(const Lowercase&, AlignedText text, const CharClassTable&) {
  return change_characters(text, [](char32_t code, std::string& out) {
    // The one letter whose full lower case is two characters: I with a dot.
    if (code == 0x130)
      out += "i\u0307";
    else
      append_utf8(out, reference_lower(code));
  });
}

AlignedText Normalizer::run(const StripAccents&, AlignedText text, const CharClassTable& classes) {
  return change_characters(text, [&](char32_t code, std::string& out) {
    if (!is_reference_accent(code, classes[code])) append_utf8(out, code);
  });
}

void Normalizer::add(const Json& normalizer, const std::string& what) {
  const std::string& type = normalizer.at("type", what).as_string(what + ".type");
  if (type == "Sequence") {
    const Json::Array& parts = normalizer.at("normalizers", what).as_array(what + ".normalizers");
    for (std::size_t i = 0; i < parts.size(); ++i)
      add(parts[i], cat(what, ".normalizers[", i, "]"));
  } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    using enum NormalFormKind;
    const bool compatible = type[2] == 'K';
    steps_.push_back(
        NormalForm(type.back() == 'C' ? (compatible ? nfkc : nfc) : (compatible ? nfkd : nfd)));
  } else if (type == "Replace") {
    steps_.push_back(
        Replace{SplitPattern::from_json(normalizer.at("pattern", what), what + ".pattern"),
                normalizer.at("content", what).as_string(what + ".content")});
  } else if (type == "Prepend") {
    steps_.push_back(Prepend{normalizer.at("prepend", what).as_string(what + ".prepend")});
  } else if (type == "Strip") {
    steps_.push_back(Strip{normalizer.at("strip_left", what).as_boolean(what + ".strip_left"),
                           normalizer.at("strip_right", what).as_boolean(what + ".strip_right")});
  } else if (type == "Lowercase") {
    steps_.push_back(Lowercase{});
  } else if (type == "StripAccents") {
    steps_.push_back(StripAccents{});
  } else {
    throw InputError(cat(what, ".type: found \"", printable(type),
                         "\", expected NFC, NFD, NFKC, NFKD, Replace, Prepend, Strip, Lowercase, "
                         "StripAccents or Sequence; other normalizers are not supported"));
  }
}

Normalizer Normalizer::from_json(const Json& normalizer, const std::string& what) {
  Normalizer out;
  if (!normalizer.is_null()) out.add(normalizer, what);
  return out;
}

}  // namespace elenchus

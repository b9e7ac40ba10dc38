#include "text/pre_tokenizer.h"

#include "base/error.h"
#include "base/file.h"
#include "text/reference_characters.h"

namespace elenchus {

namespace {

bool is_space(char32_t, std::uint8_t classes) { return classes & kSpace; }

bool flag(const Json& object, std::string_view key, bool otherwise, const std::string& what) {
  const Json* value = object.find(key);
  return value ? value->as_boolean(cat(what, ".", key)) : otherwise;
}

}  // namespace

PieceList PreTokenizer::apply(AlignedText text, const CharClassTable& classes) const {
  const std::size_t size = text.text().size();
  PieceList list{std::move(text), {}};
  if (size > 0) list.pieces.push_back({0, size});
  for (const Step& step : steps_) std::visit([&](const auto& s) { run(s, list, classes); }, step);
  return list;
}

void PreTokenizer::run(const Split& split, PieceList& list, const CharClassTable& classes) {
  const std::string_view text = list.text.text();
  std::vector<TextRange> pieces;
  std::vector<Stretch> stretches;
  for (const TextRange piece : list.pieces) {
    stretches.clear();
    split.pattern.find(text.substr(piece.begin, piece.end - piece.begin), classes, stretches);
    append_pieces(stretches, split.behavior, piece.begin, pieces);
  }
  list.pieces = std::move(pieces);
}

void PreTokenizer::run(const Metaspace& metaspace, PieceList& list, const CharClassTable& classes) {
  const std::string_view text = list.text.text();
  AlignedText out = AlignedText::to_fill(text.size() * 3 / 2, list.text.origin(text.size()));
  std::vector<TextRange> pieces;
  for (const TextRange piece : list.pieces) {
    const std::size_t begin = out.text().size();
    const std::string_view from = text.substr(piece.begin, piece.end - piece.begin);
    const bool is_marked = from.starts_with(' ') || from.starts_with(metaspace.replacement);
    const std::size_t origin = list.text.origin(piece.begin);
    if (!is_marked && (metaspace.prepend == Metaspace::Prepend::always ||
                       (metaspace.prepend == Metaspace::Prepend::first && origin == 0)))
      out.append(metaspace.replacement, origin);
    for (std::size_t at = 0; at < from.size();) {
      const std::size_t space = std::min(from.find(' ', at), from.size());
      out.append(list.text, {piece.begin + at, piece.begin + space});
      if (space < from.size())
        out.append(metaspace.replacement, list.text.origin(piece.begin + space));
      at = space + 1;
    }
    pieces.push_back({begin, out.text().size()});
  }
  list = {std::move(out), std::move(pieces)};
  if (metaspace.split)
    run(Split{SplitPattern(metaspace.replacement), SplitBehavior::merged_with_next}, list, classes);
}

void PreTokenizer::run(const PrefixSpace&, PieceList& list, const CharClassTable&) {
  const std::string_view text = list.text.text();
  AlignedText out =
      AlignedText::to_fill(text.size() + list.pieces.size(), list.text.origin(text.size()));
  for (TextRange& piece : list.pieces) {
    const std::size_t begin = out.text().size();
    if (text[piece.begin] != ' ') out.append(" ", list.text.origin(piece.begin));
    out.append(list.text, piece);
    piece = {begin, out.text().size()};
  }
  list.text = std::move(out);
}

void PreTokenizer::add_split(const Json& pre_tokenizer, const std::string& what) {
  SplitBehavior behavior =
      split_behavior_from_json(pre_tokenizer.at("behavior", what), what + ".behavior");
  SplitPattern pattern =
      SplitPattern::from_json(pre_tokenizer.at("pattern", what), what + ".pattern");
  if (flag(pre_tokenizer, "invert", false, what)) pattern.invert();
  steps_.push_back(Split{std::move(pattern), behavior});
}

void PreTokenizer::add_metaspace(const Json& pre_tokenizer, const std::string& what) {
  Metaspace step{"\u2581", Metaspace::Prepend::always, flag(pre_tokenizer, "split", true, what)};
  if (const Json* replacement = pre_tokenizer.find("replacement"))
    step.replacement = replacement->as_string(what + ".replacement");
  if (step.replacement.empty() || utf8_length(step.replacement[0]) != step.replacement.size())
    throw InputError(cat(what, ".replacement: found \"", printable(step.replacement),
                         "\", expected one character"));
  if (const Json* scheme = pre_tokenizer.find("prepend_scheme")) {
    const std::string& name = scheme->as_string(what + ".prepend_scheme");
    if (name == "first")
      step.prepend = Metaspace::Prepend::first;
    else if (name == "never")
      step.prepend = Metaspace::Prepend::never;
    else if (name != "always")
      throw InputError(cat(what, ".prepend_scheme: found \"", printable(name),
                           "\", expected always, first or never"));
  } else if (!flag(pre_tokenizer, "add_prefix_space", true, what)) {
    step.prepend = Metaspace::Prepend::never;
  }
  steps_.push_back(std::move(step));
}

void PreTokenizer::add_byte_level(const Json& pre_tokenizer, const std::string& what) {
  if (flag(pre_tokenizer, "add_prefix_space", true, what)) steps_.push_back(PrefixSpace{});
  if (flag(pre_tokenizer, "use_regex", true, what))
    steps_.push_back(Split{SplitPattern(KnownPattern::gpt2), SplitBehavior::isolated});
  byte_level_ = true;
}

void PreTokenizer::add(const Json& pre_tokenizer, const std::string& what) {
  const std::string& type = pre_tokenizer.at("type", what).as_string(what + ".type");
  if (byte_level_ && type != "Sequence")
    throw InputError(cat(what, ".type: found \"", printable(type),
                         "\" after ByteLevel, which must be the last part"));
  if (type == "Sequence") {
    const Json::Array& parts =
        pre_tokenizer.at("pretokenizers", what).as_array(what + ".pretokenizers");
    for (std::size_t i = 0; i < parts.size(); ++i)
      add(parts[i], cat(what, ".pretokenizers[", i, "]"));
  } else if (type == "ByteLevel") {
    add_byte_level(pre_tokenizer, what);
  } else if (type == "Split") {
    add_split(pre_tokenizer, what);
  } else if (type == "Metaspace") {
    add_metaspace(pre_tokenizer, what);
  } else if (type == "Digits") {
    steps_.push_back(Split{SplitPattern(is_reference_digit),
                           flag(pre_tokenizer, "individual_digits", false, what)
                               ? SplitBehavior::isolated
                               : SplitBehavior::contiguous});
  } else if (type == "Punctuation") {
    const Json* behavior = pre_tokenizer.find("behavior");
    steps_.push_back(Split{SplitPattern(is_reference_punctuation),
                           behavior ? split_behavior_from_json(*behavior, what + ".behavior")
                                    : SplitBehavior::isolated});
  } else if (type == "Whitespace") {
    SplitPattern pattern(KnownPattern::word_or_symbols);
    pattern.invert();
    steps_.push_back(Split{std::move(pattern), SplitBehavior::removed});
  } else if (type == "WhitespaceSplit") {
    steps_.push_back(Split{SplitPattern(is_space), SplitBehavior::removed});
  } else {
    throw InputError(
        cat(what, ".type: found \"", printable(type),
            "\", expected ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace, "
            "WhitespaceSplit or Sequence; other pre-tokenizers are not supported"));
  }
}

PreTokenizer PreTokenizer::from_json(const Json& pre_tokenizer, const std::string& what) {
  PreTokenizer out;
  if (!pre_tokenizer.is_null()) out.add(pre_tokenizer, what);
  return out;
}

}  // namespace elenchus

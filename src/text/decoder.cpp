#include "text/decoder.h"

#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/file.h"

namespace elenchus {

namespace {

/// The byte that a token <0x..> stands for.
std::optional<char> byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return {};
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return {};
  return char(value);
}

std::string joined(const std::vector<std::string>& tokens, std::string_view between = {}) {
  std::string out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out += between;
    out += tokens[i];
  }
  return out;
}

std::string replaced(std::string_view text, const SplitPattern& pattern, const std::string& content,
                     const CharClassTable& classes) {
  std::vector<Stretch> stretches;
  pattern.find(text, classes, stretches);
  std::string out;
  for (const auto& [range, matched] : stretches)
    out += matched ? std::string_view(content) : text.substr(range.begin, range.end - range.begin);
  return out;
}

std::size_t count_at(const Json& decoder, std::string_view key, const std::string& what) {
  const std::int64_t count = decoder.at(key, what).as_integer(cat(what, ".", key));
  if (count < 0) throw InputError(cat(what, ".", key, ": found ", count, ", expected 0 or more"));
  return std::size_t(count);
}

}  // namespace

std::string Decoder::decode(std::vector<std::string> tokens, const CharClassTable& classes) const {
  if (steps_.empty()) return joined(tokens, " ");
  for (const Step& step : steps_) std::visit([&](const auto& s) { run(s, tokens, classes); }, step);
  return with_replacement_characters(joined(tokens));
}

std::string Decoder::piece_bytes(std::string_view token, const CharClassTable& classes) const {
  std::string piece(token);
  for (const Step& step : steps_) {
    if (const auto* replace = std::get_if<Replace>(&step)) {
      piece = replaced(piece, replace->pattern, replace->content, classes);
    } else if (const auto* metaspace = std::get_if<Metaspace>(&step)) {
      piece = replaced(piece, SplitPattern(metaspace->replacement), " ", classes);
    } else if (std::holds_alternative<ByteLevel>(step)) {
      return alphabet_.bytes_of(piece).value_or(piece);
    } else if (std::holds_alternative<ByteFallback>(step)) {
      if (const auto byte = byte_of_token(piece)) return {*byte};
    } else {
      break;  // what follows works on the text as a whole
    }
  }
  return piece;
}

void Decoder::run(const ByteLevel&, Tokens& tokens, const CharClassTable&) const {
  std::string bytes;
  for (const std::string& token : tokens) bytes += alphabet_.bytes_of(token).value_or(token);
  tokens = {with_replacement_characters(bytes)};
}

void Decoder::run(const ByteFallback&, Tokens& tokens, const CharClassTable&) const {
  Tokens out;
  std::string bytes;
  const auto flush = [&] {
    if (!bytes.empty() && !find_invalid_utf8(bytes)) {
      out.push_back(bytes);
    } else {
      for (std::size_t i = 0; i < bytes.size(); ++i) out.push_back("\uFFFD");
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const auto byte = byte_of_token(token)) {
      bytes += *byte;
      continue;
    }
    flush();
    out.push_back(std::move(token));
  }
  flush();
  tokens = std::move(out);
}

void Decoder::run(const Fuse&, Tokens& tokens, const CharClassTable&) const {
  tokens = {joined(tokens)};
}

void Decoder::run(const Strip& strip, Tokens& tokens, const CharClassTable&) const {
  for (std::string& token : tokens) {
    std::string_view kept = token;
    for (std::size_t i = 0; i < strip.start && kept.starts_with(strip.content); ++i)
      kept.remove_prefix(strip.content.size());
    for (std::size_t i = 0; i < strip.stop && kept.ends_with(strip.content); ++i)
      kept.remove_suffix(strip.content.size());
    token = std::string(kept);
  }
}

void Decoder::run(const Replace& replace, Tokens& tokens, const CharClassTable& classes) const {
  for (std::string& token : tokens)
    token = replaced(token, replace.pattern, replace.content, classes);
}

void Decoder::run(const Metaspace& metaspace, Tokens& tokens, const CharClassTable& classes) const {
  for (std::size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = replaced(tokens[i], SplitPattern(metaspace.replacement),
                         i == 0 && metaspace.drops_first ? "" : " ", classes);
}

void Decoder::add(const Json& decoder, const std::string& what) {
  const std::string& type = decoder.at("type", what).as_string(what + ".type");
  if (type == "Sequence") {
    const Json::Array& parts = decoder.at("decoders", what).as_array(what + ".decoders");
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts[i], cat(what, ".decoders[", i, "]"));
  } else if (type == "ByteLevel") {
    steps_.push_back(ByteLevel{});
  } else if (type == "ByteFallback") {
    steps_.push_back(ByteFallback{});
  } else if (type == "Fuse") {
    steps_.push_back(Fuse{});
  } else if (type == "Strip") {
    Strip step{decoder.at("content", what).as_string(what + ".content"),
               count_at(decoder, "start", what), count_at(decoder, "stop", what)};
    if (step.content.empty() || utf8_length(step.content[0]) != step.content.size())
      throw InputError(
          cat(what, ".content: found \"", printable(step.content), "\", expected one character"));
    steps_.push_back(std::move(step));
  } else if (type == "Replace") {
    steps_.push_back(
        Replace{SplitPattern::from_json(decoder.at("pattern", what), what + ".pattern"),
                decoder.at("content", what).as_string(what + ".content")});
  } else if (type == "Metaspace") {
    Metaspace step{"\u2581", true};
    if (const Json* replacement = decoder.find("replacement"))
      step.replacement = replacement->as_string(what + ".replacement");
    if (const Json* scheme = decoder.find("prepend_scheme"))
      step.drops_first = scheme->as_string(what + ".prepend_scheme") != "never";
    else if (const Json* prefix = decoder.find("add_prefix_space"))
      step.drops_first = prefix->as_boolean(what + ".add_prefix_space");
    steps_.push_back(std::move(step));
  } else {
    throw InputError(cat(what, ".type: found \"", printable(type),
                         "\", expected ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace or "
                         "Sequence; other decoders are not supported"));
  }
}

Decoder Decoder::from_json(const Json& decoder, const std::string& what) {
  Decoder out;
  if (!decoder.is_null()) out.add(decoder, what);
  return out;
}

}  // namespace elenchus

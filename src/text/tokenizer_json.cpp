// Reads tokenizer.json, the format of Hugging Face's `tokenizers`.

#include <algorithm>
#include <array>
#include <initializer_list>

#include "base/error.h"
#include "base/file.h"
#include "text/bpe_tokenizer.h"

namespace elenchus {

namespace {

constexpr std::size_t kMostMerges = 1u << 22;
constexpr std::size_t kMostAddedBytes = 4u << 20;

void refuse_unknown_keys(const Json& object, std::initializer_list<std::string_view> known,
                         const std::string& what) {
  for (const auto& [key, value] : object.as_object(what))
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw InputError(cat(what, ": key \"", printable(key), "\" is unknown here"));
}

bool optional_flag(const Json& object, std::string_view key, const std::string& what) {
  const Json* value = object.find(key);
  return value && !value->is_null() && value->as_boolean(cat(what, ".", key));
}

void read_vocabulary(const Json& vocab, Vocabulary& out, const std::string& what) {
  const Json::Object& members = vocab.as_object(what);
  out.reserve(members.size() + 1024, members.size() * 8);
  for (const auto& [token, id] : members) {
    const std::int64_t number = id.is_integer() ? id.as_integer(what) : -1;
    if (!id.is_integer())
      throw InputError(cat(what, ": id of token \"", printable(token),
                           "\": expected an integer, found ", id.kind_name()));
    out.add(token, number, what);
  }
  if (members.empty()) throw InputError(what + ": is empty; expected tokens");
}

/// One entry of `merges`: ["a", "b"] or "a b".
std::pair<std::string_view, std::string_view> read_merge(const Json& merge, const std::string& what,
                                                         std::size_t i) {
  if (merge.is_array()) {
    const Json::Array& parts = merge.as_array(what);
    if (parts.size() == 2 && parts[0].is_string() && parts[1].is_string())
      return {parts[0].as_string(what), parts[1].as_string(what)};
  } else if (merge.is_string()) {
    const std::string_view text = merge.as_string(what);
    const std::size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos)
      return {text.substr(0, space), text.substr(space + 1)};
  }
  throw InputError(cat(what, "[", i, "]: expected [\"left\", \"right\"] or \"left right\""));
}

/// A merge under way: its three tokens are found a while after their places in memory were asked
/// for.
struct PendingMerge {
  std::string texts[3];  // left, right, both
  std::uint64_t hashes[3];
};

std::vector<BpeMerge> read_merges(const Json& merges, const Vocabulary& vocabulary,
                                  const std::string& what) {
  const Json::Array& entries = merges.as_array(what);
  if (entries.size() > kMostMerges)
    throw InputError(
        cat(what, ": found ", entries.size(), " merges; at most ", kMostMerges, " are accepted"));
  std::vector<BpeMerge> out;
  out.reserve(entries.size());
  std::array<PendingMerge, 32> pending;
  for (std::size_t begin = 0; begin < entries.size(); begin += pending.size()) {
    const std::size_t count = std::min(pending.size(), entries.size() - begin);
    for (std::size_t i = 0; i < count; ++i) {
      auto& [texts, hashes] = pending[i];
      const auto [left, right] = read_merge(entries[begin + i], what, begin + i);
      texts[0] = left;
      texts[1] = right;
      texts[2].assign(left).append(right);
      for (int k = 0; k < 3; ++k) vocabulary.prefetch(hashes[k] = hash_bytes(texts[k]));
    }
    for (std::size_t i = 0; i < count; ++i) {
      const auto& [texts, hashes] = pending[i];
      TokenId ids[3];
      for (int k = 0; k < 3; ++k) {
        ids[k] = vocabulary.find(texts[k], hashes[k]);
        if (ids[k] == TokenTable::kNone)
          throw InputError(cat(what, "[", begin + i, "]: \"", printable(texts[k]),
                               "\" is not in the vocabulary"));
      }
      out.push_back({ids[0], ids[1], ids[2], std::uint32_t(begin + i)});
    }
  }
  return out;
}

void read_model(const Json& model, TokenizerParts& parts, const std::string& what) {
  const Json* type = model.find("type");
  const std::string type_name = type ? type->as_string(what + ".type") : "BPE";
  if (type_name != "BPE")
    throw InputError(cat(what, ".type: found \"", printable(type_name),
                         "\", expected BPE; other models are not supported"));
  refuse_unknown_keys(
      model,
      {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
       "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"},
      what);
  if (const Json* dropout = model.find("dropout"); dropout && !dropout->is_null())
    throw InputError(
        what +
        ".dropout: is set; expected null, for the same text must always give the same tokens");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* affix = model.find(key);
    if (affix && !affix->is_null() && !affix->as_string(cat(what, ".", key)).empty())
      throw InputError(
          cat(what, ".", key, ": is set; expected null or \"\", others are not supported"));
  }
  read_vocabulary(model.at("vocab", what), parts.vocabulary, what + ".vocab");
  parts.merges = read_merges(model.at("merges", what), parts.vocabulary, what + ".merges");
  parts.bpe.byte_fallback = optional_flag(model, "byte_fallback", what);
  parts.bpe.ignore_merges = optional_flag(model, "ignore_merges", what);
  parts.bpe.fuse_unknown = optional_flag(model, "fuse_unk", what);
  if (const Json* unknown = model.find("unk_token"); unknown && !unknown->is_null()) {
    const std::string& token = unknown->as_string(what + ".unk_token");
    const TokenId id = parts.vocabulary.find(token);
    if (id == TokenTable::kNone)
      throw InputError(
          cat(what, ".unk_token: \"", printable(token), "\" is not in the vocabulary"));
    parts.bpe.unknown = id;
  }
}

/// Adds a token that the model's vocabulary may have already, then with the same id.
void read_added_token(const Json& entry, TokenizerParts& parts, const std::string& what) {
  refuse_unknown_keys(
      entry, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}, what);
  AddedToken token;
  token.content = entry.at("content", what).as_string(what + ".content");
  token.special = optional_flag(entry, "special", what);
  token.single_word = optional_flag(entry, "single_word", what);
  token.lstrip = optional_flag(entry, "lstrip", what);
  token.rstrip = optional_flag(entry, "rstrip", what);
  const Json* normalized = entry.find("normalized");
  token.normalized = normalized ? normalized->as_boolean(what + ".normalized") : !token.special;
  const std::int64_t id = entry.at("id", what).as_integer(what + ".id");
  const TokenId known = parts.vocabulary.find(token.content);
  if (known == TokenTable::kNone) {
    parts.vocabulary.add(token.content, id, what);
    parts.reserved.push_back(TokenId(id));
  } else if (known != id) {
    throw InputError(cat(what, ": token \"", printable(token.content), "\" has id ", id, ", but ",
                         known, " elsewhere in the file"));
  } else if (token.is_control()) {
    parts.reserved.push_back(known);
  }
  token.id = TokenId(id);
  parts.added.push_back(std::move(token));
}

void read_added_tokens(const Json& entries, TokenizerParts& parts, const std::string& what) {
  std::size_t bytes = 0;
  const Json::Array& tokens = entries.as_array(what);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    read_added_token(tokens[i], parts, cat(what, "[", i, "]"));
    bytes += parts.added.back().content.size();
    if (bytes > kMostAddedBytes)
      throw InputError(
          cat(what, ": the tokens take more than ", kMostAddedBytes, " bytes together"));
  }
  std::vector<TokenId> ids;
  for (const AddedToken& token : parts.added) ids.push_back(token.id);
  std::sort(ids.begin(), ids.end());
  if (const auto twice = std::adjacent_find(ids.begin(), ids.end()); twice != ids.end())
    throw InputError(cat(what, ": the token with id ", *twice, " is there twice"));
  std::sort(parts.reserved.begin(), parts.reserved.end());
}

void read_template(const Json& post_processor, TokenizerParts& parts, const std::string& what) {
  const Json& known = post_processor.at("special_tokens", what);
  std::vector<TokenId> before, after;
  bool seen_text = false;
  const Json::Array& single = post_processor.at("single", what).as_array(what + ".single");
  for (std::size_t i = 0; i < single.size(); ++i) {
    const std::string place = cat(what, ".single[", i, "]");
    if (const Json* sequence = single[i].find("Sequence")) {
      const std::string& id = sequence->at("id", place).as_string(place + ".id");
      if (id != "A" || seen_text) throw InputError(place + ": expected the sequence A, once");
      seen_text = true;
      continue;
    }
    const std::string& name =
        single[i].at("SpecialToken", place).at("id", place).as_string(place + ".id");
    const std::string entry = cat(what, ".special_tokens[\"", printable(name), "\"]");
    for (const Json& id :
         known.at(name, what + ".special_tokens").at("ids", entry).as_array(entry + ".ids")) {
      const std::int64_t number = id.as_integer(entry + ".ids");
      if (number < 0 || number >= parts.vocabulary.size() || !parts.vocabulary.has(TokenId(number)))
        throw InputError(cat(entry, ".ids: no token has id ", number));
      (seen_text ? after : before).push_back(TokenId(number));
    }
  }
  if (!seen_text) throw InputError(what + ".single: expected the sequence A, once");
  parts.begin_ids.insert(parts.begin_ids.begin(), before.begin(), before.end());
  parts.end_ids.insert(parts.end_ids.end(), after.begin(), after.end());
}

void read_post_processor(const Json& post_processor, TokenizerParts& parts,
                         const std::string& what) {
  if (post_processor.is_null()) return;
  const std::string& type = post_processor.at("type", what).as_string(what + ".type");
  if (type == "Sequence") {
    const Json::Array& steps = post_processor.at("processors", what).as_array(what + ".processors");
    for (std::size_t i = 0; i < steps.size(); ++i)
      read_post_processor(steps[i], parts, cat(what, ".processors[", i, "]"));
  } else if (type == "TemplateProcessing") {
    read_template(post_processor, parts, what);
  } else if (type != "ByteLevel") {  // which moves offsets, not ids
    throw InputError(
        cat(what, ".type: found \"", printable(type),
            "\", expected TemplateProcessing, ByteLevel or Sequence; others are not supported"));
  }
}

const Json& member_or_null(const Json& object, std::string_view key, const Json& null) {
  const Json* value = object.find(key);
  return value ? *value : null;
}

}  // namespace

TokenizerParts read_tokenizer_json(const Json& tokenizer_json, const std::string& source) {
  const Json null;
  const auto place = [&](const char* key) { return cat(source, ": ", key); };
  // `truncation` and `padding` are how a program called the tokenizer, not a part of it.
  refuse_unknown_keys(tokenizer_json,
                      {"version", "truncation", "padding", "added_tokens", "normalizer",
                       "pre_tokenizer", "post_processor", "decoder", "model"},
                      source);
  TokenizerParts parts;
  read_model(tokenizer_json.at("model", source), parts, place("model"));
  if (const Json* added = tokenizer_json.find("added_tokens"))
    read_added_tokens(*added, parts, place("added_tokens"));
  parts.normalizer = Normalizer::from_json(member_or_null(tokenizer_json, "normalizer", null),
                                           place("normalizer"));
  parts.pre_tokenizer = PreTokenizer::from_json(
      member_or_null(tokenizer_json, "pre_tokenizer", null), place("pre_tokenizer"));
  parts.bpe.byte_level = parts.pre_tokenizer.byte_level();
  read_post_processor(member_or_null(tokenizer_json, "post_processor", null), parts,
                      place("post_processor"));
  parts.decoder =
      Decoder::from_json(member_or_null(tokenizer_json, "decoder", null), place("decoder"));
  return parts;
}

std::unique_ptr<Tokenizer> tokenizer_from_json(const Json& tokenizer_json,
                                               std::string_view source) {
  return make_tokenizer(read_tokenizer_json(tokenizer_json, std::string(source)));
}

}  // namespace elenchus

// The tokenizer of a GGUF file, by way of the tokenizer.json that holds the same one.

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "text/bpe_tokenizer.h"
#include "text/byte_alphabet.h"

namespace elenchus {

namespace {

enum TokenType : std::int32_t {
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

/// How the byte-level vocabularies of GGUF, told apart by `tokenizer.ggml.pre`, split text.
enum class SplitStyle { gpt2, digits_then_gpt2, llama3, qwen2, qwen35, deepseek_v3, ggml_default };

struct PreStyle {
  std::string_view pre;
  SplitStyle style;
  bool ignore_merges = false;
  bool add_bos = false;  // where the file does not say
};

constexpr std::array kPreStyles = {
    PreStyle{"gpt-2", SplitStyle::gpt2},
    PreStyle{"phi-2", SplitStyle::gpt2},
    PreStyle{"olmo", SplitStyle::gpt2},
    PreStyle{"mpt", SplitStyle::gpt2},
    PreStyle{"jais", SplitStyle::gpt2},
    PreStyle{"gigachat", SplitStyle::gpt2},
    PreStyle{"a.x-4.0", SplitStyle::gpt2},
    PreStyle{"mellum", SplitStyle::gpt2},
    PreStyle{"trillion", SplitStyle::gpt2},
    PreStyle{"granite-docling", SplitStyle::gpt2},
    PreStyle{"smollm", SplitStyle::digits_then_gpt2},
    PreStyle{"starcoder", SplitStyle::digits_then_gpt2},
    PreStyle{"refact", SplitStyle::digits_then_gpt2},
    PreStyle{"command-r", SplitStyle::digits_then_gpt2},
    PreStyle{"codeshell", SplitStyle::digits_then_gpt2},
    PreStyle{"exaone", SplitStyle::digits_then_gpt2},
    PreStyle{"minerva-7b", SplitStyle::digits_then_gpt2},
    PreStyle{"llama3", SplitStyle::llama3, true, true},
    PreStyle{"llama-v3", SplitStyle::llama3, true, true},
    PreStyle{"llama-bpe", SplitStyle::llama3, true, true},
    PreStyle{"falcon3", SplitStyle::llama3, true, true},
    PreStyle{"falcon-h1", SplitStyle::llama3, true, true},
    PreStyle{"pixtral", SplitStyle::llama3, true, true},
    PreStyle{"lfm2", SplitStyle::llama3, true, true},
    PreStyle{"dbrx", SplitStyle::llama3},
    PreStyle{"smaug-bpe", SplitStyle::llama3},
    PreStyle{"chatglm-bpe", SplitStyle::llama3},
    PreStyle{"glm4", SplitStyle::llama3, true},
    PreStyle{"qwen2", SplitStyle::qwen2},
    PreStyle{"deepseek-r1-qwen", SplitStyle::qwen2},
    PreStyle{"stablelm2", SplitStyle::qwen2},
    PreStyle{"hunyuan", SplitStyle::qwen2},
    PreStyle{"megrez", SplitStyle::qwen2},
    PreStyle{"qwen35", SplitStyle::qwen35},
    PreStyle{"deepseek-v3", SplitStyle::deepseek_v3},
    PreStyle{"default", SplitStyle::ggml_default},
    PreStyle{"", SplitStyle::ggml_default},
};

/// Tokens that are control tokens whatever type the file gives them: ends of turns and texts, and
/// the marks of code to fill in. (llama.cpp's list.)
constexpr std::string_view kAlwaysControl[] = {"<|eot_id|>",
                                               "<|im_end|>",
                                               "<|end|>",
                                               "<|return|>",
                                               "<|call|>",
                                               "<|flush|>",
                                               "<|calls|>",
                                               "<end_of_turn>",
                                               "<|endoftext|>",
                                               "</s>",
                                               "<|eom_id|>",
                                               "<EOT>",
                                               "_<EOT>",
                                               "[EOT]",
                                               "[EOS]",
                                               "<|end_of_text|>",
                                               "<end_of_utterance>",
                                               "<eos>",
                                               "<turn|>",
                                               "<|tool_response>",
                                               "<｜end▁of▁sentence｜>",
                                               "[e~[",
                                               "<|fim_prefix|>",
                                               "<fim-prefix>",
                                               "<fim_prefix>",
                                               "<｜fim▁begin｜>",
                                               "<PRE>",
                                               "▁<PRE>",
                                               "<|code_prefix|>",
                                               "<|prefix|>",
                                               "<|fim_suffix|>",
                                               "<fim-suffix>",
                                               "<fim_suffix>",
                                               "<｜fim▁hole｜>",
                                               "<SUF>",
                                               "▁<SUF>",
                                               "<|code_suffix|>",
                                               "<|suffix|>",
                                               "<|fim_middle|>",
                                               "<fim-middle>",
                                               "<fim_middle>",
                                               "<｜fim▁end｜>",
                                               "<MID>",
                                               "▁<MID>",
                                               "<|code_middle|>",
                                               "<|middle|>",
                                               "<|fim_pad|>",
                                               "<fim-pad>",
                                               "<fim_pad>",
                                               "<PAD>",
                                               "[PAD]",
                                               "<|fim_repo|>",
                                               "<|repo_name|>",
                                               "<fim-repo>",
                                               "<REPO>",
                                               "<reponame>",
                                               "<|file_sep|>"};

/// Phi 3's tokens that take the white space after them, but for these.
constexpr std::string_view kPhi3KeepSpaces[] = {"<unk>", "<s>", "<|endoftext|>"};

const PreStyle& style_of(const std::string& pre) {
  const auto found = std::find_if(kPreStyles.begin(), kPreStyles.end(),
                                  [&](const PreStyle& style) { return style.pre == pre; });
  if (found != kPreStyles.end()) return *found;
  std::string known;
  for (const PreStyle& style : kPreStyles)
    if (!style.pre.empty()) known += cat(known.empty() ? "" : ", ", style.pre);
  throw InputError(cat("tokenizer.ggml.pre: found \"", printable(pre), "\", expected one of ",
                       known, "; use the model's own folder with its tokenizer.json instead"));
}

Json object(std::initializer_list<Json::Member> members) { return Json(Json::Object(members)); }

Json split_by(std::string_view regex) {
  return object({{"type", "Split"},
                 {"pattern", object({{"Regex", regex}})},
                 {"behavior", "Isolated"},
                 {"invert", false}});
}

Json byte_level(bool use_regex) {
  return object({{"type", "ByteLevel"},
                 {"add_prefix_space", false},
                 {"trim_offsets", true},
                 {"use_regex", use_regex}});
}

Json pre_tokenizer_of(SplitStyle style) {
  Json::Array parts;
  switch (style) {
    case SplitStyle::gpt2:
      return byte_level(true);
    case SplitStyle::digits_then_gpt2:
      parts = {split_by(regex_of(KnownPattern::number)), byte_level(true)};
      break;
    case SplitStyle::llama3:
      parts = {split_by(regex_of(KnownPattern::llama3)), byte_level(false)};
      break;
    case SplitStyle::qwen2:
      parts = {split_by(regex_of(KnownPattern::qwen2)), byte_level(false)};
      break;
    case SplitStyle::qwen35:
      parts = {split_by(regex_of(KnownPattern::qwen35)), byte_level(false)};
      break;
    case SplitStyle::deepseek_v3:
      parts = {split_by(regex_of(KnownPattern::three_numbers)),
               split_by(regex_of(KnownPattern::chinese_japanese)),
               split_by(regex_of(KnownPattern::deepseek)), byte_level(false)};
      break;
    case SplitStyle::ggml_default:
      parts = {split_by(R"([\p{P}\$\+<=>\^~\|]+)"), split_by(regex_of(KnownPattern::gpt2)),
               split_by(regex_of(KnownPattern::numbers)), split_by("[0-9][0-9][0-9]"),
               byte_level(false)};
      break;
  }
  return object({{"type", "Sequence"}, {"pretokenizers", std::move(parts)}});
}

/// What is checked of a vocabulary before any of it is used.
void check(const GgufVocabulary& v) {
  if (v.model != "gpt2" && v.model != "llama")
    throw InputError(cat("tokenizer.ggml.model: found \"", printable(v.model),
                         "\", expected gpt2 or llama; other models are not supported"));
  const auto count = v.tokens.size();
  if (count == 0) throw InputError("tokenizer.ggml.tokens: is empty; expected tokens");
  if (!v.token_types.empty() && v.token_types.size() != count)
    throw InputError(cat("tokenizer.ggml.token_type: has ", v.token_types.size(), " entries for ",
                         count, " tokens"));
  if (v.model == "llama" && v.scores.size() != count)
    throw InputError(
        cat("tokenizer.ggml.scores: has ", v.scores.size(), " entries for ", count, " tokens"));
  for (std::size_t i = 0; i < count; ++i)
    if (const auto bad = find_invalid_utf8(v.tokens[i]))
      throw InputError(cat("tokenizer.ggml.tokens[", i, "]: \"", printable(v.tokens[i]),
                           "\" is not valid UTF-8"));
  const auto check_id = [&](const char* key, const std::optional<std::int64_t>& id) {
    if (id && (*id < 0 || *id >= std::int64_t(count)))
      throw InputError(cat("tokenizer.ggml.", key, ": found ", *id, ", expected 0 to ", count - 1));
  };
  check_id("bos_token_id", v.bos);
  check_id("eos_token_id", v.eos);
  check_id("unknown_token_id", v.unknown);
  check_id("padding_token_id", v.padding);
}

std::int32_t type_of(const GgufVocabulary& v, std::size_t id) {
  if (std::ranges::find(kAlwaysControl, v.tokens[id]) != std::end(kAlwaysControl)) return kControl;
  if (!v.token_types.empty()) return v.token_types[id];
  const auto is = [&](const std::optional<std::int64_t>& named) {
    return named == std::int64_t(id);
  };
  return is(v.bos) || is(v.eos) || is(v.padding) ? kControl : is(v.unknown) ? kUnknown : 1;
}

bool strips_right(const GgufVocabulary& v, std::string_view token) {
  std::string name = v.model_name;
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c + ('a' - 'A')) : c; });
  return (name.find("phi-3") != name.npos || name.find("phi3") != name.npos) &&
         std::ranges::find(kPhi3KeepSpaces, token) == std::end(kPhi3KeepSpaces);
}

/// Tokens that are looked for in the text itself: control tokens, and the ones the model's authors
/// added.
Json added_tokens_of(const GgufVocabulary& v) {
  Json::Array out;
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    const std::int32_t type = type_of(v, id);
    if ((type != kControl && type != kUserDefined && type != kUnknown) || v.tokens[id].empty())
      continue;
    out.push_back(object({{"id", std::int64_t(id)},
                          {"content", v.tokens[id]},
                          {"single_word", false},
                          {"lstrip", false},
                          {"rstrip", strips_right(v, v.tokens[id])},
                          {"normalized", false},
                          {"special", type != kUserDefined}}));
  }
  return out;
}

Json post_processor_of(const GgufVocabulary& v, bool add_bos_otherwise) {
  Json::Array single;
  Json::Object special;
  const auto add = [&](const std::optional<std::int64_t>& id) {
    const std::string& token = v.tokens[std::size_t(*id)];
    single.push_back(object({{"SpecialToken", object({{"id", token}, {"type_id", 0}})}}));
    const bool is_new = std::none_of(special.begin(), special.end(),
                                     [&](const auto& m) { return m.first == token; });
    if (is_new)
      special.push_back({token, object({{"id", token},
                                        {"ids", Json::Array{Json(*id)}},
                                        {"tokens", Json::Array{Json(token)}}})});
  };
  const Json text = object({{"Sequence", object({{"id", "A"}, {"type_id", 0}})}});
  if (v.bos && v.add_bos.value_or(add_bos_otherwise)) add(v.bos);
  single.push_back(text);
  if (v.eos && v.add_eos.value_or(false)) add(v.eos);
  if (single.size() == 1) return v.model == "llama" ? Json() : byte_level(true);
  Json::Array pair = single;
  pair.push_back(object({{"Sequence", object({{"id", "B"}, {"type_id", 1}})}}));
  return object({{"type", "TemplateProcessing"},
                 {"single", std::move(single)},
                 {"pair", std::move(pair)},
                 {"special_tokens", std::move(special)}});
}

Json vocab_of(const GgufVocabulary& v) {
  Json::Object vocab;
  vocab.reserve(v.tokens.size());
  for (std::size_t id = 0; id < v.tokens.size(); ++id)
    vocab.emplace_back(v.tokens[id], Json(std::int64_t(id)));
  return vocab;
}

Json model_of(Json vocab, Json::Array merges) {
  return object({{"type", "BPE"},
                 {"dropout", nullptr},
                 {"unk_token", nullptr},
                 {"continuing_subword_prefix", nullptr},
                 {"end_of_word_suffix", nullptr},
                 {"fuse_unk", false},
                 {"byte_fallback", false},
                 {"ignore_merges", false},
                 {"vocab", std::move(vocab)},
                 {"merges", std::move(merges)}});
}

Json replace(std::string_view from, std::string_view to) {
  return object({{"type", "Replace"}, {"pattern", object({{"String", from}})}, {"content", to}});
}

Json document(const GgufVocabulary& v, bool add_bos_otherwise, Json model) {
  return object({{"version", "1.0"},
                 {"truncation", nullptr},
                 {"padding", nullptr},
                 {"added_tokens", added_tokens_of(v)},
                 {"normalizer", nullptr},
                 {"pre_tokenizer", nullptr},
                 {"post_processor", post_processor_of(v, add_bos_otherwise)},
                 {"decoder", nullptr},
                 {"model", std::move(model)}});
}

Json byte_level_json(const GgufVocabulary& v) {
  const PreStyle& style = style_of(v.pre);
  Json::Array merges(v.merges.begin(), v.merges.end());
  Json model = model_of(vocab_of(v), std::move(merges));
  model.set("ignore_merges", style.ignore_merges);
  Json out = document(v, style.add_bos, std::move(model));
  out.set("pre_tokenizer", pre_tokenizer_of(style.style));
  out.set("decoder", byte_level(true));
  return out;
}

/// SentencePiece: blanks are U+2581, one is put before the text, and scores say which pair is
/// joined first.
Json sentencepiece_json(const GgufVocabulary& v, Json::Array merges) {
  const bool prefix = v.add_space_prefix.value_or(true);
  Json model = model_of(vocab_of(v), std::move(merges));
  if (v.unknown) model.set("unk_token", v.tokens[std::size_t(*v.unknown)]);
  model.set("fuse_unk", true);
  model.set("byte_fallback", true);
  Json out = document(v, true, std::move(model));
  Json::Array normalizers, decoders;
  if (prefix) normalizers.push_back(object({{"type", "Prepend"}, {"prepend", "\u2581"}}));
  normalizers.push_back(replace(" ", "\u2581"));
  decoders = {replace("\u2581", " "), object({{"type", "ByteFallback"}}),
              object({{"type", "Fuse"}})};
  if (prefix)
    decoders.push_back(object({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}));
  out.set("normalizer", object({{"type", "Sequence"}, {"normalizers", std::move(normalizers)}}));
  out.set("decoder", object({{"type", "Sequence"}, {"decoders", std::move(decoders)}}));
  return out;
}

/// The merges of a SentencePiece vocabulary. Byte tokens and unused ones take no part either: text
/// is not spelled so.
std::vector<BpeMerge> merges_of(const GgufVocabulary& v, const Vocabulary& vocabulary) {
  std::vector<TokenId> reserved;
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    const std::int32_t type = type_of(v, id);
    if (type == kControl || type == kUnknown || type == kUnused || type == kByte)
      reserved.push_back(TokenId(id));
  }
  return merges_from_scores(vocabulary, v.scores, reserved);
}

}  // namespace

std::vector<BpeMerge> merges_from_scores(const Vocabulary& vocabulary,
                                         const std::vector<float>& scores,
                                         const std::vector<TokenId>& reserved) {
  const auto takes_part = [&](TokenId id) {
    return id != TokenTable::kNone && !std::binary_search(reserved.begin(), reserved.end(), id);
  };
  std::vector<TokenId> by_score;
  for (TokenId id = 0; id < vocabulary.size(); ++id)
    if (takes_part(id) && vocabulary.has(id)) by_score.push_back(id);
  std::stable_sort(by_score.begin(), by_score.end(), [&](TokenId a, TokenId b) {
    return scores[std::size_t(a)] > scores[std::size_t(b)];
  });
  std::vector<BpeMerge> merges;
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < by_score.size(); ++i) {
    const TokenId id = by_score[i];
    if (i > 0 && scores[std::size_t(id)] < scores[std::size_t(by_score[i - 1])]) ++rank;
    const std::string_view text = vocabulary.text(id);
    for (std::size_t cut = utf8_length(text[0]); cut < text.size(); cut += utf8_length(text[cut])) {
      const TokenId left = vocabulary.find(text.substr(0, cut)),
                    right = vocabulary.find(text.substr(cut));
      if (takes_part(left) && takes_part(right)) merges.push_back({left, right, id, rank});
    }
  }
  return merges;
}

Json tokenizer_json_from_gguf(const GgufVocabulary& vocabulary) {
  check(vocabulary);
  if (vocabulary.model == "gpt2") return byte_level_json(vocabulary);
  Vocabulary tokens;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id)
    tokens.add(vocabulary.tokens[id], std::int64_t(id), "tokenizer.ggml.tokens");
  Json::Array merges;
  for (const BpeMerge& merge : merges_of(vocabulary, tokens))
    merges.push_back(Json::Array{tokens.text(merge.left), tokens.text(merge.right)});
  return sentencepiece_json(vocabulary, std::move(merges));
}

std::unique_ptr<Tokenizer> tokenizer_from_gguf(const GgufVocabulary& vocabulary,
                                               std::string_view source) {
  check(vocabulary);
  const bool byte_level = vocabulary.model == "gpt2";
  TokenizerParts parts = read_tokenizer_json(
      byte_level ? byte_level_json(vocabulary) : sentencepiece_json(vocabulary, {}),
      std::string(source));
  // What tokenizer.json cannot say.
  for (AddedToken& token : parts.added) token.strips_ascii = true;
  if (byte_level) {
    parts.bpe.unknown_cuts = true;
    parts.unicode = UnicodeVersion::v15_1;
  } else {
    parts.merges = merges_of(vocabulary, parts.vocabulary);  // equal scores are equal ranks
  }
  return make_tokenizer(std::move(parts));
}

}  // namespace elenchus

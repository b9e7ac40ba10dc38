#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace elenchus {
namespace {

using Pieces = std::vector<std::string>;

const CharClassTable& classes() {
  static const CharClassTable table;
  return table;
}

Pieces pieces(const std::string& json, std::string_view text) {
  const PieceList list = PreTokenizer::from_json(Json::parse(json, "test"), "pre_tokenizer")
                             .apply({text, 0}, classes());
  Pieces out;
  for (const TextRange piece : list.pieces)
    out.push_back(list.text.text().substr(piece.begin, piece.end - piece.begin));
  return out;
}

std::string split(const char* behavior, const char* invert = "false") {
  return std::string(R"({"type": "Split", "pattern": {"String": "-"}, "behavior": ")") + behavior +
         R"(", "invert": )" + invert + "}";
}

TEST(PreTokenizer, SplitsInEachWay) {
  EXPECT_EQ(pieces(split("Removed"), "-a--b-"), (Pieces{"a", "b"}));
  EXPECT_EQ(pieces(split("Isolated"), "-a--b-"), (Pieces{"-", "a", "-", "-", "b", "-"}));
  EXPECT_EQ(pieces(split("MergedWithPrevious"), "-a--b-"), (Pieces{"-", "a-", "-", "b-"}));
  EXPECT_EQ(pieces(split("MergedWithNext"), "-a--b-"), (Pieces{"-a", "-", "-b", "-"}));
  EXPECT_EQ(pieces(split("Contiguous"), "-a--b-"), (Pieces{"-", "a", "--", "b", "-"}));
  EXPECT_EQ(pieces(split("Removed", "true"), "-a--b-"), (Pieces{"-", "-", "-", "-"}));
}

TEST(PreTokenizer, SplitsAtEmptyMatches) {
  EXPECT_EQ(
      pieces(
          R"json({"type": "Split", "pattern": {"Regex": "(?=[A-Z])"}, "behavior": "Isolated"})json",
          "oneTwoT"),
      (Pieces{"one", "Two", "T"}));
}

TEST(PreTokenizer, DoesEachKind) {
  EXPECT_EQ(pieces("null", "a b"), (Pieces{"a b"}));
  EXPECT_EQ(pieces("null", ""), Pieces{});
  EXPECT_EQ(pieces(R"({"type": "Digits", "individual_digits": true})", "a12"),
            (Pieces{"a", "1", "2"}));
  EXPECT_EQ(pieces(R"({"type": "Digits"})", "a12½b"), (Pieces{"a", "12½", "b"}));
  EXPECT_EQ(pieces(R"({"type": "Punctuation"})", "a+。b"), (Pieces{"a", "+", "。", "b"}));
  EXPECT_EQ(pieces(R"({"type": "Whitespace"})", " a_1 ++ é"), (Pieces{"a_1", "++", "é"}));
  EXPECT_EQ(pieces(R"({"type": "WhitespaceSplit"})", " a+\u3000b\n"), (Pieces{"a+", "b"}));
  EXPECT_EQ(pieces(R"({"type": "ByteLevel", "add_prefix_space": true})", "it's 1"),
            (Pieces{" it", "'s", " 1"}));
  EXPECT_EQ(
      pieces(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})", "a b"),
      (Pieces{"a b"}));
}

TEST(PreTokenizer, MetaspaceMarksBlanks) {
  EXPECT_EQ(pieces(R"({"type": "Metaspace", "prepend_scheme": "always"})", "a  b"),
            (Pieces{"▁a", "▁", "▁b"}));
  EXPECT_EQ(pieces(R"({"type": "Metaspace", "prepend_scheme": "never"})", "a b"),
            (Pieces{"a", "▁b"}));
  EXPECT_EQ(pieces(R"({"type": "Metaspace", "prepend_scheme": "first", "split": false})", " a b"),
            (Pieces{"▁a▁b"}));
  EXPECT_EQ(
      pieces(R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false})", "a b"),
      (Pieces{"a", "_b"}));
}

TEST(PreTokenizer, NamesWhatItDoesNotKnow) {
  for (const char* json :
       {R"({"type": "BertPreTokenizer"})",
        R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Kept"})",
        R"({"type": "Metaspace", "replacement": "ab"})",
        R"({"type": "Metaspace", "prepend_scheme": "last"})",
        R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})",
        "7"})
    EXPECT_THROW(pieces(json, ""), InputError) << json;
}

}  // namespace
}  // namespace elenchus

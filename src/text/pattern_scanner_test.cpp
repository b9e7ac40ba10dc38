#include "text/pattern_scanner.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"
#include "text/tokenizer_regex.h"

namespace elenchus {
namespace {

/// Characters of every class that some pattern tells apart, all older than the Unicode tables of
/// either side.
constexpr std::u32string_view kAlphabet =
    U"aZſsStTrReEvVlLmMdD''’ éßЖ中あア゠龥龦かがハ가ㅏ\u0301\u0489\u093e09٣½²Ⅳ一  "
    U"\t\n\r\v\f\u0085\u00a0\u1680\u180e\u2003\u2028"
    U"\u200b\u200d\u3000!\"#$%&()*+,-./"
    U":;<=>?@[\\]^_`{|}~«€™←🙂\U0001F1EF\u0000\u001c\u007f\ufeff\ufffd\U0001D7D8";

std::string random_text(std::uint32_t text) {
  const RandomKey random{.seed = 5, .use = RandomUse::test, .step = text, .site = 0};
  std::string out;
  std::uint64_t draw = 0;
  const std::uint32_t length = random.below(draw++, 24);
  while (out.size() < length) {
    const char32_t code = kAlphabet[random.below(draw++, std::uint32_t(kAlphabet.size()))];
    for (std::uint32_t i = random.below(draw++, 8) == 0 ? 3 : 1; i > 0; --i) append_utf8(out, code);
  }
  return out;
}

class Scanner : public testing::TestWithParam<KnownPattern> {};

TEST_P(Scanner, AgreesWithItsRegularExpression) {
  const CharClassTable classes;
  const TokenizerRegex regex(regex_of(GetParam()), "test");
  for (std::uint32_t i = 0; i < 4000; ++i) {
    const std::string text = random_text(i);
    TokenizerRegex::Search search(regex, text);
    for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at]))
      ASSERT_EQ(match_known_pattern(GetParam(), classes, text, at), search.match_at(at))
          << printable(text, 300) << " at " << at;
  }
}

TEST_P(Scanner, IsFoundByItsExactText) {
  EXPECT_EQ(find_known_pattern(regex_of(GetParam())), GetParam());
  EXPECT_EQ(find_known_pattern(cat(regex_of(GetParam()), " ")), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(All, Scanner,
                         testing::Values(KnownPattern::gpt2, KnownPattern::llama3,
                                         KnownPattern::qwen2, KnownPattern::deepseek,
                                         KnownPattern::chinese_japanese, KnownPattern::number,
                                         KnownPattern::numbers, KnownPattern::three_numbers));

TEST(CharClassTable, HoldsTheClassesOfEveryCharacter) {
  const CharClassTable classes;
  for (char32_t code = 0; code < 0x110000; ++code)
    ASSERT_EQ(classes[code], char_classes(code)) << std::uint32_t(code);
  EXPECT_EQ(classes[U'é'], kLetter | kWordChar);
  EXPECT_EQ(classes[U'½'], kNumber);
  EXPECT_EQ(classes[U'_'], kPunctuation | kWordChar);
  EXPECT_EQ(classes[U'\u3000'], kSpace);
  EXPECT_EQ(classes[0x180E], 0);
  EXPECT_EQ(classes[0x1CC00], kSymbol);  // Unicode 16
}

TEST(TokenizerRegex, RefusesWhatOtherEnginesReadOtherwise) {
  for (const char* pattern :
       {"a(", "[a&&b]", "[a[bc]]", "\\h", "\\R", "\\C", "(?C1)(", "[[:alpha:", "a{2,1}"})
    EXPECT_THROW(TokenizerRegex(pattern, "pre_tokenizer.pattern"), InputError) << pattern;
}

TEST(TokenizerRegex, StopsRunawayMatches) {
  const TokenizerRegex regex("(a+)+b|(a|aa)+c", "test");
  const std::string text(64, 'a');
  TokenizerRegex::Search search(regex, text);
  EXPECT_THROW(search.match_at(0), InputError);
}

TEST(TokenizerRegex, MatchesOnlyAtThePlaceAsked) {
  const TokenizerRegex regex("(?<=x)b*|[[:digit:]]]", "test");
  const std::string text = "xbb1]";
  TokenizerRegex::Search search(regex, text);
  EXPECT_EQ(search.match_at(0), std::nullopt);
  EXPECT_EQ(search.match_at(1), 3u);
  EXPECT_EQ(search.match_at(3), 5u);
  EXPECT_EQ(search.match_at(5), std::nullopt);
}

}  // namespace
}  // namespace elenchus

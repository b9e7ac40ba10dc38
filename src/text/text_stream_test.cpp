#include <gtest/gtest.h>

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace elenchus {
namespace {

TEST(TextStream, HoldsBackAtMostOneUnfinishedCharacter) {
  TextStream stream;
  EXPECT_EQ(stream.push("a\xE3"), "a");
  EXPECT_EQ(stream.push("\x81"), "");
  EXPECT_EQ(stream.push("\x82\xF0\x9F"), "あ");
  EXPECT_EQ(stream.push("\x99\x82!"), "🙂!");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, ReplacesBytesThatCanNoLongerBecomeACharacter) {
  TextStream stream;
  EXPECT_EQ(stream.push("\xE3\x81"), "");
  EXPECT_EQ(stream.push("x"), "\uFFFDx");
  EXPECT_EQ(stream.push("\xFF\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(stream.push("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(stream.push("\xF0\x9F"), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, GivesTheSameForAnySplit) {
  const std::string bytes = "a\xE3\x81\x82\xC0\xAF\xF4\x90\x80\xE2\x82\xF0\x9F\x99\x82\xC3";
  const std::string whole = with_replacement_characters(bytes);
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); ++second) {
      TextStream stream;
      std::string out = stream.push(bytes.substr(0, first));
      out += stream.push(bytes.substr(first, second - first));
      out += stream.push(bytes.substr(second));
      EXPECT_EQ(out + stream.finish(), whole);
    }
  }
}

}  // namespace
}  // namespace elenchus

#include "text/normalizer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/normal_form.h"

namespace elenchus {
namespace {

const CharClassTable& classes() {
  static const CharClassTable table;
  return table;
}

std::string normalized(const char* json, std::string_view text) {
  return Normalizer::from_json(Json::parse(json, "test"), "normalizer")
      .apply({text, 0}, classes())
      .text();
}

std::string in_form(NormalFormKind kind, std::string_view text) {
  return NormalForm(kind).apply({text, 0}).text();
}

TEST(NormalForm, ComposesAndDecomposes) {
  using enum NormalFormKind;
  EXPECT_EQ(in_form(nfc, "cafe\u0301 \u212B"), "café Å");
  EXPECT_EQ(in_form(nfd, "café"), "cafe\u0301");
  EXPECT_EQ(in_form(nfkc, "ﬁ½ｶﾞ"), "fi1\u20442ガ");
  EXPECT_EQ(in_form(nfkd, "ガ"), "カ\u3099");
  EXPECT_EQ(in_form(nfc, "\u1112\u1161\u11ab\u1112\u1161"), "한하");
  EXPECT_EQ(in_form(nfd, "한"), "\u1112\u1161\u11ab");
  EXPECT_EQ(in_form(nfc, "a\u0301\u0323"), "\u1ea1\u0301");
  EXPECT_EQ(in_form(nfc, "\u0958"), "\u0915\u093c");  // excluded from composition
}

TEST(NormalForm, LeavesMarksYoungerThanUnicode9WhereTheyAre) {
  EXPECT_EQ(in_form(NormalFormKind::nfc, "x\u0301\u1ACD\u0323"), "x\u0301\u1ACD\u0323");
}

TEST(NormalForm, KeepsTrackOfWhereClustersCameFrom) {
  const AlignedText text = NormalForm(NormalFormKind::nfc).apply({"ae\u0301b", 10});
  ASSERT_EQ(text.text(), "aéb");
  EXPECT_EQ(text.origin(0), 10u);
  EXPECT_EQ(text.origin(1), 11u);
  EXPECT_EQ(text.origin(3), 14u);
  EXPECT_EQ(text.origin(4), 15u);
}

TEST(Normalizer, DoesEachKind) {
  EXPECT_EQ(normalized("null", " A "), " A ");
  EXPECT_EQ(normalized(R"({"type": "Prepend", "prepend": "_"})", "x"), "_x");
  EXPECT_EQ(normalized(R"({"type": "Prepend", "prepend": "_"})", ""), "");
  EXPECT_EQ(
      normalized(R"({"type": "Strip", "strip_left": true, "strip_right": false})", "\u3000 x "),
      "x ");
  EXPECT_EQ(normalized(R"({"type": "Strip", "strip_left": true, "strip_right": true})", " \n "),
            "");
  EXPECT_EQ(normalized(R"({"type": "Lowercase"})", "ÀİẞΣ"), "ài\u0307ßσ");
  EXPECT_EQ(normalized(R"({"type": "StripAccents"})", "e\u0301é"), "eé");
  EXPECT_EQ(
      normalized(R"({"type": "Replace", "pattern": {"String": "aa"}, "content": "b"})", "aaaXaa"),
      "baXb");
  EXPECT_EQ(normalized(R"({"type": "Replace", "pattern": {"Regex": "\\d+|$"}, "content": "#"})",
                       "a12b3c"),
            "a#b#c#");
  EXPECT_EQ(
      normalized(
          R"({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}]})",
          "é"),
      "e");
}

TEST(Normalizer, NamesWhatItDoesNotKnow) {
  for (const char* json :
       {R"({"type": "Precompiled"})", R"({})", R"([])", R"({"type": "Replace", "pattern": {}})",
        R"({"type": "Sequence", "normalizers": [{"type": "NFX"}]})"})
    EXPECT_THROW(normalized(json, ""), InputError) << json;
}

}  // namespace
}  // namespace elenchus

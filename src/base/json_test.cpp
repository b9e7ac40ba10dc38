#include "base/json.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/json_fuzz.h"
#include "testing/fuzz_replay.h"

namespace elenchus {
namespace {

std::string error_of(std::string_view text, JsonLimits limits = {}) {
  try {
    Json::parse(text, "f.json", limits);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Json, ReadsEveryKindOfValue) {
  const Json json = Json::parse(
      R"({"n": null, "b": true, "i": -9223372036854775808, "d": 1.5e3, "s": "a\u00e9\n", "a": [1, []], "o": {}})",
      "f");
  EXPECT_TRUE(json.at("n", "f").is_null());
  EXPECT_TRUE(json.at("b", "f").as_boolean("b"));
  EXPECT_EQ(json.at("i", "f").as_integer("i"), INT64_MIN);
  EXPECT_EQ(json.at("d", "f").as_number("d"), 1500);
  EXPECT_EQ(json.at("s", "f").as_string("s"), "a\xC3\xA9\n");
  EXPECT_EQ(json.at("a", "f").as_array("a").size(), 2u);
  EXPECT_TRUE(json.at("o", "f").as_object("o").empty());
}

TEST(Json, KeepsIntegersExactAndLargerOnesAsReals) {
  EXPECT_EQ(Json::parse("9223372036854775807", "f").as_integer("f"), INT64_MAX);
  EXPECT_FALSE(Json::parse("9223372036854775808", "f").is_integer());
  EXPECT_EQ(Json::parse("9223372036854775808", "f").as_number("f"), 0x1p63);
  EXPECT_FALSE(Json::parse("-0", "f").is_integer());
  EXPECT_FALSE(Json::parse("1.0", "f").is_integer());
}

TEST(Json, NamesThePlaceOfAnError) {
  EXPECT_EQ(error_of("{\"a\": 1,\n \"\xC3\xA9\": x}"),
            "f.json:2:7: found 'x', expected valid JSON (invalid literal) (byte 16)");
  EXPECT_EQ(error_of(""), "f.json:1:1: found the end of the text, expected a value (byte 0)");
  EXPECT_EQ(error_of("[1 2]"), "f.json:1:4: found '2', expected ']' (byte 3)");
}

TEST(Json, RefusesWhatTheStandardRefuses) {
  const std::string_view bad[] = {"",
                                  " ",
                                  "[",
                                  "]",
                                  "{",
                                  "[1,]",
                                  "[,1]",
                                  "{\"a\"}",
                                  "{\"a\":}",
                                  "{\"a\":1,}",
                                  "{a:1}",
                                  "{1:1}",
                                  "01",
                                  "1.",
                                  ".5",
                                  "+1",
                                  "-",
                                  "1e",
                                  "0x10",
                                  "NaN",
                                  "Infinity",
                                  "-Infinity",
                                  "nul",
                                  "True",
                                  "'a'",
                                  "\"a",
                                  "\"\t\"",
                                  "\"\\x\"",
                                  "\"\\u12\"",
                                  "[1] 2",
                                  "[1]]",
                                  "/**/1",
                                  "\"\\ud800\"",
                                  "\"\\udc00\"",
                                  "\"\\ud800\\u0041\"",
                                  "\"\xFF\"",
                                  "\"\xC0\x80\"",
                                  "\"\xED\xA0\x80\"",
                                  "\"\xF4\x90\x80\x80\"",
                                  "1e999",
                                  "-1e999",
                                  "\xEF\xBB\xBF\xEF\xBB\xBF"
                                  "1",
                                  "\xEF\xBB"
                                  "1",
                                  std::string_view("[1]\0", 4),
                                  std::string_view("[1]\0[", 5),
                                  std::string_view("\0", 1)};
  for (const std::string_view text : bad) EXPECT_NE(error_of(text), "accepted") << text;
}

TEST(Json, AcceptsWhatTheStandardAccepts) {
  const std::string_view good[] = {"0",
                                   "-0.0",
                                   "1e-400",
                                   "1E+2",
                                   " [ ] ",
                                   "\"\\u0000\"",
                                   "\"\\ud83d\\ude00\"",
                                   "\"\x7F\"",
                                   "\"\\/\"",
                                   "{\"\":0}",
                                   "\xEF\xBB\xBF[1]",
                                   "\t\r\n1\n",
                                   "true"};
  for (const std::string_view text : good) EXPECT_EQ(error_of(text), "accepted") << text;
}

TEST(Json, RefusesUtf16WithAClearError) {
  EXPECT_NE(error_of(std::string_view("\xFF\xFE[\0]\0", 6)).find("UTF-16"), std::string::npos);
  EXPECT_NE(error_of(std::string_view("\xFE\xFF\0[\0]", 6)).find("UTF-16"), std::string::npos);
}

TEST(Json, RefusesAKeyGivenTwice) {
  EXPECT_EQ(error_of("{\"a\": 1, \"\\u0061\": 2}").substr(0, 34),
            "f.json:1:10: found the key 'a' a s");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += cat("\"k", i, "\": 0, ");
  EXPECT_EQ(error_of(many + "\"k100\": 0}"), "accepted");
  EXPECT_NE(error_of(many + "\"k3\": 0}").find("'k3' a second time"), std::string::npos);
  EXPECT_NE(error_of(many + "\"k99\": 0}").find("'k99' a second time"), std::string::npos);
  EXPECT_EQ(error_of("[{\"a\": 1}, {\"a\": 1}]"), "accepted");
}

TEST(Json, BoundsTheDepth) {
  EXPECT_EQ(error_of("[[[]]]", {.depth = 3}), "accepted");
  EXPECT_NE(error_of("[[[[]]]]", {.depth = 3}).find("1:4: found arrays and objects nested"),
            std::string::npos);
  EXPECT_NE(error_of(std::string(1'000'000, '[')), "accepted");
}

TEST(Json, ReadsManyKeysInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) text += cat(i > 0 ? "," : "", "\"key", i, "\":", i);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Json::parse(text + "}", "f").as_object("f").size(), 300'000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Json, WritesAsPythonDoes) {
  const Json json = Json::parse(
      R"({"b":[1,-2.50,"\u3042\"\\\b\f\u001f\u007f"],"a":{"e":[],"o":{}},"n":null,"t":false})",
      "f");
  EXPECT_EQ(json.dump(),
            "{\"b\": [1, -2.5, \"\xE3\x81\x82\\\"\\\\\\b\\f\\u001f\x7F\"], \"a\": {\"e\": [], "
            "\"o\": {}}, "
            "\"n\": null, \"t\": false}");
  EXPECT_EQ(Json::parse(R"({"b":[1],"a":{}})", "f").dump_sorted(2),
            "{\n  \"a\": {},\n  \"b\": [\n    1\n  ]\n}");
}

TEST(Json, WritesRealsAsPythonsRepr) {
  const std::pair<double, const char*> cases[] = {{1.0, "1.0"},
                                                  {1e-5, "1e-05"},
                                                  {8e-5, "8e-05"},
                                                  {0.0001, "0.0001"},
                                                  {0.1, "0.1"},
                                                  {1e16, "1e+16"},
                                                  {123456789012345680.0, "1.2345678901234568e+17"},
                                                  {1e15, "1000000000000000.0"},
                                                  {-0.0, "-0.0"},
                                                  {1e100, "1e+100"},
                                                  {5e-324, "5e-324"},
                                                  {1.0 / 3, "0.3333333333333333"},
                                                  {9007199254740993.0, "9007199254740992.0"},
                                                  {NAN, "null"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(Json(value).dump(), text);
}

TEST(Json, ReadsBackWhatItWrote) {
  const Json json =
      Json::parse(R"({"a": [1, 2.5, "x\ny", null, true, {"b": []}], "c": 1e300})", "f");
  EXPECT_EQ(Json::parse(json.dump(), "f"), json);
  EXPECT_EQ(Json::parse(json.dump(4), "f"), json);
}

TEST(Json, SaysWhichKindItFound) {
  const Json json = Json::parse(R"({"a": "x"})", "f");
  const auto message = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message([&] { (void)json.at("a", "f").as_integer("f: a"); }),
            "f: a: expected an integer, found a string");
  EXPECT_EQ(message([&] { (void)json.at("b", "f"); }), "f: key 'b' is missing");
  EXPECT_EQ(message([&] { (void)Json(1).at("b", "f"); }),
            "f: expected an object, found an integer");
}

TEST(Json, SetAddsAndReplaces) {
  Json json;
  json.set("a", 1);
  json.set("b", "x");
  json.set("a", true);
  EXPECT_EQ(json.dump(), "{\"a\": true, \"b\": \"x\"}");
  EXPECT_THROW(Json(1).set("a", 1), InternalError);
}

TEST(Json, FuzzCorpusHolds) {
  if (replay_corpus("json", check_json_reader) == 0)
    GTEST_SKIP() << "set ELENCHUS_TESTS to the folder tests/";
}

TEST(Json, EqualityDoesNotSeeTheOrderOfMembers) {
  const Json a = Json::parse(R"([{"x": 1, "y": {"p": true, "q": null}}])", "a");
  const Json b = Json::parse(R"([{"y": {"q": null, "p": true}, "x": 1}])", "b");
  EXPECT_EQ(a, b);
  EXPECT_NE(a, Json::parse(R"([{"y": {"q": null, "p": true}, "x": 1.0}])", "c"));
  EXPECT_NE(a, Json::parse(R"([{"y": {"q": null}, "x": 1}])", "d"));
  EXPECT_NE(Json::parse("[1, 2]", "e"), Json::parse("[2, 1]", "f"));
}

}  // namespace
}  // namespace elenchus

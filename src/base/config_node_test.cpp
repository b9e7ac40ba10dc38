#include "base/config_node.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/field_visitors.h"

namespace elenchus {
namespace {

Json json_of(std::string_view yaml) { return to_json(parse_yaml(yaml, "file.yaml")); }

TEST(ConfigNode, KnowsItsPlaceInTheFile) {
  const ConfigNode root = parse_yaml("a: 1\nb:\n  - x\n  - c: 2\n", "file.yaml");
  EXPECT_EQ(root.find("a")->place, "file.yaml:1:4");
  EXPECT_EQ(root.find("b")->items[1].members[0].place, "file.yaml:4:5");
  EXPECT_EQ(root.find("missing"), nullptr);
}

TEST(ConfigNode, PlainScalarsBecomeWhatTheyAreWrittenAs) {
  EXPECT_EQ(json_of("[1, 2.5, 8e-5, -3, true, No, ~, text, '1', \"true\", 0x10, 1.2.3]"),
            Json::parse(R"([1, 2.5, 8e-5, -3, true, false, null, "text", "1", "true", "0x10",
                            "1.2.3"])",
                        "expected"));
  EXPECT_THROW(json_of("[.inf]"), UserError);
  EXPECT_THROW(json_of("[1e999]"), UserError);
}

TEST(ConfigNode, YamlTextReadsBackEqual) {
  for (const char* text :
       {R"({"a": {"b": [], "c": {}, "d": null}, "e": ["x y", "no", "1", "", "- a", "#", "a: b"]})",
        R"({"k e y": "line\nbreak\ttab \u0001 \u007f \u0085 \u2028 かね", "": {"0": 1.5}})",
        R"({"n": [1, -2, 1e-08, 32.0, true, false], "quote": "\"'\\"})", R"({})", R"([1, [2]])"}) {
    const Json value = Json::parse(text, "expected");
    EXPECT_EQ(json_of(to_yaml(value)), value) << to_yaml(value);
  }
}

enum class Colour { red, no };

struct Inner {
  static constexpr bool kHasFields = true;
  int depth = 1;
  template <class Self, class V>
  static void fields(Self& s, V& v) {
    v(Field{"depth", "how deep"}, s.depth);
  }
};

}  // namespace

template <>
struct EnumNames<Colour> {
  static constexpr std::string_view names[] = {"red", "no"};
};

namespace {

struct Outer {
  static constexpr bool kHasFields = true;
  std::string name = "x";
  std::optional<double> size;
  std::vector<std::int64_t> counts;
  std::map<std::string, double> weights;
  Colour colour = Colour::red;
  Inner inner;
  template <class Self, class V>
  static void fields(Self& s, V& v) {
    v(Field{"name", "its name", {"title"}}, s.name);
    v(Field{"size", "how large"}, s.size);
    v(Field{"counts", "how many"}, s.counts);
    v(Field{"weights", "how heavy"}, s.weights);
    v(Field{"colour", "which colour"}, s.colour);
    v(Field{"inner", "what is inside"}, s.inner);
  }
};

TEST(FieldVisitors, ReadEveryKindOfField) {
  Outer outer;
  read_fields(parse_yaml("title: abc\nsize: 1e-3\ncounts: 7\nweights: {a: 0.5}\ncolour: false\n"
                         "inner: {depth: 4}\n",
                         "f"),
              "", outer);
  EXPECT_EQ(fields_to_json(outer),
            Json::parse(R"({"name": "abc", "size": 0.001, "counts": [7], "weights": {"a": 0.5},
                            "colour": "no", "inner": {"depth": 4}})",
                        "expected"));
}

TEST(FieldVisitors, NestedKeysAreNamedWhole) {
  Outer outer;
  const auto message = [&](std::string_view yaml) -> std::string {
    try {
      read_fields(parse_yaml(yaml, "f"), "outer", outer);
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message("inner: {dept: 1}"),
            "f:1:9: outer.inner.dept: unknown key; did you mean depth?");
  EXPECT_EQ(message("weights: {a: b}"),
            "f:1:14: outer.weights.a: found \"b\"; expected a finite number");
  EXPECT_EQ(message("counts: [1, 2.5]"),
            "f:1:13: outer.counts: found \"2.5\"; expected a whole number");
  EXPECT_EQ(message("inner: {depth: 3000000000}"),
            "f:1:16: outer.inner.depth: found \"3000000000\"; expected a whole number of at most "
            "2147483647");
}

TEST(FieldVisitors, TheNearestWordIsASmallSlipAway) {
  EXPECT_EQ(nearest_word("lerning_rate", {"learning_rate", "lr"}), "learning_rate");
  EXPECT_EQ(nearest_word("sede", {"seed", "r"}), "seed");
  EXPECT_EQ(nearest_word("unrelated_thing", {"seed", "r", "dtype"}), "");
  EXPECT_EQ(nearest_word(std::string(1 << 20, 'a'), {"seed"}), "");
}

}  // namespace
}  // namespace elenchus

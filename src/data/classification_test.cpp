#include "data/classification.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/file.h"
#include "testing/byte_tokenizer.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

constexpr std::string_view kArenaHeader =
    "id,prompt,response_a,response_b,winner_model_a,winner_model_b,winner_tie\n";

std::string quoted(std::string_view cell) {
  std::string out = "\"";
  for (const char c : cell) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string arena_row(std::string_view prompt, std::string_view a, std::string_view b,
                      std::string_view winner = "1,0,0") {
  return cat("7,", quoted(prompt), ",", quoted(a), ",", quoted(b), ",", winner, "\n");
}

class Classification : public ::testing::Test {
 protected:
  Classification() {
    config_.format = "auto";
    config_.train_fraction = 1;
    config_.truncation = Truncation::truncate;
  }
  std::string file(std::string_view name, std::string_view text) {
    write_file_atomically(folder_ / name, text);
    return (folder_ / name).string();
  }
  Dataset load(std::int64_t num_labels = 3) {
    return load_classification(config_, {.tokenizer = tokenizer_, .num_labels = num_labels}, 42);
  }
  Dataset load_csv(std::string_view text, std::int64_t num_labels = 3) {
    config_.train_file = {file("train.csv", text)};
    return load(num_labels);
  }
  std::string text_of(const TokenizedRow& row) const { return tokenizer_.decode(row.ids, false); }
  template <class Call>
  std::string refusal(const Call& call) {
    try {
      call();
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  }
  std::string csv_refusal(std::string_view text, std::int64_t num_labels = 3) {
    return refusal([&] { load_csv(text, num_labels); });
  }
  static void expect_has(const std::string& text, std::string_view part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  TemporaryFolder folder_;
  DataConfig config_;
  ByteTokenizer tokenizer_{{"<eos>"}};
};

TEST_F(Classification, WritesArenaRowsAsTheNotebookDoes) {
  const Dataset data = load_csv(
      cat(kArenaHeader, arena_row(R"(["one?","two?"])", R"(["A \"q\"\n\ud83d\ude00","a2"])",
                                  R"(["B",null])", "0,0,1")));
  ASSERT_EQ(data.train.size(), 1u);
  EXPECT_EQ(text_of(data.train[0]),
            "User prompt: one? two?\n\nModel A :\nA \"q\"\n😀 a2\n\n--------\n\nModel B:\nB ");
  EXPECT_EQ(data.train[0].label, 2);
  ASSERT_EQ(data.classes.size(), 3u);
  EXPECT_EQ(data.classes[1].name, "winner_model_b");
}

TEST_F(Classification, WritesTurnAfterTurnOrByATemplate) {
  const std::string rows =
      cat(kArenaHeader, arena_row(R"(["p1","p2"])", R"(["a1","a2"])", R"(["b1","b2"])"));
  config_.turns = Turns::separate;
  config_.text_template = "Q {prompt} A {response_a} B {response_b} {{{id}}}";
  EXPECT_EQ(text_of(load_csv(rows).train[0]), "Q p1 A a1 B b1 {7}\n\nQ p2 A a2 B b2 {7}");
  config_.turns = Turns::joined;
  EXPECT_EQ(text_of(load_csv(rows).train[0]), "Q p1 p2 A a1 a2 B b1 b2 {7}");
}

TEST_F(Classification, LeavesOutAndCountsRowsWithoutAnswers) {
  const Dataset data = load_csv(cat(
      kArenaHeader, arena_row(R"(["p"])", "[null]", "[null]"), arena_row(R"(["p"])", "[]", "null"),
      arena_row(R"(["p"])", "[null]", R"(["b"])"), arena_row("[null]", R"(["a"])", R"(["b"])")));
  EXPECT_EQ(data.train.size(), 2u);
  EXPECT_EQ(data.left_out.at("both answers null"), 2);
  EXPECT_EQ(text_of(data.train[0]), "User prompt: p\n\nModel A :\n\n\n--------\n\nModel B:\nb");
}

TEST_F(Classification, MendsLoneSurrogatesAndCountsThem) {
  const Dataset data = load_csv(
      cat(kArenaHeader, arena_row(R"(["x\ud83dy \\ud83d"])", R"(["\udc00"])", R"(["b"])")));
  EXPECT_EQ(data.mended, 1);
  expect_has(text_of(data.train[0]), "x\xEF\xBF\xBDy \\ud83d\n");
}

TEST_F(Classification, NamesWhatIsWrongWithAnArenaRow) {
  const auto refused = [&](std::string_view prompt, std::string_view a, std::string_view b,
                           std::string_view winner = "1,0,0") {
    return csv_refusal(cat(kArenaHeader, arena_row(R"(["p"])", R"(["a"])", R"(["b"])"),
                           arena_row(prompt, a, b, winner)));
  };
  expect_has(refused("['p']", R"(["a"])", R"(["b"])"), "row 2 (line 3)");
  expect_has(refused("['p']", R"(["a"])", R"(["b"])"), "[arena_invalid_json]");
  expect_has(refused(R"(["p"])", R"("a")", R"(["b"])"), "[arena_not_list]");
  expect_has(refused(R"(["p"])", R"([1])", R"(["b"])"), "[arena_turn]");
  expect_has(refused(R"(["p"])", R"(["a","a"])", R"(["b"])"), "[arena_turns_differ]");
  expect_has(refused(R"(["p"])", R"(["a"])", R"(["b"])", "1,1,0"), "[arena_winner]");
  expect_has(refused(R"(["p"])", R"(["a"])", R"(["b"])", "0,0,0"), "[arena_winner]");
  expect_has(refused(R"(["p"])", R"(["a"])", R"(["b"])", "yes,0,0"), "winner_model_a: found 'yes'");
  config_.format = "arena";
  expect_has(csv_refusal("id,prompt\n1,x\n"), "has no column 'response_a'; found: id, prompt");
  expect_has(csv_refusal(cat(kArenaHeader, arena_row(R"(["p"])", R"(["a"])", R"(["b"])")), 2),
             "the data has 3 classes");
}

TEST_F(Classification, ReadsThePublishedFileWithAllItsTraps) {
  config_.train_file = {
      (std::filesystem::path(ELENCHUS_TEST_FOLDER).parent_path() / "examples/arena/train.csv")
          .string()};
  const Dataset data = load(4);
  EXPECT_EQ(data.files[0].rows, 200);
  EXPECT_EQ(data.left_out.at("both answers null"), 5);
  EXPECT_EQ(data.train.size(), 195u);
  EXPECT_EQ(data.bad.rows, 0);
  EXPECT_EQ(data.mended, 0);
  std::array<int, 4> counts{};
  for (const TokenizedRow& row : data.train) ++counts[std::size_t(row.label)];
  EXPECT_EQ(counts, (std::array<int, 4>{75, 75, 45, 0}));
  EXPECT_TRUE(data.classes[2].given);
  EXPECT_FALSE(data.classes[3].given);
  EXPECT_EQ(data.classes[3].name, "LABEL_3");
}

TEST_F(Classification, SwapsAnswersWithTheirLabels) {
  config_.swap_answers = true;
  config_.text_template = "{response_a}|{response_b}";
  const Dataset data =
      load_csv(cat(kArenaHeader, arena_row(R"(["p"])", R"(["x"])", R"(["y"])", "1,0,0"),
                   arena_row(R"(["p"])", R"(["u"])", R"(["v"])", "0,0,1")));
  ASSERT_EQ(data.train.size(), 4u);
  EXPECT_EQ(text_of(data.train[0]), "x|y");
  EXPECT_EQ(data.train[0].label, 0);
  EXPECT_EQ(text_of(data.train[1]), "y|x");
  EXPECT_EQ(data.train[1].label, 1);
  EXPECT_EQ(text_of(data.train[3]), "v|u");
  EXPECT_EQ(data.train[3].label, 2);
  config_.text_template.reset();
  expect_has(csv_refusal("text,label\na,0\n"), "data.swap_answers");
}

TEST_F(Classification, NumbersLabelsOrNamesThemInSortedOrder) {
  Dataset data = load_csv("text,label\na,2\nb,0\n", 4);
  EXPECT_EQ(data.train[0].label, 2);
  EXPECT_EQ(data.classes[3].name, "LABEL_3");
  EXPECT_TRUE(data.classes[3].given);
  data = load_csv("text,label\na,spam\nb,ham\nc,spam\n", 3);
  EXPECT_EQ(data.train[0].label, 1);
  EXPECT_EQ(data.train[1].label, 0);
  EXPECT_EQ(data.classes[0].name, "ham");
  EXPECT_FALSE(data.classes[2].given);
  expect_has(csv_refusal("text,label\na,2\nb,3\n"),
             "row 2 (line 3): label: found class 3, expected 0 to 2 (model.num_labels is 3)");
  expect_has(csv_refusal("text,label\na,x\nb,y\nc,z\n", 2),
             "model.num_labels: found 2, but the data has 3 classes (x, y, z); set it to 3");
  expect_has(csv_refusal("text,label\na,\n"), "[label_missing]");
  expect_has(csv_refusal("text,label\n,1\n"), "[text_empty]");
  expect_has(csv_refusal("body,label\na,1\n"), "line 1: has no column 'text'; found: body, label");
  expect_has(csv_refusal("text,kind\na,1\n"), "has no column 'label'");
  expect_has(csv_refusal("text,label\n"), "holds no rows");
}

TEST_F(Classification, FillsTemplatesFromAnyColumnsOfCsvAndJsonLines) {
  config_.text_template = "Q: {question}\nA: {answer} ({score})";
  config_.label_column = "verdict";
  config_.train_file = {
      file("a.csv", "question,answer,score,verdict\n\"why, so?\",because,3,good\n"),
      file("b.jsonl",
           "{\"question\": \"q\", \"answer\": \"a\", \"score\": 1.5, \"verdict\": "
           "\"bad\"}\n")};
  const Dataset data = load(2);
  EXPECT_EQ(text_of(data.train[0]), "Q: why, so?\nA: because (3)");
  EXPECT_EQ(data.train[0].label, 1);
  EXPECT_EQ(text_of(data.train[1]), "Q: q\nA: a (1.5)");
  EXPECT_EQ(data.train[1].file, 1);
  config_.train_file = {file("c.jsonl", "{\"question\": null, \"answer\": \"a\"}\n")};
  expect_has(refusal([&] { load(2); }), "question: expected a text or a number, found null");
}

TEST_F(Classification, ProportionalTruncationKeepsEveryValue) {
  config_.truncation = Truncation::proportional;
  config_.text_template = "Q{prompt}A{response_a}B{response_b}";
  config_.max_length = 23;
  const std::string row = cat(kArenaHeader, arena_row("[\"" + std::string(10, 'p') + "\"]",
                                                      "[\"" + std::string(30, 'a') + "\"]",
                                                      "[\"" + std::string(60, 'b') + "\"]"));
  const Dataset data = load_csv(row);
  EXPECT_EQ(text_of(data.train[0]), "QppA" + std::string(6, 'a') + "B" + std::string(12, 'b'));
  EXPECT_EQ(data.train_counts.truncated, 1);
  config_.truncation = Truncation::truncate;
  EXPECT_EQ(text_of(load_csv(row).train[0]),
            "Q" + std::string(10, 'p') + "A" + std::string(11, 'a'));
  config_.truncation = Truncation::drop;
  expect_has(csv_refusal(row), "longer than data.max_length");
  config_.truncation = Truncation::error;
  expect_has(csv_refusal(row), "has 103 tokens, data.max_length is 23");
}

TEST_F(Classification, ProportionalTruncationLeavesNoValueEmptyWhileThereIsRoom) {
  config_.truncation = Truncation::proportional;
  config_.text_template = "{prompt}{response_a}{response_b}";
  config_.max_length = 10;
  const Dataset data = load_csv(
      cat(kArenaHeader, arena_row(R"(["p"])", R"(["a"])", "[\"" + std::string(500, 'b') + "\"]")));
  EXPECT_EQ(text_of(data.train[0]), "pa" + std::string(8, 'b'));
}

TEST_F(Classification, SpecialTokensInValuesStayText) {
  config_.text_template = "<eos>{text}";
  const Dataset data = load_csv("text,label\n<eos>,1\n");
  EXPECT_EQ(std::ranges::count_if(data.train[0].ids,
                                  [&](TokenId id) { return tokenizer_.is_special(id); }),
            1);
}

TEST_F(Classification, FoldsAreDisjointStratifiedAndWhole) {
  std::string rows = "text,label\n";
  for (int i = 0; i < 53; ++i) rows += cat("row ", i, ",", i % 3 == 0 ? 0 : 1, "\n");
  config_.folds = 5;
  std::vector<int> seen(53, 0);
  for (int fold = 0; fold < 5; ++fold) {
    config_.fold = fold;
    const Dataset data = load_csv(rows);
    EXPECT_EQ(data.train.size() + data.eval.size(), 53u);
    EXPECT_NEAR(double(data.eval.size()), 53 / 5.0, 1);
    int zeros = 0;
    for (const TokenizedRow& row : data.eval) {
      ++seen[std::size_t(row.number)];
      zeros += row.label == 0;
    }
    EXPECT_NEAR(zeros, 18 / 5.0, 1);
  }
  EXPECT_EQ(seen, std::vector<int>(53, 1));
  config_.folds = 60;
  expect_has(csv_refusal(rows), "data.folds: found 60 for 53 rows");
}

TEST_F(Classification, ReadsRowsToPredictWithoutLabelsAndInOrder) {
  config_.text_template = "{response_a}|{response_b}";
  const std::string path =
      file("test.csv", cat("id,prompt,response_a,response_b\n9,\"[\"\"p\"\"]\",[null],[null]\n",
                           "4,\"[\"\"p\"\"]\",\"[\"\"x\"\"]\",\"[\"\"y\"\"]\"\n"));
  const auto read = [&](const std::string& from, AnswerOrder order) {
    return load_unlabelled(from, config_, tokenizer_, order);
  };
  const UnlabelledRows given = read(path, AnswerOrder::as_given);
  EXPECT_EQ(given.ids, (std::vector<std::string>{"9", "4"}));
  EXPECT_EQ(text_of(given.rows[1]), "x|y");
  EXPECT_EQ(text_of(read(path, AnswerOrder::swapped).rows[1]), "y|x");
  config_.text_template.reset();
  const std::string plain = file("plain.csv", "text\nhello\n");
  EXPECT_EQ(read(plain, AnswerOrder::as_given).ids, std::vector<std::string>{"0"});
  expect_has(refusal([&] { read(plain, AnswerOrder::swapped); }), "--average-swapped");
  expect_has(refusal([&] { read(file("bad.csv", "text\nok\n\"\"\n"), AnswerOrder::as_given); }),
             "row 2 (line 3)");
  const std::string large = file("large.jsonl", "{\"id\": 9223372036854775809, \"text\": \"a\"}\n");
  expect_has(refusal([&] { read(large, AnswerOrder::as_given); }), "number_not_exact");
}

TEST_F(Classification, RefusesRowsWithoutAnyToken) {
  // No text of the template's own, and this tokenizer adds no BOS.
  config_.text_template = "{response_a}{response_b}";
  const std::string some = arena_row(R"(["p"])", R"(["a"])", R"(["b"])");
  const std::string none = arena_row(R"(["p"])", R"([""])", "[null]");
  expect_has(csv_refusal(cat(kArenaHeader, some, none)), "row 2 (line 3)");
  expect_has(csv_refusal(cat(kArenaHeader, some, none)), "text_no_token 1");
  expect_has(refusal([&] {
               load_unlabelled(file("test.csv", cat(kArenaHeader, some, none)), config_, tokenizer_,
                               AnswerOrder::as_given);
             }),
             "row 2 (line 3): expected text that gives at least one token");
  config_.bad_rows = BadRows::skip;
  config_.bad_rows_limit = 0.5;
  EXPECT_EQ(load_csv(cat(kArenaHeader, some, none)).train.size(), 1u);
}

TEST_F(Classification, TakesTransformersDefaultNamesForTheirNumbers) {
  const Dataset data = load_csv("text,label\na,LABEL_10\nb,LABEL_2\n", 11);
  EXPECT_EQ(data.train[0].label, 10);
  EXPECT_EQ(data.train[1].label, 2);
  EXPECT_EQ(data.classes[2].name, "LABEL_2");
  expect_has(csv_refusal("text,label\na,LABEL_3\n", 3), "found class 3, expected 0 to 2");
  expect_has(csv_refusal("text,label\na,LABEL_2\nb,cat\n", 3),
             "the label 'LABEL_2' stands among others (LABEL_2, cat)");
}

TEST_F(Classification, RefusesColumnsThatTheArenaFormatWouldNotLookAt) {
  const std::string rows = cat(kArenaHeader, arena_row("[\"p\"]", "[\"a\"]", "[\"b\"]"));
  config_.label_column = "winner";
  expect_has(csv_refusal(rows), "data.label_column: found winner, but rows of format arena");
  config_.label_column = "label";
  config_.text_column = "prompt";
  expect_has(csv_refusal(rows), "data.text_column: found prompt");
  config_.format = "classification";
  config_.label_column = "winner_tie";
  EXPECT_EQ(text_of(load_csv(rows).train[0]), "[\"p\"]");
}

TEST_F(Classification, ExchangesAllThatBelongsToTheAnswers) {
  config_.swap_answers = true;
  config_.text_template = "{model_a}:{response_a}|{model_b}:{response_b}";
  const auto csv = [](std::string_view columns) {
    return cat("prompt,response_a,response_b,", columns,
               ",winner_model_a,winner_model_b,winner_tie\n");
  };
  const Dataset data =
      load_csv(cat(csv("model_a,model_b"), "\"[\"\"p\"\"]\",\"[\"\"x\"\"]\",\"[\"\"y\"\"]\"",
                   ",gpt,llama,1,0,0\n"));
  EXPECT_EQ(text_of(data.train[0]), "gpt:x|llama:y");
  EXPECT_EQ(text_of(data.train[1]), "llama:y|gpt:x");
  EXPECT_EQ(data.train[1].label, 1);
  config_.text_template = "{model_a}{response_a}{response_b}";
  expect_has(csv_refusal(cat(csv("model_a"),
                             "\"[\"\"p\"\"]\",\"[\"\"x\"\"]\",\"[\"\"y\"\"]\",gpt,1,0,0\n")),
             "{model_a} changes places with {model_b}, which the row does not have");
}

TEST_F(Classification, ReadsTheNamesOfItsClassesAlone) {
  const auto names = [&]() -> std::string {
    const auto classes = read_class_names(config_, 3);
    if (!classes) return "unknown";
    std::string out;
    for (const ClassName& each : *classes) out += each.name + (each.given ? " " : "? ");
    return out;
  };
  config_.train_file = {file("train.csv", "text,label\nx,dog\n,bad row\ny,cat\n")};
  EXPECT_EQ(names(), "cat dog LABEL_2? ");
  config_.eval_file = {file("eval.csv", "text,label\nx,ant\n")};
  EXPECT_EQ(names(), "ant cat dog ");
  config_.eval_file = {(folder_ / "missing.csv").string()};
  EXPECT_EQ(names(), "unknown");
  config_.format = "arena";
  EXPECT_EQ(names(), "winner_model_a winner_model_b winner_tie ");
}

TEST_F(Classification, KnowsItsFormatsByName) {
  config_.format = "messages";
  expect_has(csv_refusal("text,label\na,1\n"), "one of: auto, arena, classification");
}

TEST_F(Classification, TellsEveryFaultWhereItIsAsked) {
  config_.train_file = {file("train.csv", "text,label\na,w\nragged\nb,x\nc,y\nlonger text,z\n")};
  config_.truncation = Truncation::error;
  config_.max_length = 4;
  const Dataset data =
      load_classification(config_, {.tokenizer = tokenizer_, .num_labels = 3}, 42, Faults::tell);
  ASSERT_EQ(data.faults.size(), 3u);
  expect_has(data.faults[0], "the data has 4 classes (w, x, y, z); set it to 4 or more");
  expect_has(data.faults[1], "row 5 (line 6): has 11 tokens");
  expect_has(data.faults[2], "row 2 (line 3): found 1 fields, expected 2");
  EXPECT_EQ(data.train.size(), 3u);
}

}  // namespace
}  // namespace elenchus

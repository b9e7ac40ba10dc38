#include "data/dataset.h"

#include <gtest/gtest.h>

#include <set>

#include "base/file.h"
#include "data/inspect.h"
#include "data/row_checks.h"
#include "testing/byte_tokenizer.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

constexpr const char* kTemplate =
    "{% for m in messages %}{{ m['role'][0] + m['content'] + '<end>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'a' }}{% endif %}";

/// A row whose text is 5 tokens longer than the answer.
std::string row_of(const std::string& answer) {
  return R"({"messages":[{"role":"user","content":"q"},{"role":"model","content":")" + answer +
         "\"}]}\n";
}

class DatasetTest : public testing::Test {
 protected:
  DatasetTest()
      : template_(kTemplate, "", ""),
        renderer_({.tokenizer = tokenizer_,
                   .chat_template = &template_,
                   .eos = tokenizer_.id_of("<end>"),
                   .bos = {},
                   .end_of_turn = {}}) {
    config_.train_fraction = 1;
  }
  std::string write(std::string_view name, const std::string& bytes) {
    write_file_atomically(folder_ / name, bytes);
    return (folder_ / name).string();
  }
  Dataset load() { return load_dataset(config_, renderer_, 42); }
  std::string failure() {
    try {
      load();
      return "";
    } catch (const InputError& error) {
      return error.what();
    }
  }

  TemporaryFolder folder_;
  ByteTokenizer tokenizer_{{"<end>"}};
  ChatTemplate template_;
  RowRenderer renderer_;
  DataConfig config_;
};

TEST_F(DatasetTest, TrainsOnEveryRowInFileOrderAtFractionOne) {
  config_.train_file = {write("a.jsonl", row_of("x") + row_of("yy")),
                        write("b.json", "[" + row_of("zzz") + "]")};
  const Dataset data = load();
  ASSERT_EQ(data.train.size(), 3u);
  EXPECT_TRUE(data.eval.empty());
  EXPECT_EQ(data.train[2].file, 1);
  EXPECT_EQ(data.train[2].ids.size(), 8u);
  EXPECT_EQ(data.train_counts.trained_tokens, 2 + 3 + 4);
  EXPECT_EQ(data.files[1].format, "messages");
  EXPECT_EQ(data.files[0].rows, 2);
}

TEST_F(DatasetTest, SplitsByASeededPermutation) {
  std::string rows;
  for (int i = 0; i < 20; ++i) rows += row_of(std::string(std::size_t(i + 1), 'x'));
  config_.train_file = {write("a.jsonl", rows)};
  config_.train_fraction = 0.8;
  config_.max_eval_samples = 3;
  const Dataset data = load();
  ASSERT_EQ(data.train.size(), 16u);
  ASSERT_EQ(data.eval.size(), 3u);
  ASSERT_EQ(data.eval_conversations.size(), 3u);
  std::set<std::int64_t> seen;
  for (std::size_t i = 0; i < 16; ++i) {
    seen.insert(data.train[i].number);
    if (i > 0) {
      EXPECT_LT(data.train[i - 1].number, data.train[i].number);
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {
    seen.insert(data.eval[i].number);
    EXPECT_EQ(data.eval_conversations[i].place.number, data.eval[i].number);
  }
  EXPECT_EQ(seen.size(), 19u);
  EXPECT_EQ(load().eval[0].ids, data.eval[0].ids);
  config_.data_seed = 7;
  const Dataset other = load();
  EXPECT_NE(other.eval[0].number * 400 + other.eval[1].number * 20 + other.eval[2].number,
            data.eval[0].number * 400 + data.eval[1].number * 20 + data.eval[2].number);
}

TEST_F(DatasetTest, EvaluatesOnTheGivenFileAndTrainsOnAllOfTheOther) {
  config_.train_file = {write("a.jsonl", row_of("x") + row_of("y"))};
  config_.eval_file = {write("b.jsonl", row_of("z"))};
  config_.train_fraction = 0.5;
  const Dataset data = load();
  EXPECT_EQ(data.train.size(), 2u);
  EXPECT_EQ(data.eval.size(), 1u);
}

TEST_F(DatasetTest, DropsTruncatesOrRefusesLongRows) {
  config_.train_file = {write("a.jsonl", row_of("x") + row_of("123456"))};
  config_.max_length = 6;
  EXPECT_EQ(load().train_counts.too_long, 1);
  config_.truncation = Truncation::truncate;
  const Dataset cut = load();
  EXPECT_EQ(cut.train_counts.truncated, 1);
  EXPECT_EQ(cut.train[1].ids.size(), 6u);
  config_.truncation = Truncation::error;
  EXPECT_NE(failure().find("row 2 (line 2): has 11 tokens"), std::string::npos) << failure();
}

TEST_F(DatasetTest, StopsWhereMostRowsAreTooLong) {
  config_.train_file = {write("a.jsonl", row_of("x") + row_of("123456") + row_of("1234567"))};
  config_.max_length = 6;
  const std::string text = failure();
  EXPECT_NE(text.find("2 of 3 rows are longer than data.max_length 6"), std::string::npos) << text;
  EXPECT_NE(text.find("set data.max_length to 12"), std::string::npos) << text;
}

TEST_F(DatasetTest, StopsWhereTruncationLeavesNothingOfManyRows) {
  // The question is cut before the answer.
  const std::string cut = R"({"messages":[{"role":"user","content":")" + std::string(30, 'q') +
                          R"("},{"role":"model","content":"y"}]})" + "\n";
  std::string rows = cut;
  for (int i = 0; i < 19; ++i) rows += row_of("x");
  config_.truncation = Truncation::truncate;
  config_.max_length = 20;
  config_.train_file = {write("a.jsonl", rows)};
  const Dataset data = load();  // exactly 5 %
  EXPECT_EQ(data.train.size(), 19u);
  EXPECT_NE(describe(data, config_).find("dropped 1 rows without a token to train on"),
            std::string::npos);
  config_.train_file = {write("a.jsonl", rows + cut)};
  config_.train_fraction = 0.8;  // rows of both parts count together
  const std::string text = failure();
  EXPECT_NE(text.find("2 of 21 rows have no token to train on, expected at most 5 %"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("raise data.max_length (the longest row has 35 tokens)"), std::string::npos)
      << text;
  EXPECT_NE(text.find("a.jsonl: row 1 (line 1)"), std::string::npos) << text;
}

TEST_F(DatasetTest, TellsOfAnswersWhoseEndWasCutOffAsInspectDoes) {
  config_.truncation = Truncation::truncate;
  config_.max_length = 10;
  config_.train_file = {write("a.jsonl", row_of("x") + row_of("123456789") + row_of("1234567890"))};
  const Dataset data = load();
  const std::vector<std::string> warnings = warnings_of(data, config_);
  ASSERT_EQ(warnings.size(), 1u);
  for (const char* part :
       {"warning: 2 of 3 rows to train on: an answer without an end", "a.jsonl: row 2",
        "data.max_length 10 cut it off", "the longest row has 15 tokens"})
    EXPECT_NE(warnings[0].find(part), std::string::npos) << part << " in " << warnings[0];
  const std::string text = inspect_text(data, config_, renderer_.rules(), {.rows = 9});
  EXPECT_NE(text.find(warnings[0]), std::string::npos) << text;
}

TEST_F(DatasetTest, ReadsATextFileARowALine) {
  config_.train_file = {write("a.txt", "one\r\n\n  \n two \xFF\nthree")};
  config_.bad_rows = BadRows::skip;
  config_.bad_rows_limit = 0.5;
  const Dataset data = load();
  ASSERT_EQ(data.train.size(), 2u);
  EXPECT_EQ(tokenizer_.decode(data.train[1].ids, false), "three<end>");
  EXPECT_EQ(data.train[1].trained_count(), 5);
  EXPECT_NE(data.bad.first.at(0).find("row 2 (line 4)"), std::string::npos) << data.bad.first[0];
  EXPECT_EQ(data.files[0].format, "text");
}

TEST_F(DatasetTest, NamesFilesThatAreNoText) {
  config_.train_file = {write("a.parquet", "PAR1....")};
  EXPECT_NE(failure().find("is a Parquet file, expected text"), std::string::npos) << failure();
}

TEST_F(DatasetTest, NamesEveryBadRowWithItsLine) {
  std::string rows;
  for (int i = 0; i < 1000; ++i)
    rows += i == 99 || i == 499 ? "{\"messages\":[]}\n" : i == 899 ? "{oops\n" : row_of("x");
  config_.train_file = {write("a.jsonl", rows)};
  const std::string text = failure();
  for (const char* part :
       {"a.jsonl: row 100 (line 100): messages: expected turns, found none", "row 500 (line 500)",
        "row 900 (line 900)", "[invalid_json]",
        "3 of 1000 rows cannot be used (invalid_json 1, messages_empty 2)", "data.bad_rows: skip"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nin\n" << text;
  config_.bad_rows = BadRows::skip;
  const Dataset data = load();
  EXPECT_EQ(data.bad.rows, 3);
  EXPECT_EQ(data.train.size(), 997u);
  EXPECT_NE(describe(data, config_).find("skipped 3 bad rows"), std::string::npos);
  config_.bad_rows_limit = 0.002;
  EXPECT_NE(failure().find("data.bad_rows_limit: 0.002 allows; correct them, or set it to 0.003"),
            std::string::npos)
      << failure();
  config_.bad_rows = BadRows::error;
  EXPECT_NE(failure().find("set data.bad_rows: skip and data.bad_rows_limit: 0.003"),
            std::string::npos)
      << failure();
}

TEST_F(DatasetTest, RefusesFilesWithoutRowsAndBadSettings) {
  EXPECT_THROW(load(), UserError);
  config_.train_file = {write("a.json", "[]")};
  EXPECT_NE(failure().find("holds no rows"), std::string::npos);
  config_.train_file = {write("a.json", "")};
  EXPECT_NE(failure().find("is empty"), std::string::npos);
  config_.train_file = {(folder_ / "none.json").string()};
  EXPECT_THROW(load(), InputError);
  config_.train_file = {write("a.json", row_of("x"))};
  config_.format = "parquet";
  EXPECT_THROW(load(), UserError);
  config_.format = "auto";
  config_.train_fraction = 0;
  EXPECT_THROW(load(), UserError);
}

TEST_F(DatasetTest, TakesRowsAsOftenAsTheirFilesWeigh) {
  std::string rows;
  for (int i = 0; i < 10; ++i) rows += row_of(std::string(std::size_t(i + 1), 'x'));
  config_.train_file = {{write("a.jsonl", row_of("a") + row_of("b")), 2.5},
                        {write("b.jsonl", rows), 0.3}};
  const Dataset data = load();
  std::vector<int> of_file(2);
  for (const TokenizedRow& row : data.train) ++of_file[std::size_t(row.file)];
  EXPECT_EQ(of_file, (std::vector<int>{5, 3}));
  EXPECT_EQ(data.files[0].an_epoch, 5);
  EXPECT_EQ(data.train[0].number, 0);
  EXPECT_EQ(data.train[1].number, 1);
  EXPECT_NE(describe(data, config_).find("an epoch takes 3 rows of"), std::string::npos);
  const Dataset again = load();
  for (std::size_t i = 0; i < data.train.size(); ++i)
    EXPECT_EQ(again.train[i].ids, data.train[i].ids);
}

TEST_F(DatasetTest, InspectTellsWhyTrainingWouldStop) {
  config_.train_file = {write("a.jsonl", row_of("x") + "{}\n" + row_of("123456789"))};
  config_.max_length = 10;
  config_.truncation = Truncation::truncate;
  EXPECT_NE(failure().find("row 2 (line 2)"), std::string::npos);
  const Dataset data = load_dataset(config_, renderer_, 42, Faults::tell);
  ASSERT_EQ(data.faults.size(), 1u);
  EXPECT_EQ(data.train_lengths.size(), 2u);
  const std::string text = inspect_text(data, config_, renderer_.rules(), {.rows = 9});
  for (const char* expected : {"training would stop: ", "row 2 (line 2)",
                               "1 of 2 rows to train on: an answer without an end",
                               ": row 3; data.max_length 10 cut it off", "longer than max_length",
                               "cut 1 rows to max_length 10"})
    EXPECT_NE(text.find(expected), std::string::npos) << expected << " in\n" << text;
}

TEST_F(DatasetTest, InspectShowsWhatIsTrainedOn) {
  config_.train_file = {write("a.jsonl", row_of("x\\u001by") + row_of("zz"))};
  const Dataset data = load();
  const std::string plain = inspect_text(data, config_, renderer_.rules(), {.rows = 1});
  EXPECT_NE(plain.find("uq<end>a[[x\\x1by<end>]]"), std::string::npos) << plain;
  EXPECT_NE(plain.find("row 1, 8 tokens, 4 trained on"), std::string::npos) << plain;
  EXPECT_EQ(plain.find("row 2,"), std::string::npos);
  EXPECT_EQ(plain.find('\x1b'), std::string::npos);
  const std::string coloured =
      inspect_text(data, config_, renderer_.rules(), {.rows = 1, .colour = true});
  EXPECT_NE(coloured.find("\x1b[32m"), std::string::npos);
}

}  // namespace
}  // namespace elenchus

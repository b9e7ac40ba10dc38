#include "jobs/classes.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(ELENCHUS_TEST_FOLDER) / "golden";

/// The tiny classifier's adapter, whose head has 4 rows, beside a config.json that names classes.
class TrainedClasses : public ::testing::Test {
 protected:
  TrainedClasses() { fs::copy(kGolden / "llama_classifier" / "adapter", adapter_); }
  void name(const std::vector<std::string>& names) {
    Json::Object list;
    for (std::size_t i = 0; i < names.size(); ++i) list.emplace_back(std::to_string(i), names[i]);
    write_file_atomically(adapter_ / "config.json",
                          Json(Json::Object{{"id2label", std::move(list)}}).dump());
  }
  static std::vector<ClassName> classes(const std::vector<std::string>& names) {
    std::vector<ClassName> out;
    for (const std::string& each : names) out.push_back({each, true});
    return out;
  }
  std::string refusal(const std::vector<std::string>& names) {
    try {
      expect_trained_classes(base_, adapter_, classes(names));
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  }
  /// The names that predict writes, or why it does not.
  std::string predicted(const std::string& rows, int num_labels = 4,
                        std::string_view format = "auto") {
    const fs::path file = folder_ / "train.csv";
    fs::remove(file);
    if (!rows.empty()) write_file_atomically(file, rows);
    Recipe recipe;
    recipe.model.num_labels = num_labels;
    recipe.data.format = format;
    recipe.data.train_file.emplace_back(file.string());
    try {
      std::string out;
      for (const ClassName& each : predicted_classes(base_, adapter_, recipe))
        out += each.name + (each.given ? " " : "? ");
      return out;
    } catch (const UserError& error) {
      return error.what();
    }
  }
  static void expect_has(const std::string& text, std::string_view part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  TemporaryFolder folder_;
  fs::path adapter_ = folder_ / "adapter";
  ModelFiles base_ = open_model_files(kGolden / "llama");
};

TEST_F(TrainedClasses, MustBeTheRows) {
  name({"a", "b", "c", "d"});
  EXPECT_EQ(refusal({"a", "b", "c", "d"}), "accepted");
  expect_has(
      refusal({"a", "c", "b", "d"}),
      "was trained for 4 classes (a, b, c, d), but the recipe's rows have 4 classes (a, c, b, d)");
  expect_has(refusal({"a", "b", "c"}), "have 3 classes (a, b, c)");
  name({"LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"});
  expect_has(refusal({"a", "b", "c", "d"}), "(LABEL_0, LABEL_1, LABEL_2, LABEL_3)");
}

TEST_F(TrainedClasses, WithoutNamesAreCounted) {
  EXPECT_EQ(refusal({"a", "b", "c", "d"}), "accepted");
  expect_has(refusal({"a", "b", "c"}), "was trained for 4 classes, but the recipe's rows have 3");
}

TEST_F(TrainedClasses, MustFitTheirHeadAndHaveNamesOfTheirOwn) {
  name({"a", "b", "c"});
  expect_has(refusal({"a", "b", "c"}),
             "found 3 classes (a, b, c), but the head score.weight has 4");
  name({"a", "b", "c", "b"});
  expect_has(refusal({"a", "b", "c", "b"}), "found 'b' twice");
}

TEST_F(TrainedClasses, ArePredictedUnderTheirNames) {
  const std::string rows = "text,label\nx,a\nx,b\nx,c\nx,d\n";
  EXPECT_EQ(predicted(rows), "a b c d ");  // PEFT's folder names none
  EXPECT_EQ(predicted(""), "LABEL_0 LABEL_1 LABEL_2 LABEL_3 ");
  EXPECT_EQ(predicted("", 4, "arena"), "winner_model_a winner_model_b winner_tie LABEL_3? ");
  expect_has(predicted(rows, 3), "was trained for 4 classes, but");
  name({"a", "b", "c", "d"});
  EXPECT_EQ(predicted(rows), "a b c d ");
  EXPECT_EQ(predicted(""), "a b c d ");  // without the rows that it was trained on
  expect_has(predicted("text,label\nx,a\nx,b\nx,c\nx,e\n"), "(a, b, c, e)");
  expect_has(predicted("", 4, "arena"), "(winner_model_a, winner_model_b, winner_tie, LABEL_3)");
  expect_has(predicted("", 5), "has model.num_labels: 5");
}

}  // namespace
}  // namespace elenchus

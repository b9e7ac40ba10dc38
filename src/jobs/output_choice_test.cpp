#include "jobs/output_choice.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

class OutputChoice : public ::testing::Test {
 protected:
  OutputChoice() {
    write_file_atomically(folder_ / "in.csv", "text\nhello\n");
    fs::create_directory(folder_ / "model");
    write_file_atomically(folder_ / "model/config.json", "{}");
  }
  std::string refusal(const fs::path& output) {
    try {
      choose_output_file(output, "--output", {folder_ / "in.csv", folder_ / "model"});
    } catch (const UserError& error) {
      EXPECT_EQ(error.exit_code, ExitCode::bad_recipe);
      return error.what();
    }
    return "accepted";
  }
  void expect_refused(const fs::path& output, std::string_view why) {
    const std::string text = refusal(output);
    EXPECT_NE(text.find(why), std::string::npos) << text;
    EXPECT_NE(text.find("--output"), std::string::npos) << text;
  }
  TemporaryFolder folder_;
};

TEST_F(OutputChoice, RefusesWhatIsReadByWhateverName) {
  const std::string_view why = "is read and would be overwritten";
  expect_refused(folder_ / "in.csv", why);
  expect_refused(folder_ / "model/../in.csv", why);
  expect_refused(fs::relative(folder_ / "in.csv"), why);
  fs::create_symlink("in.csv", folder_ / "link.csv");
  fs::create_hard_link(folder_ / "in.csv", folder_ / "hard.csv");
  expect_refused(folder_ / "link.csv", why);
  expect_refused(folder_ / "hard.csv", why);
  expect_refused(folder_ / "model/config.json", why);
  EXPECT_EQ(read_text_file(folder_ / "in.csv"), "text\nhello\n");
}

TEST_F(OutputChoice, RefusesWhatIsNoPlaceForAFile) {
  expect_refused(folder_ / "none/out.csv", "No such file or directory");
  expect_refused(folder_ / "in.csv/out.csv", "Not a directory");
  expect_refused(folder_ / "model", "is a folder");
  expect_refused(folder_ / "new/", "names a folder");
  expect_refused("/dev/null", "a device or a pipe");
  expect_refused("", "expected a file");
}

TEST_F(OutputChoice, LeavesNothingBehindAndFollowsLinks) {
  fs::create_symlink("model/out.csv", folder_ / "out.csv");
  EXPECT_EQ(choose_output_file(folder_ / "out.csv", "--output", {}),
            fs::canonical(folder_.path()) / "model/out.csv");
  EXPECT_EQ(choose_output_file(folder_ / "new.csv", "--output", {folder_ / "in.csv"}),
            fs::canonical(folder_.path()) / "new.csv");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 3);  // in.csv, model, link
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "model"), {}), 1);
}

TEST_F(OutputChoice, FoldersAreMadeOrTheKeyIsNamed) {
  make_output_folder(folder_ / "a/b", "training.output_dir");
  EXPECT_TRUE(fs::is_directory(folder_ / "a/b"));
  for (const fs::path& wrong : {folder_ / "in.csv/x", folder_ / "in.csv", fs::path("/proc/x")})
    try {
      make_output_folder(wrong, "training.output_dir");
      ADD_FAILURE() << wrong;
    } catch (const UserError& error) {
      const std::string text = error.what();
      EXPECT_TRUE(text.starts_with("training.output_dir: the folder " + wrong.string())) << text;
      EXPECT_NE(text.find("give another folder"), std::string::npos) << text;
    }
}

}  // namespace
}  // namespace elenchus

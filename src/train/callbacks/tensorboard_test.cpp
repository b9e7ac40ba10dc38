// Event files, byte by byte. What TensorBoard's own reader makes of them is tested end to end.

#include "train/callbacks/tensorboard.h"

#include <gtest/gtest.h>

#include "train/toy_run_test.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

TEST(TensorBoard, ChecksumsAreCrc32c) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);  // the check value of the Castagnoli polynomial
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(crc32c(""), 0u);
}

std::string hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += {kDigits[static_cast<unsigned char>(c) >> 4], kDigits[c & 15]};
  }
  return out;
}

// The expected bytes are those of tensorboard 2 (its pywrap_tensorflow and event_pb2).
TEST(TensorBoard, FramesRecordsAsTensorFlowDoes) {
  EXPECT_EQ(hex(tf_record("abc")), "0300000000000000b099490e6162636e57f121");
}

TEST(TensorBoard, WritesEventsAsProtocolBuffers) {
  EXPECT_EQ(hex(version_event(1)), "09000000000000f03f1a0d627261696e2e4576656e743a32");
  EXPECT_EQ(hex(scalars_event(1, 300, {{"a", 0.5}})),
            "09000000000000f03f10ac022a0a0a080a0161150000003f");
  EXPECT_EQ(hex(restart_event(1, 5)), "09000000000000f03f10053a020801");
}

TEST(TensorBoard, WritesAFileAProcess) {
  toy::TemporaryFolder folder;
  TensorBoard board;
  RunInfo info;
  info.output_dir = folder.path();
  board.on_begin(info);
  board.on_log({.row = Json::Object{{"loss", 2.5}, {"step", 1}}});
  board.on_evaluate({.row = Json::Object{{"eval_loss", 1.5}, {"step", 1}}});
  const auto file = fs::directory_iterator(folder.path() / "runs")->path();
  EXPECT_TRUE(file.filename().string().starts_with("events.out.tfevents."));
  const std::string text = toy::text_of(file);
  EXPECT_NE(text.find("train/loss"), std::string::npos);
  EXPECT_NE(text.find("eval/loss"), std::string::npos);
  EXPECT_EQ(text.find("step"), std::string::npos);
}

TEST(TensorBoard, TellsTheStepOfTheCheckpointAnew) {
  toy::TemporaryFolder folder;
  RunInfo info;
  info.output_dir = folder.path();
  info.first_step = 3;
  info.log_history = {Json::Object{{"loss", 2.5}, {"step", 2}},
                      Json::Object{{"loss", 2.25}, {"step", 3}}};
  TensorBoard().on_begin(info);
  const std::string text = toy::text_of(fs::directory_iterator(folder.path() / "runs")->path());
  const auto without_time = [](const std::string& event) { return event.substr(9); };
  const std::size_t restart = text.find(without_time(restart_event(0, 3)));
  const std::size_t row = text.find(without_time(scalars_event(0, 3, {{"train/loss", 2.25}})));
  ASSERT_NE(restart, std::string::npos);
  ASSERT_NE(row, std::string::npos);
  EXPECT_LT(restart, row);
  EXPECT_EQ(text.find("train/loss"), text.rfind("train/loss"));
}

}  // namespace
}  // namespace elenchus

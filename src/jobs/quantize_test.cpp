// GGUF files as bitsandbytes folders: the same model under Hugging Face's names.

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "jobs/jobs.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

class QuantizedGguf : public testing::TestWithParam<const char*> {
 protected:
  std::string logits_of(const fs::path& model) {
    write_file_atomically(scratch_ / "ids.json", "[[3, 17, 90, 4, 41, 7, 7, 120]]");
    logits({.model = model,
            .adapter = {},
            .load_in_4bit = true,
            .input = scratch_ / "ids.json",
            .output = scratch_ / "logits.safetensors"});
    return read_text_file(scratch_ / "logits.safetensors");
  }
  TemporaryFolder scratch_;
};

TEST_P(QuantizedGguf, IsTheSameModelUnderHuggingFacesNames) {
  const fs::path golden = fs::path(ELENCHUS_TEST_FOLDER) / "golden" / GetParam();
  const fs::path folder = scratch_ / "quantized";
  testing::internal::CaptureStdout();
  quantize({.model = golden / "model.gguf", .output = folder});
  testing::internal::GetCapturedStdout();
  EXPECT_EQ(logits_of(folder), logits_of(golden / "model.gguf"));
  const Json made = Json::parse(read_text_file(folder / "config.json"), "made");
  const Json original = Json::parse(read_text_file(golden / "config.json"), "original");
  for (const char* key : {"model_type", "architectures"})
    EXPECT_EQ(made.at(key, "made").dump(), original.at(key, "original").dump());
}

INSTANTIATE_TEST_SUITE_P(Models, QuantizedGguf,
                         testing::Values("gemma", "gemma2", "gemma3", "qwen2_tied", "qwen3",
                                         "smollm3", "phi3"));

}  // namespace
}  // namespace elenchus

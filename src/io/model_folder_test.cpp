#include "io/model_folder.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

const std::string kEmptyGguf = std::string("GGUF\x03", 5) + std::string(19, '\0');

std::string error_of(const std::filesystem::path& path) {
  try {
    (void)open_model_files(path);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ModelFolder, FindsTheFilesOfAHuggingFaceFolder) {
  const TemporaryFolder folder;
  const float one = 1;
  SafetensorsWriter writer;
  writer.add_f32("w", {1}, std::span(&one, 1));
  write_safetensors(folder / "model.safetensors", writer);
  write_file_atomically(folder / "config.json", R"({"model_type": "llama"})");
  write_file_atomically(folder / "tokenizer.json", "{}");
  write_file_atomically(folder / "chat_template.jinja", "");
  ModelFiles files = open_model_files(folder.path());
  EXPECT_EQ(files.kind, ModelFiles::Kind::hugging_face);
  EXPECT_EQ(files.required_config().at("model_type", "c").as_string("c"), "llama");
  EXPECT_EQ(files.tokenizer_json, folder / "tokenizer.json");
  EXPECT_EQ(files.chat_template_jinja, folder / "chat_template.jinja");
  EXPECT_EQ(files.tokenizer_config_json, std::nullopt);
  EXPECT_NE(files.weights().find("w"), nullptr);
}

TEST(ModelFolder, NeedsNoWeightsUntilTheyAreAskedFor) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "tokenizer.json", "{}");
  ModelFiles files = open_model_files(folder.path());
  EXPECT_THROW((void)files.weights(), InputError);
  EXPECT_THROW((void)files.required_config(), InputError);
}

TEST(ModelFolder, OpensAGgufFileByItselfOrByItsFolder) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "m.gguf", kEmptyGguf);
  for (const auto& path : {folder / "m.gguf", folder.path()}) {
    ModelFiles files = open_model_files(path);
    EXPECT_EQ(files.kind, ModelFiles::Kind::gguf);
    EXPECT_EQ(files.path, folder / "m.gguf");
    EXPECT_EQ(&files.weights(), files.gguf.get());
  }
}

TEST(ModelFolder, SaysWhatItLookedFor) {
  const TemporaryFolder folder;
  EXPECT_NE(error_of(folder / "missing").find("missing: found nothing there"), std::string::npos);
  EXPECT_NE(error_of(folder.path()).find("found no model in the folder"), std::string::npos);
  write_file_atomically(folder / "a.gguf", kEmptyGguf);
  write_file_atomically(folder / "b.gguf", kEmptyGguf);
  EXPECT_NE(error_of(folder.path()).find("2 GGUF files"), std::string::npos);
  write_file_atomically(folder / "text", "not a model at all");
  EXPECT_NE(error_of(folder / "text").find("expected 'GGUF'"), std::string::npos);
  write_file_atomically(folder / "config.json", "{");
  EXPECT_NE(error_of(folder.path()).find("config.json:1:2"), std::string::npos);
}

}  // namespace
}  // namespace elenchus

#include "cli/parse.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace elenchus {
namespace {

/// Where an option of a parsed command put its value.
template <class T>
T value_of(const ParsedCommandLine& parsed, std::string_view option_name) {
  for (const Option& option : parsed.command->options()) {
    if (option.name == option_name) return *std::get<T*>(option.target);
  }
  ADD_FAILURE() << "no option " << option_name;
  return {};
}

std::string message_of(const std::vector<std::string>& words) {
  try {
    parse_command_line(words);
  } catch (const UserError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::bad_recipe);
    return error.what();
  }
  return "accepted";
}

using Strings = std::vector<std::string>;
using Path = std::filesystem::path;

TEST(CommandLine, TrainTakesARecipeAndOverrides) {
  const auto parsed =
      parse_command_line({"train", "r.yaml", "lora.r=8", "--quiet", "training.seed=1"});
  EXPECT_EQ(parsed.command->name(), "train");
  EXPECT_EQ(value_of<Path>(parsed, "RECIPE.yaml"), "r.yaml");
  EXPECT_EQ(value_of<Strings>(parsed, "OVERRIDE"), (Strings{"lora.r=8", "training.seed=1"}));
  EXPECT_TRUE(value_of<bool>(parsed, "--quiet"));
  EXPECT_FALSE(value_of<OptionalValue>(parsed, "--resume").given);
}

TEST(CommandLine, ResumeStandsAloneOrTakesACheckpoint) {
  const auto resume = [](const Strings& words) {
    return value_of<OptionalValue>(parse_command_line(words), "--resume");
  };
  EXPECT_TRUE(resume({"train", "r.yaml", "--resume"}).given);
  EXPECT_FALSE(resume({"train", "r.yaml", "--resume"}).value.has_value());
  EXPECT_EQ(resume({"train", "r.yaml", "--resume", "out/checkpoint-5"}).value, "out/checkpoint-5");
  EXPECT_EQ(resume({"train", "r.yaml", "--resume=a=b"}).value, "a=b");
  const auto before_override = parse_command_line({"train", "--resume", "r.yaml", "lora.r=8"});
  EXPECT_EQ(value_of<Path>(before_override, "RECIPE.yaml"), "r.yaml");
  const auto before_recipe = parse_command_line({"train", "r.yaml", "--resume", "lora.r=8"});
  EXPECT_FALSE(value_of<OptionalValue>(before_recipe, "--resume").value.has_value());
  EXPECT_EQ(value_of<Strings>(before_recipe, "OVERRIDE"), Strings{"lora.r=8"});
}

TEST(CommandLine, ChatTakesItsOptions) {
  const auto parsed =
      parse_command_line({"chat", "--model", "m.gguf", "--adapter", "a", "--prompt", "-what?",
                          "--system", "", "--max-new-tokens", "7", "--temperature", "0",
                          "--top-p=0.9", "--top-k", "40", "--seed", "18446744073709551615"});
  EXPECT_EQ(value_of<Path>(parsed, "--model"), "m.gguf");
  EXPECT_EQ(value_of<std::optional<Path>>(parsed, "--adapter"), "a");
  EXPECT_EQ(value_of<std::optional<std::string>>(parsed, "--prompt"), "-what?");
  EXPECT_EQ(value_of<std::optional<std::string>>(parsed, "--system"), "");
  EXPECT_EQ(value_of<int>(parsed, "--max-new-tokens"), 7);
  EXPECT_EQ(value_of<std::optional<double>>(parsed, "--temperature"), 0.0);
  EXPECT_EQ(value_of<std::optional<double>>(parsed, "--top-p"), 0.9);
  EXPECT_EQ(value_of<std::optional<int>>(parsed, "--top-k"), 40);
  EXPECT_EQ(value_of<std::uint64_t>(parsed, "--seed"), 18446744073709551615u);
}

TEST(CommandLine, TheOtherCommandsTakeTheirs) {
  EXPECT_EQ(
      value_of<std::int64_t>(parse_command_line({"inspect", "r.yaml", "--rows", "5"}), "--rows"),
      5);
  const auto tokenize = parse_command_line({"tokenize", "--model", "m", "--chat", "--render", "-"});
  EXPECT_TRUE(value_of<bool>(tokenize, "--chat"));
  EXPECT_TRUE(value_of<bool>(tokenize, "--render"));
  EXPECT_FALSE(value_of<bool>(tokenize, "--decode"));
  EXPECT_EQ(value_of<std::string>(tokenize, "FILE"), "-");
  const auto logits = parse_command_line(
      {"logits", "--model", "m", "--load-in-4bit", "--input", "i.json", "--output", "o"});
  EXPECT_TRUE(value_of<bool>(logits, "--load-in-4bit"));
  const auto predict = parse_command_line(
      {"predict", "r.yaml", "--adapter", "a", "--input", "i.csv", "--output", "o.csv"});
  EXPECT_EQ(value_of<Path>(predict, "--output"), "o.csv");
  EXPECT_EQ(parse_command_line({"quantize", "--model", "m", "--output", "o"}).command->name(),
            "quantize");
  EXPECT_EQ(parse_command_line({"plan", "r.yaml"}).command->name(), "plan");
  EXPECT_EQ(value_of<std::optional<Path>>(
                parse_command_line({"eval", "r.yaml", "--adapter", "a", "lora.r=8"}), "--adapter"),
            "a");
}

TEST(CommandLine, RepeatedOptionsCollectTheirValues) {
  const auto parsed = parse_command_line(
      {"compare", "r.yaml", "--adapter", "a", "--prompt", "x y", "--prompt", "z", "lora.r=8"});
  EXPECT_EQ(value_of<Strings>(parsed, "--prompt"), (Strings{"x y", "z"}));
  EXPECT_EQ(value_of<Strings>(parsed, "OVERRIDE"), Strings{"lora.r=8"});
}

TEST(CommandLine, HelpAndVersionAreTexts) {
  EXPECT_EQ(parse_command_line({"--version"}).text, "elenchus 0.1.0\n");
  EXPECT_EQ(parse_command_line({"--help"}).command, nullptr);
  for (const auto& command : make_all_commands()) {
    const std::string name(command->name());
    EXPECT_NE(parse_command_line({"--help"}).text.find("  " + name), std::string::npos);
    const std::string text = parse_command_line({name, "--help"}).text;
    for (const Option& option : command->options()) {
      EXPECT_NE(text.find(option.name), std::string::npos) << name << " " << option.name;
    }
  }
  EXPECT_NE(parse_command_line({"train", "--help"}).text.find("\nlora.r (16): "),
            std::string::npos);
}

TEST(CommandLine, MistakesSayWhereToLook) {
  EXPECT_EQ(message_of({}), "no command is given; elenchus --help lists the commands");
  EXPECT_EQ(message_of({"trian"}), "unknown command \"trian\"; did you mean train?");
  EXPECT_NE(message_of({"train"}).find("RECIPE.yaml is required"), std::string::npos);
  EXPECT_NE(message_of({"train"}).find("elenchus train --help"), std::string::npos);
  EXPECT_NE(message_of({"train", "r.yaml", "--quite"}).find("--quite"), std::string::npos);
  EXPECT_NE(message_of({"chat"}).find("--model"), std::string::npos);
  EXPECT_NE(message_of({"chat", "--model"}).find("--model"), std::string::npos);
  EXPECT_NE(message_of({"tokenize", "--model", "m", "a", "b"}).find("b"), std::string::npos);
  EXPECT_NE(message_of({"train", "r.yaml", "--resume", "--resume"}).find("twice"),
            std::string::npos);
  EXPECT_EQ(message_of({"inspect", "r.yaml", "--rows", "many"}),
            "--rows: found \"many\"; expected a whole number, 1 to 1000000000");
  EXPECT_NE(message_of({"inspect", "r.yaml", "--rows", "0"}).find("--rows"), std::string::npos);
  EXPECT_NE(message_of({"chat", "--model", "m", "--temperature", "nan"}).find("--temperature"),
            std::string::npos);
  EXPECT_NE(message_of({"chat", "--model", "m", "--top-p", "1.5"}).find("--top-p"),
            std::string::npos);
  EXPECT_NE(message_of({"chat", "--model", ""}).find("expected a path"), std::string::npos);
}

}  // namespace
}  // namespace elenchus

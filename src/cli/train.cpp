#include "cli/recipe_options.h"

namespace elenchus {
namespace {

class TrainCommand : public Command {
 public:
  std::string_view name() const override { return "train"; }
  std::string_view summary() const override { return "fine-tunes a model by a recipe"; }
  std::vector<Option> options() override {
    return recipe_options(
        options_.recipe,
        {{"--resume", "[CHECKPOINT]",
          "goes on from this checkpoint; without a value from the newest valid one, if any",
          &resume_},
         {"--quiet", "", "says only warnings and the result", &options_.quiet}});
  }
  std::string more_help() const override {
    return "\nKeys of a recipe, with their defaults:\n" + recipe_help();
  }
  int run() override {
    if (resume_.given) {
      options_.resume = ResumeChoice{};
      if (resume_.value) options_.resume->checkpoint = *resume_.value;
    }
    return finetune(options_);
  }

 private:
  FinetuneOptions options_;
  OptionalValue resume_;
};

}  // namespace

std::unique_ptr<Command> make_train_command() { return std::make_unique<TrainCommand>(); }

}  // namespace elenchus

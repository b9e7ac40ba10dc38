#include "cli/recipe_options.h"

namespace elenchus {
namespace {

class EvalCommand : public Command {
 public:
  std::string_view name() const override { return "eval"; }
  std::string_view summary() const override {
    return "measures a model on the evaluation rows; metrics as JSON on stdout";
  }
  std::vector<Option> options() override {
    return recipe_options(
        options_.recipe,
        {{"--adapter", "DIR", "measures the model with this adapter", &options_.adapter}});
  }
  int run() override { return evaluate(options_); }

 private:
  EvaluateOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_eval_command() { return std::make_unique<EvalCommand>(); }

}  // namespace elenchus

#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {
namespace {

class EvalCommand : public Command {
 public:
  std::string_view name() const override { return "eval"; }
  std::string_view summary() const override {
    return "measures a model on the evaluation rows; metrics as JSON on stdout";
  }
  std::vector<Option> options() override {
    return {
        {"RECIPE.yaml", "", "the recipe; its relative paths start at its own folder",
         &options_.recipe.file, Presence::required},
        {"OVERRIDE", "",
         "section.key=value, in place of the recipe's; relative paths start at the recipe's folder",
         &options_.recipe.overrides},
        {"--adapter", "DIR", "measures the model with this adapter", &options_.adapter}};
  }
  int run() override { return evaluate(options_); }

 private:
  EvaluateOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_eval_command() { return std::make_unique<EvalCommand>(); }

}  // namespace elenchus

#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {
namespace {

class PredictCommand : public Command {
 public:
  std::string_view name() const override { return "predict"; }
  std::string_view summary() const override { return "classifies the rows of a CSV file"; }
  std::vector<Option> options() override {
    return {{"RECIPE.yaml", "", "the recipe; its relative paths start at its own folder",
             &options_.recipe.file, Presence::required},
            {"section.key=value", "",
             "values in place of the recipe's; relative paths start at the recipe's folder",
             &options_.recipe.overrides},
            {"--adapter", "DIR", "the trained classifier", &options_.adapter, Presence::required},
            {"--input", "FILE.csv", "the rows", &options_.input, Presence::required},
            {"--output", "FILE.csv", "where the classes go", &options_.output, Presence::required}};
  }
  int run() override { return predict(options_); }

 private:
  PredictOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_predict_command() { return std::make_unique<PredictCommand>(); }

}  // namespace elenchus

#include "cli/recipe_options.h"

namespace elenchus {
namespace {

class PredictCommand : public Command {
 public:
  std::string_view name() const override { return "predict"; }
  std::string_view summary() const override {
    return "writes the probabilities of the classes of a file's rows";
  }
  std::vector<Option> options() override {
    return recipe_options(
        options_.recipe,
        {{"--adapter", "DIR", "the trained classifier", &options_.adapter, Presence::required},
         {"--input", "FILE.csv", "the rows", &options_.input, Presence::required},
         {"--output", "FILE.csv", "where the probabilities go", &options_.output,
          Presence::required},
         {"--average-swapped", "", "averages over both orders of two answers (arena)",
          &options_.average_swapped},
         {"--fit-temperature", "",
          "scales the scores by the temperature that fits the evaluation rows best",
          &options_.fit_temperature}});
  }
  int run() override { return predict(options_); }

 private:
  PredictOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_predict_command() { return std::make_unique<PredictCommand>(); }

}  // namespace elenchus

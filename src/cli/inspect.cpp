#include "cli/recipe_options.h"

namespace elenchus {
namespace {

class InspectCommand : public Command {
 public:
  std::string_view name() const override { return "inspect"; }
  std::string_view summary() const override {
    return "shows rows as the model sees them, and which tokens are trained on";
  }
  std::vector<Option> options() override {
    return recipe_options(options_.recipe, {{"--rows", "N", "how many rows", &options_.rows,
                                             Presence::optional, 1, 1e9}});
  }
  int run() override { return inspect(options_); }

 private:
  InspectOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_inspect_command() { return std::make_unique<InspectCommand>(); }

}  // namespace elenchus

#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {
namespace {

class InspectCommand : public Command {
 public:
  std::string_view name() const override { return "inspect"; }
  std::string_view summary() const override {
    return "shows rows as the model sees them, and which tokens are trained on";
  }
  std::vector<Option> options() override {
    return {
        {"RECIPE.yaml", "", "the recipe; its relative paths start at its own folder",
         &options_.recipe.file, Presence::required},
        {"OVERRIDE", "",
         "section.key=value, in place of the recipe's; relative paths start at the recipe's folder",
         &options_.recipe.overrides},
        {"--rows", "N", "how many rows", &options_.rows, Presence::optional, 1, 1e9}};
  }
  int run() override { return inspect(options_); }

 private:
  InspectOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_inspect_command() { return std::make_unique<InspectCommand>(); }

}  // namespace elenchus

#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {
namespace {

class PlanCommand : public Command {
 public:
  std::string_view name() const override { return "plan"; }
  std::string_view summary() const override {
    return "shows parameters, memory, steps and schedule; starts nothing";
  }
  std::vector<Option> options() override {
    return {
        {"RECIPE.yaml", "", "the recipe; its relative paths start at its own folder",
         &options_.recipe.file, Presence::required},
        {"OVERRIDE", "",
         "section.key=value, in place of the recipe's; relative paths start at the recipe's folder",
         &options_.recipe.overrides}};
  }
  int run() override { return plan(options_); }

 private:
  PlanOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_plan_command() { return std::make_unique<PlanCommand>(); }

}  // namespace elenchus

#include "cli/recipe_options.h"

namespace elenchus {
namespace {

class PlanCommand : public Command {
 public:
  std::string_view name() const override { return "plan"; }
  std::string_view summary() const override {
    return "shows parameters, memory, steps and schedule; starts nothing";
  }
  std::vector<Option> options() override { return recipe_options(options_.recipe); }
  int run() override { return plan(options_); }

 private:
  PlanOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_plan_command() { return std::make_unique<PlanCommand>(); }

}  // namespace elenchus

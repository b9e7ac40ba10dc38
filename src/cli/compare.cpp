#include "cli/recipe_options.h"

namespace elenchus {
namespace {

class CompareCommand : public Command {
 public:
  std::string_view name() const override { return "compare"; }
  std::string_view summary() const override {
    return "answers prompts with and without an adapter";
  }
  std::vector<Option> options() override {
    return recipe_options(
        options_.recipe,
        {{"--adapter", "DIR", "the adapter folder", &options_.adapter, Presence::required},
         {"--prompt", "TEXT", "a prompt; may be given several times", &options_.prompts,
          Presence::required},
         {"--max-new-tokens", "N", "longest reply, in tokens", &options_.max_new_tokens,
          Presence::optional, 1, 1 << 20}});
  }
  int run() override { return compare(options_); }

 private:
  CompareOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_compare_command() { return std::make_unique<CompareCommand>(); }

}  // namespace elenchus

// The commands of the program: a line for each.

#include "cli/command.h"

namespace elenchus {

std::vector<std::unique_ptr<Command>> make_all_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(make_train_command());
  commands.push_back(make_eval_command());
  commands.push_back(make_chat_command());
  commands.push_back(make_compare_command());
  commands.push_back(make_predict_command());
  commands.push_back(make_inspect_command());
  commands.push_back(make_plan_command());
  commands.push_back(make_tokenize_command());
  commands.push_back(make_logits_command());
  commands.push_back(make_quantize_command());
  commands.push_back(make_bench_command());
  return commands;
}

}  // namespace elenchus

#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {
namespace {

class LogitsCommand : public Command {
 public:
  std::string_view name() const override { return "logits"; }
  std::string_view summary() const override {
    return "writes a model's logits for lists of token ids";
  }
  std::vector<Option> options() override {
    return {{"--model", "DIR|FILE.gguf", "a Hugging Face folder or a GGUF file", &options_.model,
             Presence::required},
            {"--adapter", "DIR", "an adapter folder", &options_.adapter},
            {"--load-in-4bit", "", "keeps the linear layers in NF4", &options_.load_in_4bit},
            {"--input", "ids.json", "a list of id lists", &options_.input, Presence::required},
            {"--output", "out.safetensors", "where logits.0, logits.1, ... go", &options_.output,
             Presence::required}};
  }
  int run() override { return logits(options_); }

 private:
  LogitsOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_logits_command() { return std::make_unique<LogitsCommand>(); }

}  // namespace elenchus

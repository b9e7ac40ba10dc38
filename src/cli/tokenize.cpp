#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {
namespace {

class TokenizeCommand : public Command {
 public:
  std::string_view name() const override { return "tokenize"; }
  std::string_view summary() const override {
    return "turns JSON lines of text or chat into token ids, and back";
  }
  std::vector<Option> options() override {
    return {
        {"--model", "DIR|FILE.gguf", "a Hugging Face folder or a GGUF file; no weights are needed",
         &options_.model, Presence::required},
        {"--chat", "", "lines are {\"messages\": [...], \"add_generation_prompt\": false}",
         &options_.chat},
        {"--render", "", "with --chat: prints the template's text", &options_.render},
        {"--decode", "", "lines are id lists; prints their text", &options_.decode},
        {"--no-special", "", "adds no special tokens at a text's ends", &options_.no_special},
        {"FILE", "", "JSON lines; - or nothing for standard input", &options_.input}};
  }
  int run() override { return tokenize(options_); }

 private:
  TokenizeOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_tokenize_command() { return std::make_unique<TokenizeCommand>(); }

}  // namespace elenchus

#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {
namespace {

class ChatCommand : public Command {
 public:
  std::string_view name() const override { return "chat"; }
  std::string_view summary() const override { return "talks with a model"; }
  std::vector<Option> options() override {
    return {
        {"--model", "DIR|FILE.gguf", "a Hugging Face folder or a GGUF file", &options_.model,
         Presence::required},
        {"--adapter", "DIR", "an adapter folder", &options_.adapter},
        {"--prompt", "TEXT", "answers this and ends; without it, interactive", &options_.prompt},
        {"--system", "TEXT", "the system message", &options_.system},
        {"--max-new-tokens", "N", "longest reply, in tokens", &options_.max_new_tokens,
         Presence::optional, 1, 1 << 20},
        {"--temperature", "T",
         "above 0 draws at random; 0, the default, takes the most likely token",
         &options_.temperature, Presence::optional, 0, 1000},
        {"--top-p", "P", "samples from the likeliest tokens that make up this share",
         &options_.top_p, Presence::optional, 1e-6, 1},
        {"--top-k", "K", "samples from so many of the likeliest tokens; 0: all", &options_.top_k,
         Presence::optional, 0, 1 << 24},
        {"--seed", "N", "of the sampling", &options_.seed}};
  }
  int run() override { return chat(options_); }

 private:
  ChatOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_chat_command() { return std::make_unique<ChatCommand>(); }

}  // namespace elenchus

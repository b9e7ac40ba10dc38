#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {
namespace {

class QuantizeCommand : public Command {
 public:
  std::string_view name() const override { return "quantize"; }
  std::string_view summary() const override {
    return "writes a model in NF4 with double quantisation";
  }
  std::vector<Option> options() override {
    return {
        {"--model", "DIR|FILE.gguf", "a Hugging Face folder or a GGUF file", &options_.model,
         Presence::required},
        {"--output", "out.safetensors|DIR", "where the tensors go; a folder gets config.json too",
         &options_.output, Presence::required}};
  }
  int run() override { return quantize(options_); }

 private:
  QuantizeOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_quantize_command() { return std::make_unique<QuantizeCommand>(); }

}  // namespace elenchus

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "jobs/jobs.h"

namespace elenchus {
namespace {

/// The enum value of that name. UserError lists them.
template <class E>
E named(std::string_view option, std::string_view text) {
  const auto& names = EnumNames<E>::names;
  const auto* const found = std::ranges::find(names, text);
  if (found != std::end(names)) return E(found - std::begin(names));
  std::string known;
  for (const std::string_view name : names) known += cat(known.empty() ? "" : ", ", name);
  throw UserError(cat(option, ": found \"", printable(text), "\"; expected one of ", known));
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (comma > 0) parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

class BenchCommand : public Command {
 public:
  std::string_view name() const override { return "bench"; }
  std::string_view summary() const override {
    return "times training steps of random weights, or single ops";
  }
  std::vector<Option> options() override {
    return {
        {"step|op", "", "what is timed", &what_, Presence::required},
        {"GROUP", "", "for op: rows, step, nf4, linear, attention; none: all", &ops_.names},
        {"--architecture", "NAME", "a published model's shape: llama3-8b, gemma2-2b, ...",
         &step_.architecture},
        {"--task", "causal|classifier", "what the head is", &task_},
        {"--rows", "N", "sequences in a micro-batch", &step_.rows, Presence::optional, 1, 65536},
        {"--length", "N", "tokens in each", &step_.length, Presence::optional, 2, 1 << 20},
        {"--accumulation", "N", "micro-batches in a step", &step_.accumulation, Presence::optional,
         1, 4096},
        {"--target-modules", "A,B", "adapted projections; else all-linear", &targets_},
        {"--rank", "N", "of the adapters", &step_.rank, Presence::optional, 1, 4096},
        {"--dropout", "P", "on the adapters' input", &dropout_, Presence::optional, 0, 0.99},
        {"--dtype", "TYPE", "auto, float32, float16, bfloat16", &dtype_},
        {"--gradient-checkpointing", "true|false|auto", "what is recomputed", &recompute_},
        {"--device", "NAME", "auto, cpu, cuda, cuda:N", &step_.device},
        {"--max-memory", "SIZE", "of the device: 8GiB", &step_.max_memory},
        {"--steps", "N", "timed, after three of warm-up", &step_.steps, Presence::optional, 1,
         100000}};
  }
  int run() override {
    if (what_ == "op") return bench_ops(ops_);
    if (what_ != "step")
      throw UserError(cat("bench: found ", printable(what_), "; expected step or op"));
    if (!ops_.names.empty())
      throw UserError(
          cat("bench step: found ", printable(ops_.names[0]), " where only options are expected"));
    step_.task = named<BenchTask>("--task", task_);
    step_.compute = named<ComputeType>("--dtype", dtype_);
    step_.recompute = named<Recompute>("--gradient-checkpointing", recompute_);
    step_.target_modules = split_at_commas(targets_);
    step_.dropout = dropout_.value_or(0);
    return bench_step(step_);
  }

 private:
  std::string what_, task_ = "causal", dtype_ = "auto", recompute_ = "false", targets_;
  std::optional<double> dropout_;
  BenchStepOptions step_;
  BenchOpsOptions ops_;
};

}  // namespace

std::unique_ptr<Command> make_bench_command() { return std::make_unique<BenchCommand>(); }

}  // namespace elenchus

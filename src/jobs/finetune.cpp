// READ THIS FIRST. How a fine-tuning run is put together: recipe -> text, rows and shapes -> memory
// plan -> model with adapters -> trainer. Each step is one call into the room that does it.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "base/field_visitors.h"
#include "base/folder_lock.h"
#include "base/sha256.h"
#include "data/row_checks.h"
#include "jobs/adapter_choice.h"
#include "jobs/classes.h"
#include "jobs/evaluation.h"
#include "jobs/jobs.h"
#include "jobs/output_choice.h"
#include "jobs/replies.h"
#include "jobs/run_setup.h"
#include "train/callbacks/catalogue.h"
#include "train/trainer.h"

namespace elenchus {
namespace {

/// What the adapter folder and every checkpoint hold beside the tensors.
AdapterFiles adapter_files(RunSetup& run, const AdapterPlan& adapter) {
  AdapterFiles out;
  out.config.base_model_name_or_path =
      run.recipe.model.model_name_or_path;  // made absolute: the adapter may be moved
  out.config.r = run.recipe.lora.r;
  out.config.lora_alpha = run.recipe.lora.lora_alpha;
  out.config.lora_dropout = run.recipe.lora.lora_dropout;
  out.config.target_modules = adapter.targets.names;
  out.config.target_pattern = adapter.targets.pattern;
  out.config.exclude_modules = adapter.excluded.names;
  out.config.exclude_pattern = adapter.excluded.pattern;
  out.config.bias = std::string(EnumNames<LoraBias>::names[std::size_t(run.recipe.lora.bias)]);
  for (const auto& [name, rank] : run.recipe.lora.rank_pattern)
    out.config.rank_pattern[name] = rank;
  out.config.alpha_pattern = run.recipe.lora.alpha_pattern;
  out.config.modules_to_save = run.recipe.lora.modules_to_save;
  out.config.ensure_weight_tying = run.recipe.lora.ensure_weight_tying;
  out.config.layers_to_transform.assign(run.recipe.lora.layers_to_transform.begin(),
                                        run.recipe.lora.layers_to_transform.end());
  out.config.layers_pattern = run.recipe.lora.layers_pattern;
  out.config.use_rslora = run.recipe.lora.use_rslora;
  out.config.use_dora = run.recipe.lora.use_dora;
  for (const auto& [name, bytes] : run.text.files) out.files.push_back({name, bytes});
  if (is_classifier(run.recipe)) {
    out.config.task_type = "SEQ_CLS";
    out.files.push_back(
        {"config.json", classifier_config(run.files, run.text, run.dataset.classes)});
  }
  return out;
}

/// What a checkpoint must share with a run that continues from it: what decides the adapter's bits on
/// one machine. Where files lie, what is logged and how many threads work does not.
Json run_identity(const RunSetup& run, const LoadedModel& model) {
  constexpr std::string_view kFree[] = {
      "train_file",          "eval_file",          "chat_template_path",
      "init_from",           "output_dir",         "logging_strategy",
      "logging_steps",       "logging_first_step", "logging_dir",
      "report_to",           "save_strategy",      "save_steps",
      "save_total_limit",    "save_only_model",    "resume_from_checkpoint",
      "accept_changes",      "sample_prompts",     "sample_max_new_tokens",
      "overwrite_output_dir"};
  const Json recipe = recipe_to_json(run.recipe);
  Json identity{Json::Object{}};
  for (const std::string_view section : {"quantization", "lora", "data", "training", "metrics"}) {
    const Json* all = recipe.find(section);
    if (!all->is_object()) {
      identity.set(section, *all);
      continue;
    }
    Json kept{Json::Object{}};
    for (const auto& [key, value] : all->as_object(section))
      if (std::ranges::find(kFree, key) == std::end(kFree)) kept.set(key, value);
    const TrainingConfig& training = run.recipe.training;
    if (section == "training" && training.eval_strategy != Strategy::steps)
      kept.set("eval_steps", Json());  // decide nothing
    else if (section == "training" && !training.eval_steps)
      kept.set("eval_steps", training.logging_steps);  // decide in their place
    identity.set(section, std::move(kept));
  }
  identity.set("device", run.where.device.kind == Device::Kind::cpu ? "cpu" : "cuda");
  identity.set("compute_type", name_of(run.load.compute));
  if (is_classifier(run.recipe)) identity.set("num_labels", run.recipe.model.num_labels);
  identity.set("data_fingerprint", run.train_batches.fingerprint());
  if (run.eval_batches) identity.set("eval_data_fingerprint", run.eval_batches->fingerprint());
  if (run.recipe.lora.init_from)
    identity.set("init_from_sha256",
                 sha256_hex(read_text_file(std::filesystem::path(*run.recipe.lora.init_from) /
                                           kAdapterWeightsFile)));
  identity.set("base_model_fingerprint", fingerprint_text(model));
  return identity;
}

/// UserError and InputError unless the adapter to start from is for the same task and classes, and
/// scaled as this run's is: its tensors would mean something else.
void check_start(RunSetup& run) {
  const LoraConfig& lora = run.recipe.lora;
  if (!lora.init_from) return;
  std::error_code ignored;
  const auto start_path = std::filesystem::weakly_canonical(*lora.init_from, ignored);
  const auto output = std::filesystem::weakly_canonical(run.recipe.training.output_dir, ignored);
  if (!start_path.empty() && *start_path.lexically_relative(output).begin() != "..")
    throw UserError(
        cat("lora.init_from: ", *lora.init_from,
            " lies in training.output_dir, where the run would replace it or move it away; choose "
            "another output_dir"));
  const std::optional<LoraConfig> start =
      adapter_choice(lora.init_from, {run.files, run.recipe.model.task_type});
  if (is_classifier(run.recipe))
    expect_trained_classes(run.files, lora.init_from, run.dataset.classes);
  const Json there = fields_to_json(*start), here = fields_to_json(lora);
  for (const std::string_view key : {"r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern",
                                     "alpha_pattern", "bias", "ensure_weight_tying"})
    if (*there.find(key) != *here.find(key))
      throw UserError(cat("lora.init_from: ", *lora.init_from, " has ", key, " ",
                          there.find(key)->dump(), "; the recipe has ", here.find(key)->dump(),
                          ": set it to the adapter's"));
}

/// Makes the output folder. UserError if it cannot be, or is the model's own.
void make_own_output_folder(const RunSetup& run) {
  std::error_code ignored;
  if (std::filesystem::equivalent(run.recipe.training.output_dir,
                                  run.recipe.model.model_name_or_path, ignored))
    throw UserError(
        cat("training.output_dir: ", run.recipe.training.output_dir,
            " is the model's own folder, whose files would be overwritten; choose another"));
  make_output_folder(run.recipe.training.output_dir, "training.output_dir");
}

/// Operations of training on one token: forward and the gradient of the input, twice a weight each; the frozen weights have
/// none. Attention is left out, as transformers does.
double flops_per_token(const DecoderConfig& c, std::int64_t num_labels) {
  double weights = num_labels > 0 ? 0 : double(c.vocabulary * c.width);  // a score head is tiny
  for (const Slot slot : kProjectionSlots)
    if (has_projection(c, slot))
      weights += double(c.layers) * double(projection_shape(c, slot).elements());
  return 4 * weights;
}

std::function<std::vector<Sample>()> sampler(const RunSetup& run, Replier& replier) {
  if (run.sample_prompts.empty()) return {};
  return [&run, &replier] {
    const std::vector<std::string> replies = replier.to_samples();
    std::vector<Sample> samples;
    for (std::size_t i = 0; i < replies.size(); ++i)
      samples.push_back({run.recipe.training.sample_prompts[i], replies[i]});
    return samples;
  };
}

/// The files that say what was asked for: training_args.yaml and training_config.json.
void write_configuration(const Recipe& recipe) {
  const std::filesystem::path folder = recipe.training.output_dir;
  write_file_atomically(folder / "training_args.yaml", recipe_to_yaml(recipe));
  write_file_atomically(folder / "training_config.json",
                        training_config_json(recipe).dump(2) + "\n");
}

}  // namespace

int finetune(const FinetuneOptions& options) {
  RunSetup run(read_recipe(options.recipe.file, options.recipe.overrides));
  const TrainingConfig& training = run.recipe.training;
  const auto tell = [&](const std::string& line) {
    if (!options.quiet) say(line);
  };
  for (const std::string& note : run.recipe.notes) tell(note);
  tell(describe(run.dataset, run.recipe.data));
  for (const std::string& warning : warnings_of(run.dataset, run.recipe.data)) tell(warning);
  const MemoryPlan memory = plan_run(run);
  tell("Memory planned:\n" + memory_plan_text(memory));
  tell(cat("Training on ", run.where.name(), " in ", name_of(run.load.compute),
           run.where.device.kind == Device::Kind::cpu ? cat(", ", run.where.threads, " threads")
                                                      : std::string()));

  check_start(run);
  make_own_output_folder(run);
  const FolderLock lock(training.output_dir);
  for (const std::filesystem::path folder :
       {training.output_dir, training.output_dir + "/training_progress"})
    remove_leftovers(folder);
  const std::unique_ptr<Stream> stream = Stream::open(run.where.device, run.recipe.model.threads);
  LoadedModel model = load_model(*stream, run.files, run.load);
  model.decoder->set_recomputation(memory.recomputation);
  for (const std::string& note : model.notes) tell("note: " + note);
  if (run.recipe.lora.init_from)
    load_adapter_folder(*stream, model, *run.recipe.lora.init_from, run.files);

  Arena arena(*stream, memory.activations);  // after loading, which takes its place in the plan
  CheckpointStore checkpoints(*stream, training.output_dir, training.save_total_limit,
                              adapter_files(run, model.adapter));
  StopSignal stop;
  Replier replier(run, *model.decoder, *stream, arena,
                  [&stop] { return stop.stop_requested() != 0; });
  std::optional<Evaluator> evaluator;
  if (run.eval_batches)
    evaluator.emplace(make_evaluator(run, *stream, arena, *model.decoder, replier));
  Trainer trainer(
      training,
      {.stream = *stream,
       .arena = arena,
       .model = *model.decoder,
       .batches = run.train_batches,
       .checkpoints = checkpoints,
       .evaluator = evaluator ? &*evaluator : nullptr,
       .stop = &stop,
       .callbacks =
           standard_callbacks({.verbosity = options.quiet ? Verbosity::quiet : Verbosity::normal,
                               .report_to = training.report_to,
                               .logging_dir = training.logging_dir.value_or("")}),
       .sample_replies = sampler(run, replier),
       .identity = run_identity(run, model),
       .scale_loss = run.load.compute == DType::f16,
       .flops_per_token = flops_per_token(model.decoder->config(), model.decoder->num_labels())});
  const auto resume = options.resume ? options.resume : resume_choice(run.recipe);
  if (resume && resume->checkpoint)
    trainer.resume_from(*resume->checkpoint);
  else if (resume)
    trainer.resume();
  if (!trainer.nothing_to_do()) write_configuration(run.recipe);
  return trainer.run().exit_code;
}

}  // namespace elenchus

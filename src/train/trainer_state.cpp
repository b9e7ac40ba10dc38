// What a checkpoint says of a run besides its tensors, and how a run continues from it.

#include <filesystem>

#include "base/file.h"
#include "train/log_rows.h"
#include "train/trainer.h"

namespace elenchus {
namespace {

constexpr std::string_view kWhat = "trainer_state.json";

/// Where our own part lies in trainer_state.json.
const Json* own_part(const Json& trainer_state) {
  const Json* callbacks = trainer_state.find("stateful_callbacks");
  const Json* own = callbacks ? callbacks->find("Elenchus") : nullptr;
  return own ? own->find("attributes") : nullptr;
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

}  // namespace

CheckpointState Trainer::checkpoint_state() const {
  const MicroBatchGroup next = plan_.group(state_.step + 1);
  CheckpointState out;
  out.trainer_state = trainer_state(last_step());
  if (best_.best_step() == state_.step)  // it exists as soon as this can be read
    out.trainer_state.set("best_model_checkpoint",
                          parts_.checkpoints.path_of(state_.step).string());
  out.scheduler = Json::Object{{"last_epoch", state_.updates},
                               {"last_lr", Json::Array{schedule_.lr(state_.updates)}},
                               {"lr_scheduler_type", config_.lr_scheduler_type}};
  out.rng_state = Json::Object{{"generator", "philox4x32-10"},
                               {"micro_batch", next.epoch * plan_.batches_per_epoch + next.first},
                               {"seed", config_.seed}};
  if (parts_.scale_loss) out.scaler = scaler_.state();
  out.identity = parts_.identity;
  return out;
}

Json Trainer::trainer_state(bool done) const {
  Json best_checkpoint;
  if (const auto step = best_.best_step()) {
    const auto path = parts_.checkpoints.path_of(*step);
    if (std::filesystem::exists(path)) best_checkpoint = path.string();
  }
  Json own = state_.counters();
  own.set("identity", parts_.identity);
  own.set("recent_losses", loss_watch_.state());
  own.set("accepted_changes", state_.accepted_changes);
  own.set("origin", origin_.string());
  const Json control = Json::Object{{"should_epoch_stop", false},
                                    {"should_evaluate", false},
                                    {"should_log", false},
                                    {"should_save", false},
                                    {"should_training_stop", done}};
  const auto callback = [](Json attributes) {
    return Json(Json::Object{{"args", Json::Object{}}, {"attributes", std::move(attributes)}});
  };
  return Json::Object{{"best_global_step", or_null(best_.best_step())},
                      {"best_metric", or_null(best_.best())},
                      {"best_model_checkpoint", best_checkpoint},
                      {"epoch", plan_.epoch_after(state_.step)},
                      {"eval_steps", eval_steps_},
                      {"global_step", state_.step},
                      {"is_hyper_param_search", false},
                      {"is_local_process_zero", true},
                      {"is_world_process_zero", true},
                      {"log_history", state_.log_history},
                      {"logging_steps", logging_steps_},
                      {"max_steps", plan_.total_steps},
                      {"num_input_tokens_seen", state_.input_tokens},
                      {"num_train_epochs", plan_.epochs},
                      {"save_steps", save_steps_},
                      {"stateful_callbacks", Json::Object{{"Elenchus", callback(own)},
                                                          {"TrainerControl", callback(control)}}},
                      {"total_flos", parts_.flops_per_token * double(state_.input_tokens)},
                      {"train_batch_size", config_.per_device_train_batch_size},
                      {"trial_name", nullptr},
                      {"trial_params", nullptr}};
}

/// The state of this very run, if it is done and exported.
std::optional<Json> Trainer::finished_before() const {
  const auto path = parts_.checkpoints.output_dir() / kWhat;
  if (!std::filesystem::exists(path) || !parts_.checkpoints.adapter_is_whole(optimizer_.params()))
    return std::nullopt;
  try {
    Json state = Json::parse(read_text_file(path), path.string());
    const Json* own = own_part(state);
    const Json* identity = own ? own->find("identity") : nullptr;
    if (!identity || !identity_differences(*identity, parts_.identity).empty()) return std::nullopt;
    return state;
  } catch (const InputError&) {
    return std::nullopt;  // what cannot be read does not say that the run is done
  }
}

bool Trainer::resume() {
  asked_to_resume_ = true;
  if (const auto done = finished_before()) {
    nothing_to_do_ = true;
    if (const Json* step = done->find("global_step"); step && step->is_integer())
      state_.step = step->as_integer("global_step");
    return true;
  }
  const auto found = parts_.checkpoints.newest_valid(
      [&](const std::string& text) { tell(MessageLevel::warning, text); });
  if (!found) return false;
  resume_from(found->path);
  return true;
}

void Trainer::resume_from(const std::filesystem::path& checkpoint) {
  const CheckpointState saved =
      parts_.checkpoints.restore(checkpoint, {parts_.identity, config_.accept_changes}, optimizer_);
  restore_host_state(saved);
  if (state_.step > plan_.total_steps)
    throw UserError(cat(checkpoint.string(), ": the checkpoint is at step ", state_.step,
                        ", past this run's last step ", plan_.total_steps,
                        "; raise training.num_train_epochs or training.max_steps"),
                    ExitCode::wrong_checkpoint);
  resumed_ = true;
  std::error_code ignored;
  resumed_here_ =
      std::filesystem::equivalent(checkpoint, parts_.checkpoints.path_of(state_.step), ignored);
  if (!resumed_here_) origin_ = std::filesystem::absolute(checkpoint, ignored).parent_path();
  // The next save writes what the checkpoint here does not hold.
  if (resumed_here_ && saved.accepted.empty()) saved_step_ = state_.step;
  tell(MessageLevel::info, cat("resuming from ", checkpoint.string(), ": step ", state_.step,
                               " of ", plan_.total_steps));
  if (!saved.accepted.empty()) tell_of_changes(saved);
}

/// The run goes on as another one, by the user's explicit wish: that is said and kept.
void Trainer::tell_of_changes(const CheckpointState& saved) {
  Json::Array changes;
  for (const std::string& change : saved.accepted) {
    changes.push_back(change);
    tell(MessageLevel::warning, cat("accepted change: ", change));
  }
  state_.accepted_changes.push_back(
      Json::Object{{"step", state_.step}, {"changes", std::move(changes)}});
  const Json& rates = saved.scheduler.at("last_lr", "scheduler.json");
  tell(MessageLevel::warning, cat("the next step's learning rate is ", schedule_.lr(state_.updates),
                                  "; without the changes it was ", rates.dump()));
}

void Trainer::restore_host_state(const CheckpointState& saved) {
  const Json* own = own_part(saved.trainer_state);
  if (!own)
    throw UserError(cat(kWhat,
                        ": the counters of this program are missing; was the checkpoint "
                        "written by other software?"),
                    ExitCode::wrong_checkpoint);
  state_.restore_counters(*own);
  state_.log_history =
      saved.trainer_state.at("log_history", kWhat).as_array("trainer_state.json: log_history");
  if (const Json* losses = own->find("recent_losses")) loss_watch_.restore(*losses);
  if (const Json* changes = own->find("accepted_changes"))
    state_.accepted_changes = changes->as_array("trainer_state.json: accepted_changes");
  if (const Json* origin = own->find("origin"); origin && origin->is_string())
    origin_ = origin->as_string("trainer_state.json: origin");
  optimizer_.set_updates(state_.updates);
  for (const Json& row : state_.log_history)
    if (const auto value = row_number(row, best_.key()); value && row_step(row) > 0)
      best_.observe(row_step(row), *value);
  if (!parts_.scale_loss) return;
  if (!saved.scaler && !saved.accepted.empty()) return;  // fp16 itself may be what was accepted
  if (!saved.scaler)
    throw UserError("the checkpoint has no scaler.json: it is of a run without fp16",
                    ExitCode::wrong_checkpoint);
  scaler_.restore(*saved.scaler);
}

}  // namespace elenchus

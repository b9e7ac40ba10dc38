#include "train/checkpoint_store.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

#include "base/atomic_folder.h"
#include "base/file.h"
#include "io/safetensors.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kFormatVersion = 1;
constexpr std::string_view kPrefix = "checkpoint-";
constexpr std::string_view kOptimizerFile = "optimizer.safetensors";
constexpr std::string_view kTrainerStateFile = "trainer_state.json";
constexpr std::string_view kSchedulerFile = "scheduler.json";
constexpr std::string_view kRngFile = "rng_state.json";
constexpr std::string_view kScalerFile = "scaler.json";
constexpr std::string_view kPeftPrefix = "base_model.model.";
/// What is a run's result, and what else it writes into its folder as it goes, beside pictures.
constexpr std::string_view kResultFiles[] = {
    kTrainerStateFile,  kAdapterWeightsFile, kAdapterConfigFile,  "README.md",
    "all_results.json", "eval_results.json", "train_results.json"};
constexpr std::string_view kRecords[] = {"trainer_log.jsonl", "training_progress", "runs"};

std::string file_text(const Json& json) { return json.dump_sorted(2) + "\n"; }

UserError wrong_checkpoint(const fs::path& path, const std::string& what) {
  return UserError(cat(path.string(), ": ", what), ExitCode::wrong_checkpoint);
}

std::vector<std::int64_t> extents(const Shape& shape) {
  std::vector<std::int64_t> out;
  for (int axis = 0; axis < shape.rank(); ++axis) out.push_back(shape[axis]);
  return out;
}

/// UserError (wrong_checkpoint): never passed over for an older one without a word, nor trained over.
UserError newer_checkpoint(const fs::path& path) {
  return wrong_checkpoint(path,
                          "a newer release of this program wrote this checkpoint; go on with that "
                          "release, or choose another one with --resume CHECKPOINT");
}

/// A flat f32 tensor as the host reads it: where it is on the CPU, else a copy.
class OnHost {
 public:
  OnHost(Stream& stream, ConstTensor flat) {
    if (stream.on_cuda()) {
      copy_.resize(std::size_t(flat.elements()));
      stream.copy(Tensor(copy_.data(), flat.shape(), DType::f32), flat);
    }
    stream.synchronize();
    elements_ = stream.on_cuda() ? std::span<const float>(copy_) : flat.values<float>();
  }
  OnHost(const OnHost&) = delete;
  OnHost& operator=(const OnHost&) = delete;
  std::span<const float> elements() const { return elements_; }

 private:
  std::vector<float> copy_;
  std::span<const float> elements_;
};

/// One tensor a name, each a part of the flat `values`, which outlives the writer.
void add_parts(SafetensorsWriter& writer, const ParamSet& params, std::string_view prefix,
               std::span<const float> values) {
  for (const Param& param : params.params())
    for (const std::string& name : {param.name, param.second_name})
      if (!name.empty())
        writer.add_f32(cat(prefix, name), extents(param.value.shape()),
                       values.subspan(std::size_t(flat_offset(params, param)),
                                      std::size_t(param.value.elements())));
}

/// UserError (wrong_checkpoint) unless the file has the tensors `prefix`NAME in their shapes.
void check_parts(const SafetensorsFile& file, const ParamSet& params, std::string_view prefix) {
  for (const Param& param : params.params()) {
    const std::string name = cat(prefix, param.name);
    const TensorEntry* entry = file.find(name);
    if (!entry || entry->shape != extents(param.value.shape()))
      throw wrong_checkpoint(
          file.description(),
          cat("tensor ", printable(name, 200), ": expected shape ", param.value.shape().text(),
              ", found ", entry ? entry->shape_text() : "none",
              "; the checkpoint is of another model or adapter"));
  }
}

/// The tensors `prefix`NAME of a checked file, into the flat buffer `out`.
void read_parts(const SafetensorsFile& file, const ParamSet& params, std::string_view prefix,
                std::span<float> out) {
  for (const Param& param : params.params())
    file.read_f32(
        file.at(cat(prefix, param.name)), 0,
        out.subspan(std::size_t(flat_offset(params, param)), std::size_t(param.value.elements())));
}

/// The same into a tensor that keeps its values if the file cannot be read.
void read_whole_parts(Stream& stream, const SafetensorsFile& file, const ParamSet& params,
                      std::string_view prefix, Tensor flat) {
  std::vector<float> values(std::size_t(flat.elements()));
  read_parts(file, params, prefix, values);
  stream.copy(flat, ConstTensor(values.data(), flat.shape(), DType::f32));
  stream.synchronize();
}

/// The same into a tensor whose values are lost if the file cannot be read: no copy on the CPU.
void restore_parts(Stream& stream, const SafetensorsFile& file, const ParamSet& params,
                   std::string_view prefix, Tensor flat) {
  if (stream.on_cuda()) return read_whole_parts(stream, file, params, prefix, flat);
  stream.synchronize();
  read_parts(file, params, prefix, flat.values<float>());
}

StoredType stored_type(const AdamW::State& state) {
  return state.tensor.dtype() == DType::u8 ? StoredType::u8 : StoredType::f32;
}

/// Written from where it lies on the CPU, through a copy from another device.
void add_state(Stream& stream, SafetensorsWriter& writer, const AdamW::State& state) {
  const Tensor tensor = state.tensor;
  writer.add(state.name, stored_type(state), extents(tensor.shape()),
             [&stream, tensor](const ByteSink& sink) {
               std::vector<std::byte> copy(stream.on_cuda() ? tensor.bytes() : 0);
               if (stream.on_cuda())
                 stream.copy(Tensor(copy.data(), tensor.shape(), tensor.dtype()), tensor);
               stream.synchronize();
               sink(stream.on_cuda()
                        ? std::span<const std::byte>(copy)
                        : std::span(static_cast<const std::byte*>(tensor.data()), tensor.bytes()));
             });
}

/// UserError (wrong_checkpoint) unless the file has the tensor in its shape and type.
void check_state(const SafetensorsFile& file, const AdamW::State& state) {
  const TensorEntry* entry = file.find(state.name);
  if (entry && entry->shape == extents(state.tensor.shape()) && entry->type == stored_type(state))
    return;
  throw wrong_checkpoint(
      file.description(),
      cat("tensor ", printable(state.name, 200), ": expected ", name_of(stored_type(state)), " ",
          state.tensor.shape().text(), ", found ",
          entry ? cat(name_of(entry->type), " ", entry->shape_text()) : "none",
          "; the checkpoint is of another model, adapter or optimizer"));
}

/// The tensor of a checked file.
void restore_state(Stream& stream, const SafetensorsFile& file, const AdamW::State& state) {
  std::vector<std::byte> values(state.tensor.bytes());
  file.read_bytes(file.at(state.name), values);
  stream.copy(state.tensor, ConstTensor(values.data(), state.tensor.shape(), state.tensor.dtype()));
  stream.synchronize();
}

void write_tensors(AtomicFolder& folder, std::string_view name, const SafetensorsWriter& writer) {
  folder.write(std::string(name), writer.size(), [&](const ByteSink& sink) { writer.write(sink); });
}

Json read_json(const fs::path& path) { return Json::parse(read_text_file(path), path.string()); }

void collect_differences(const Json* saved, const Json* present, const std::string& path,
                         std::vector<Difference>& out) {
  if (saved && present && *saved == *present) return;
  const bool objects =
      (!saved || saved->is_object()) && (!present || present->is_object()) && (saved || present);
  if (!objects) {
    const auto text = [](const Json* value) {
      return value ? printable(value->dump(), 120) : std::string("nothing");
    };
    out.push_back(
        {path, cat(path, ": the checkpoint has ", text(saved), ", this run ", text(present))});
    return;
  }
  const auto child = [&](const std::string& key) {
    collect_differences(saved ? saved->find(key) : nullptr, present ? present->find(key) : nullptr,
                        path.empty() ? key : path + "." + key, out);
  };
  if (saved)
    for (const auto& [key, value] : saved->as_object(path)) child(key);
  if (present)
    for (const auto& [key, value] : present->as_object(path))
      if (!saved || !saved->find(key)) child(key);
}

bool accepted(const std::string& name, const std::vector<std::string>& accept) {
  return std::ranges::any_of(
      accept, [&](const std::string& one) { return name == one || name.starts_with(one + "."); });
}

/// What to do about the differences, by their names. Settings of training may change on the way;
/// with other data, another base or another adapter it is not the same training any more.
std::string advice(const std::vector<std::string>& names) {
  const bool settings = std::ranges::all_of(names, [](const std::string& name) {
    const bool of_moments = name == "training.optim";  // which would have no place
    return (name.starts_with("training.") && !of_moments) || name.starts_with("metrics") ||
           name.starts_with("eval_data") || name == "device" || name == "compute_type";
  });
  if (!settings)
    return "Undo the changes, or start anew without --resume (lora.init_from begins with the "
           "checkpoint's adapter).";
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return cat(
      "Undo the changes, start anew without --resume, or go on with them: "
      "training.accept_changes=[",
      list, "]");
}

/// The differences that were accepted. UserError (wrong_checkpoint) lists the others.
std::vector<std::string> check_identity(const fs::path& checkpoint, const Json& saved,
                                        const Expected& expected) {
  std::vector<std::string> taken_over, names;
  std::string list;
  for (const Difference& one : identity_differences(saved, expected.identity)) {
    if (accepted(one.name, expected.accept)) {
      taken_over.push_back(one.text);
      continue;
    }
    list += "\n  " + one.text;
    names.push_back(one.name);
  }
  if (list.empty()) return taken_over;
  throw wrong_checkpoint(checkpoint,
                         cat("this checkpoint belongs to another run:", list, "\n", advice(names)));
}

}  // namespace

std::vector<std::int64_t> checkpoint_steps(const fs::path& folder) {
  std::vector<std::int64_t> steps;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kPrefix) || !entry->is_directory(error)) continue;
    std::int64_t step = 0;
    const char* last = name.data() + name.size();
    const auto [stop, problem] = std::from_chars(name.data() + kPrefix.size(), last, step);
    if (problem == std::errc() && stop == last && step >= 0 && name == cat(kPrefix, step))
      steps.push_back(step);
  }
  std::ranges::sort(steps);
  return steps;
}

std::vector<Difference> identity_differences(const Json& saved, const Json& present) {
  std::vector<Difference> out;
  collect_differences(&saved, &present, "", out);
  return out;
}

CheckpointStore::CheckpointStore(Stream& stream, fs::path output_dir, std::optional<int> keep_last,
                                 AdapterFiles adapter)
    : stream_(stream),
      output_dir_(std::move(output_dir)),
      keep_last_(keep_last),
      adapter_(std::move(adapter)) {
  if (keep_last_ && *keep_last_ < 1) keep_last_ = std::nullopt;  // transformers: 0 keeps all
}

fs::path CheckpointStore::path_of(std::int64_t step) const {
  return output_dir_ / cat(kPrefix, step);
}

void CheckpointStore::check_space(const AdamW& optimizer, bool resumed, std::int64_t saves) const {
  constexpr double kMega = 1e6;
  double one = double(optimizer.params().values().bytes());
  for (const AdamW::State& state : optimizer.states()) one += double(state.tensor.bytes());
  for (const NamedBytes& file : adapter_.files) one += double(file.bytes.size());
  const std::int64_t keep = keep_last_.value_or(2);
  const std::int64_t present =
      resumed ? std::min(keep, std::int64_t(checkpoint_steps(output_dir_).size())) : 0;
  const std::int64_t more = std::min(keep + 1 - present, saves);
  const double needed = double(more) * one;
  const double free = double(free_bytes(output_dir_));
  if (free >= needed) return;
  throw UserError(
      cat(printable(output_dir_.native(), 512), ": found ", free / kMega,
          " MB free, expected at least ", needed / kMega, " MB for ", more, " checkpoints of ",
          one / kMega, " MB; free some space or lower training.save_total_limit"),
      ExitCode::out_of_resources);
}

void CheckpointStore::save(std::int64_t step, const AdamW& optimizer,
                           const CheckpointState& state) {
  const ParamSet& params = optimizer.params();
  const OnHost values(stream_, params.values());
  AtomicFolder folder(path_of(step));
  SafetensorsWriter weights;
  add_parts(weights, params, kPeftPrefix, values.elements());
  write_tensors(folder, kAdapterWeightsFile, weights);
  folder.write(std::string(kAdapterConfigFile), adapter_config_json(adapter_.config));
  folder.write("README.md", adapter_model_card(adapter_.config));
  for (const NamedBytes& file : adapter_.files) folder.write(file.name, file.bytes);
  SafetensorsWriter moments;
  for (const AdamW::State& each : optimizer.states()) add_state(stream_, moments, each);
  write_tensors(folder, kOptimizerFile, moments);
  folder.write(std::string(kTrainerStateFile), file_text(state.trainer_state));
  folder.write(std::string(kSchedulerFile), file_text(state.scheduler));
  folder.write(std::string(kRngFile), file_text(state.rng_state));
  if (state.scaler) folder.write(std::string(kScalerFile), file_text(*state.scaler));
  folder.commit(
      Json::Object{
          {"format_version", kFormatVersion}, {"step", step}, {"identity", state.identity}},
      IfTaken::replace);
}

void CheckpointStore::rotate(std::optional<std::int64_t> best) {
  if (!keep_last_) return;
  const std::vector<std::int64_t> steps = checkpoint_steps(output_dir_);
  if (steps.empty()) return;
  const auto is_protected = [&](std::int64_t step) { return step == steps.back() || step == best; };
  const std::int64_t to_keep =
      std::max<std::int64_t>(*keep_last_, std::ranges::count_if(steps, is_protected));
  std::int64_t excess = std::int64_t(steps.size()) - to_keep;
  for (const std::int64_t step : steps) {
    if (excess <= 0) return;
    if (is_protected(step)) continue;
    remove_folder_atomically(path_of(step));
    --excess;
  }
}

std::optional<FoundCheckpoint> CheckpointStore::newest_valid(const Say& say) const {
  std::vector<std::int64_t> steps = checkpoint_steps(output_dir_);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const fs::path path = path_of(*step);
    if (written_by_newer_program(path)) throw newer_checkpoint(path);
    const std::optional<std::string> problem = verify_folder(path);
    if (!problem) return FoundCheckpoint{*step, path};
    say(cat("skipping ", path.string(), ": ", *problem));
  }
  return std::nullopt;
}

CheckpointState CheckpointStore::restore(const fs::path& checkpoint, const Expected& expected,
                                         AdamW& optimizer) const {
  std::error_code ignored;
  if (!fs::exists(checkpoint / kManifestFile, ignored))
    throw wrong_checkpoint(checkpoint,
                           "found no manifest.json there, expected a folder checkpoint-STEP that a "
                           "run of this program has saved");
  if (written_by_newer_program(checkpoint)) throw newer_checkpoint(checkpoint);
  if (const auto problem = verify_folder(checkpoint))
    throw wrong_checkpoint(checkpoint, cat("the checkpoint is damaged: ", *problem));
  const Json extra = read_manifest_extra(checkpoint);
  const std::string what = (checkpoint / kManifestFile).string();
  if (extra.at("format_version", what).as_integer(what) > kFormatVersion)
    throw newer_checkpoint(checkpoint);
  std::vector<std::string> taken_over =
      check_identity(checkpoint, extra.at("identity", what), expected);
  const ParamSet& params = optimizer.params();
  const SafetensorsFile weights = open_adapter_weights(checkpoint);
  const SafetensorsFile moments(checkpoint / kOptimizerFile);
  check_parts(weights, params, kPeftPrefix);
  for (const AdamW::State& state : optimizer.states()) check_state(moments, state);
  CheckpointState state{.trainer_state = read_json(checkpoint / kTrainerStateFile),
                        .scheduler = read_json(checkpoint / kSchedulerFile),
                        .rng_state = read_json(checkpoint / kRngFile),
                        .scaler = std::nullopt,
                        .identity = extra.at("identity", what),
                        .accepted = std::move(taken_over)};
  if (fs::exists(checkpoint / kScalerFile)) state.scaler = read_json(checkpoint / kScalerFile);
  restore_parts(stream_, weights, params, kPeftPrefix, params.values());
  for (const AdamW::State& state : optimizer.states()) restore_state(stream_, moments, state);
  return state;
}

void CheckpointStore::restore_adapter(const fs::path& checkpoint, ParamSet& params) const {
  if (const auto problem = verify_folder(checkpoint))
    throw wrong_checkpoint(checkpoint, cat("the checkpoint is damaged: ", *problem));
  const SafetensorsFile weights = open_adapter_weights(checkpoint);
  check_parts(weights, params, kPeftPrefix);
  read_whole_parts(stream_, weights, params, kPeftPrefix, params.values());
}

SetAside CheckpointStore::move_aside(const std::vector<fs::path>& names) const {
  if (names.empty()) return {};
  std::error_code error;
  fs::path place = output_dir_ / "previous_run";
  for (int number = 2; fs::exists(fs::symlink_status(place, error)); ++number)
    place = output_dir_ / cat("previous_run-", number);
  fs::create_directory(place, error);
  SetAside moved{.place = place};
  for (const fs::path& name : names) {
    fs::rename(output_dir_ / name, place / name, error);
    if (error)
      throw DeviceError(cat((output_dir_ / name).string(), ": could not be moved into ",
                            place.string(), ": ", error.message()));
    moved.checkpoints += name.native().starts_with(kPrefix);
  }
  sync_folder(place);
  sync_folder(output_dir_);
  return moved;
}

SetAside CheckpointStore::set_aside_past(std::int64_t step) const {
  std::error_code ignored;
  fs::remove(output_dir_ / kTrainerStateFile, ignored);
  std::vector<fs::path> names;
  for (const std::int64_t each : checkpoint_steps(output_dir_))
    if (each > step) names.emplace_back(cat(kPrefix, each));
  return move_aside(names);
}

SetAside CheckpointStore::set_aside_all(bool logs_alone) const {
  std::vector<fs::path> names, records;
  std::error_code error;
  for (fs::directory_iterator entry(output_dir_, error), end; entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool picture = name.starts_with("training_") && name.ends_with(".png");
    const auto is_one_of = [&](const auto& list) {
      return std::ranges::find(list, name) != std::end(list);
    };
    if (is_one_of(kResultFiles)) names.emplace_back(name);
    if (picture || is_one_of(kRecords)) records.emplace_back(name);
  }
  for (const std::int64_t step : checkpoint_steps(output_dir_))
    names.emplace_back(cat(kPrefix, step));
  if (names.empty() && !logs_alone) return {};
  names.insert(names.end(), records.begin(), records.end());
  return move_aside(names);
}

bool CheckpointStore::adapter_is_whole(const ParamSet& params) const {
  try {
    check_parts(open_adapter_weights(output_dir_), params, kPeftPrefix);
    return fs::exists(output_dir_ / kAdapterConfigFile);
  } catch (const UserError&) {
    return false;
  }
}

void CheckpointStore::export_adapter(const ParamSet& params) const {
  const OnHost values(stream_, params.values());
  SafetensorsWriter weights;
  add_parts(weights, params, kPeftPrefix, values.elements());
  write_safetensors(output_dir_ / kAdapterWeightsFile, weights);
  write_file_atomically(output_dir_ / kAdapterConfigFile, adapter_config_json(adapter_.config));
  write_file_atomically(output_dir_ / "README.md", adapter_model_card(adapter_.config));
  for (const NamedBytes& file : adapter_.files)
    write_file_atomically(output_dir_ / file.name, file.bytes);
}

}  // namespace elenchus

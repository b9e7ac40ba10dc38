#pragma once
// checkpoint-<step> folders of an output folder, and the adapter that is the result of a run.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/peft_adapter.h"
#include "nn/param.h"
#include "train/adamw.h"

namespace elenchus {

/// A small file that goes beside every adapter: tokenizer.json, config.json, ...
struct NamedBytes {
  std::string name;
  std::string bytes;
};

/// What makes an adapter folder usable by other software.
struct AdapterFiles {
  AdapterConfig config;
  std::vector<NamedBytes> files;
};

/// The host part of a checkpoint; the tensors are the optimizer's.
struct CheckpointState {
  Json trainer_state;                      ///< trainer_state.json
  Json scheduler;                          ///< scheduler.json
  Json rng_state;                          ///< rng_state.json
  std::optional<Json> scaler;              ///< scaler.json
  Json identity;                           ///< the run it belongs to, kept in the manifest
  std::vector<std::string> accepted = {};  ///< when restored: differences that were accepted
};

/// What a checkpoint must agree with.
struct Expected {
  const Json& identity;
  /// Members of the identity that may differ, by their dotted names; a name stands for all below
  /// it.
  const std::vector<std::string>& accept;
};

/// One way in which two runs differ.
struct Difference {
  std::string name;  ///< "training.learning_rate"
  std::string text;  ///< "training.learning_rate: the checkpoint has 0.0001, this run 0.0002"
};

/// What was moved out of the way.
struct SetAside {
  std::int64_t checkpoints = 0;
  std::filesystem::path place;  ///< empty: nothing was
};

struct FoundCheckpoint {
  std::int64_t step = 0;
  std::filesystem::path path;
};

/// Takes one line of text for the user.
using Say = std::function<void(const std::string&)>;

/// Saves and restores. A checkpoint exists whole and verified, or not at all.
class CheckpointStore {
 public:
  /// The stream outlives it. `keep_last`: newest checkpoints that rotation leaves; none: all.
  CheckpointStore(Stream& stream, std::filesystem::path output_dir, std::optional<int> keep_last,
                  AdapterFiles adapter);
  const std::filesystem::path& output_dir() const { return output_dir_; }
  std::filesystem::path path_of(std::int64_t step) const;
  /// UserError (out_of_resources) unless the disk has room for the checkpoints that rotation leaves
  /// (two, if it leaves all) and the one being written, of which at most `saves` are still to be
  /// written. `resumed`: those there are in place already.
  void check_space(const AdamW& optimizer, bool resumed, std::int64_t saves) const;
  /// Writes checkpoint-<step>. One of that name stays until the new one takes its place.
  /// DeviceError: then nothing of the new one is left, or all of it if only its last sync failed.
  void save(std::int64_t step, const AdamW& optimizer, const CheckpointState& state);
  /// Deletes the oldest checkpoints beyond the limit, never the newest, and never `best`.
  void rotate(std::optional<std::int64_t> best);
  /// The checkpoint of the highest step that verifies; each one skipped is reported. UserError
  /// (wrong_checkpoint): one before it is of a newer format.
  std::optional<FoundCheckpoint> newest_valid(const Say& say) const;
  /// Reads parameters and moments back, and gives the rest. UserError (wrong_checkpoint): damaged,
  /// of a newer format, of another run (each difference that is not accepted is listed), or with
  /// tensors that are not this run's.
  CheckpointState restore(const std::filesystem::path& checkpoint, const Expected& expected,
                          AdamW& optimizer) const;
  /// The adapter's values alone.
  void restore_adapter(const std::filesystem::path& checkpoint, ParamSet& params) const;
  /// Moves every checkpoint past `step` into previous_run/, or previous_run-2/ and so on if that
  /// exists, so that what is saved from here on is the newest, and removes the trainer_state.json
  /// that says a run is done. DeviceError.
  SetAside set_aside_past(std::int64_t step) const;
  /// The same with every checkpoint, and an earlier run's adapter, results, pictures and logs
  /// besides. Logs and pictures alone are moved if `logs_alone`; else they may be written over.
  SetAside set_aside_all(bool logs_alone) const;
  /// Whether the exported adapter is there with its configuration and all of these parameters.
  bool adapter_is_whole(const ParamSet& params) const;
  /// Writes the adapter and its companions into output_dir, each file in one step, weights first.
  void export_adapter(const ParamSet& params) const;

 private:
  SetAside move_aside(const std::vector<std::filesystem::path>& names) const;

  Stream& stream_;
  std::filesystem::path output_dir_;
  std::optional<int> keep_last_;
  AdapterFiles adapter_;
};

/// The steps of all checkpoint-<step> folders in `folder`, ascending.
std::vector<std::int64_t> checkpoint_steps(const std::filesystem::path& folder);

/// The differences between two runs' identities. Empty if they are equal.
std::vector<Difference> identity_differences(const Json& saved, const Json& present);

}  // namespace elenchus

#pragma once
// Folders that exist whole and verifiable, or not at all, whatever happens to the process or the
// power.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/output_file.h"

namespace elenchus {

inline constexpr std::string_view kManifestFile = "manifest.json";

/// What commit() does where the final place is taken.
enum class IfTaken { fail, replace };

/// A folder being written beside its final place. commit() makes it appear there in one step;
/// without it, everything written is removed again.
class AtomicFolder {
 public:
  /// Creates NAME.tmp-... beside `final_path`. DeviceError.
  explicit AtomicFolder(const std::filesystem::path& final_path);
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  ~AtomicFolder();

  /// Writes a new file, syncs it and remembers its size and SHA-256. `name` is a plain file name.
  /// DeviceError.
  void write(const std::string& name, std::string_view bytes);
  /// The same with bytes that `produce` gives to a sink; `expected_bytes` (0: unknown) are reserved
  /// first.
  void write(const std::string& name, std::uint64_t expected_bytes,
             const std::function<void(const ByteSink&)>& produce);
  /// Writes the manifest with `extra` in it, reads everything back, and moves the folder to its
  /// final place in one step. What was there stays until then, and is removed afterwards
  /// (`replace`). DeviceError: it could not, or the place is taken (`fail`); what was there stays.
  void commit(const Json& extra = {}, IfTaken if_taken = IfTaken::fail);

 private:
  struct File {
    std::string name;
    std::uint64_t bytes;
    std::string sha256;
  };
  std::filesystem::path final_path_;
  std::filesystem::path temporary_path_;  // empty after commit
  std::vector<File> files_;
};

/// Empty if every file that the folder's manifest lists is there with its size and SHA-256; else
/// what is wrong.
std::optional<std::string> verify_folder(const std::filesystem::path& folder);

/// Whether the folder's manifest is of a later format than this program's, so that it cannot tell
/// whether the folder is whole.
bool written_by_newer_program(const std::filesystem::path& folder);

/// The `extra` given to commit(). InputError if there is no manifest or it cannot be read.
Json read_manifest_extra(const std::filesystem::path& folder);

/// Moves the folder out of its place in one step, then deletes it. DeviceError. Nothing happens if
/// there is none.
void remove_folder_atomically(const std::filesystem::path& folder);

/// Deletes what interrupted runs left in `parent`: folders named checkpoint-STEP.tmp-PID-TIME,
/// checkpoint-STEP.del-PID-TIME or checkpoint-STEP.old-PID-TIME and files named NAME.tmp-PID-TIME,
/// STEP, PID and TIME being numbers. An .old- folder whose place is free is put back there. For the
/// holder of the folder's lock only.
void remove_leftovers(const std::filesystem::path& parent);

/// The bytes that this process may still write on the folder's disk. DeviceError.
std::uintmax_t free_bytes(const std::filesystem::path& folder);

}  // namespace elenchus

#pragma once
// One process at a time in an output folder.

#include <filesystem>

namespace elenchus {

/// Holds FOLDER/.lock while it lives. The kernel frees it when the process ends, however it ends.
class FolderLock {
 public:
  /// Creates the folder if need be. UserError (folder_in_use) names the process and host that hold
  /// it; DeviceError if the folder cannot be written.
  explicit FolderLock(const std::filesystem::path& folder);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  int descriptor_ = -1;
};

}  // namespace elenchus

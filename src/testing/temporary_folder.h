#pragma once
// A folder of a test's own.

#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace elenchus {

/// An empty folder in the system's place for temporary files, removed with all in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "elenchus-XXXXXX").native();
    expect(::mkdtemp(name.data()) != nullptr, "could not create a temporary folder");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace elenchus

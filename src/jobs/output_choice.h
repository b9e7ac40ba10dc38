#pragma once
// Where results go: known to be writable, and none of what is read, before any work begins.

#include <filesystem>
#include <string_view>
#include <vector>

namespace elenchus {

/// The file that a command's `option` names, links followed. UserError: it is a folder, a device or
/// a pipe; its folder is not there or takes no file; it is one of `read`, the files (or the folders
/// with the files) that the command reads and would lose. DeviceError: the disk fails.
std::filesystem::path choose_output_file(const std::filesystem::path& asked,
                                         std::string_view option,
                                         const std::vector<std::filesystem::path>& read);

/// Makes the folder that the recipe's `key` names, with all above it. UserError: that is no place
/// for a folder that can be written to. DeviceError: the disk fails.
void make_output_folder(const std::filesystem::path& folder, std::string_view key);

}  // namespace elenchus

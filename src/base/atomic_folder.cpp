#include "base/atomic_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kManifestVersion = 1;
constexpr std::uint64_t kMaxManifestBytes = 1 << 26;
constexpr std::string_view kAside = ".old-";  // a folder that steps aside for a moment

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.find('/') == name.npos &&
         name.find('\0') == name.npos && name != "." && name != "..";
}

/// Moves a folder to a name that must be free.
void move_to_free_name(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return;
  const bool unknown = errno == EINVAL || errno == ENOSYS;
  if (!unknown) throw file_error(cat("move ", printable(from.native(), 512), " to"), to, errno);
  // Some network file systems cannot refuse to replace. An empty folder may be replaced then,
  // nothing else.
  if (::rename(from.c_str(), to.c_str()) != 0)
    throw file_error(cat("move ", printable(from.native(), 512), " to"), to, errno);
}

/// Swaps the names of two folders; false where `to` does not exist.
bool swap_names(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno == ENOENT) return false;
  const bool unknown = errno == EINVAL || errno == ENOSYS;
  if (!unknown) throw file_error(cat("move ", printable(from.native(), 512), " to"), to, errno);
  // Some network file systems cannot swap. There the old folder steps aside for a moment.
  const fs::path aside = with_nonce(to, kAside);
  if (::rename(to.c_str(), aside.c_str()) != 0) {
    if (errno == ENOENT) return false;
    throw file_error("move aside", to, errno);
  }
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    ::rename(aside.c_str(), to.c_str());
    throw file_error(cat("move ", printable(from.native(), 512), " to"), to, error);
  }
  ::rename(aside.c_str(), from.c_str());
  return true;
}

/// Whether `name` begins with a number, which is then cut off.
bool take_number(std::string_view& name) {
  const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  name.remove_prefix(digits);
  return digits > 0;
}

bool take(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

/// Whether all of `name` is PID-TIME, as with_nonce() makes it.
bool is_nonce(std::string_view name) {
  return take_number(name) && take(name, "-") && take_number(name) && name.empty();
}

/// Whether with_nonce() made the name, for a checkpoint.
bool is_leftover_folder(std::string_view name) {
  return take(name, "checkpoint-") && take_number(name) &&
         (take(name, ".tmp-") || take(name, ".del-") || take(name, kAside)) && is_nonce(name);
}

/// Puts a folder back that had stepped aside for one that never came. False: it was not so.
bool put_back(const fs::path& leftover) {
  const std::string name = leftover.filename().native();
  const std::size_t mark = name.find(kAside);
  if (mark == name.npos) return false;
  const fs::path place = leftover.parent_path() / name.substr(0, mark);
  return !fs::exists(place) && ::rename(leftover.c_str(), place.c_str()) == 0;
}

/// Whether write_file_atomically() made the name.
bool is_leftover_file(std::string_view name) {
  constexpr std::string_view kMark = ".tmp-";
  const std::size_t mark = name.rfind(kMark);
  return mark != name.npos && mark > 0 && is_nonce(name.substr(mark + kMark.size()));
}

/// The hash of a manifest's members other than the hash itself.
std::string manifest_hash(const Json& manifest) {
  Json rest = Json::Object{};
  for (const auto& [key, value] : manifest.as_object("manifest"))
    if (key != "sha256") rest.set(key, value);
  return sha256_hex(rest.dump_sorted());
}

/// The manifest, whose members are those it was written with, in whatever format.
Json read_whole_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifestFile;
  const std::string source = printable(path.native(), 512);
  Json manifest = Json::parse(read_text_file(path, kMaxManifestBytes), source);
  if (manifest.at("sha256", source).as_string(source) != manifest_hash(manifest))
    throw InputError(cat(source, ": sha256: found a value that is not the hash of the rest"));
  return manifest;
}

std::int64_t format_version(const Json& manifest, const fs::path& folder) {
  const std::string source = printable((folder / kManifestFile).native(), 512);
  return manifest.at("format_version", source).as_integer(source);
}

Json read_manifest(const fs::path& folder) {
  Json manifest = read_whole_manifest(folder);
  const std::int64_t version = format_version(manifest, folder);
  if (version < 1 || version > kManifestVersion)
    throw InputError(cat(printable((folder / kManifestFile).native(), 512),
                         ": format_version: found ", version, ", expected 1 to ", kManifestVersion,
                         "; a newer program wrote this folder"));
  return manifest;
}

/// What differs between a file and its line in the manifest.
std::optional<std::string> verify_file(const fs::path& path, std::uint64_t bytes,
                                       const std::string& sha256) {
  const InputFile file(path);
  if (file.size() != bytes)
    return cat(printable(path.native(), 512), ": found ", file.size(), " bytes, expected ", bytes);
  Sha256 hash;
  std::vector<std::byte> piece(std::min<std::uint64_t>(bytes, 1 << 20));
  for (std::uint64_t done = 0; done < bytes; done += piece.size()) {
    piece.resize(std::min<std::uint64_t>(piece.size(), bytes - done));
    file.read(done, piece);
    hash.update(piece);
  }
  if (hash.hex() == sha256) return std::nullopt;
  return cat(printable(path.native(), 512), ": found the SHA-256 ", hash.hex(), ", expected ",
             printable(sha256));
}

}  // namespace

AtomicFolder::AtomicFolder(const fs::path& final_path)
    : final_path_(final_path), temporary_path_(with_nonce(final_path, ".tmp-")) {
  if (::mkdir(temporary_path_.c_str(), 0777) != 0)
    throw file_error("create the folder", temporary_path_, errno);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!temporary_path_.empty()) fs::remove_all(temporary_path_, ignored);
}

void AtomicFolder::write(const std::string& name, std::string_view bytes) {
  write(name, bytes.size(),
        [bytes](const ByteSink& sink) { sink(std::as_bytes(std::span(bytes))); });
}

void AtomicFolder::write(const std::string& name, std::uint64_t expected_bytes,
                         const std::function<void(const ByteSink&)>& produce) {
  expect(is_plain_name(name), "AtomicFolder: not a plain file name");
  expect(!temporary_path_.empty(), "AtomicFolder: written after commit");
  Sha256 hash;
  OutputFile file(temporary_path_ / name, expected_bytes);
  produce([&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    file.write(bytes);
  });
  file.finish();
  files_.push_back({name, file.size(), hash.hex()});
}

void AtomicFolder::commit(const Json& extra, IfTaken if_taken) {
  Json::Array files;
  for (const File& file : files_)
    files.push_back(Json::Object{{"bytes", Json(std::int64_t(file.bytes))},
                                 {"name", Json(file.name)},
                                 {"sha256", Json(file.sha256)}});
  Json manifest = Json::Object{
      {"extra", extra}, {"files", std::move(files)}, {"format_version", Json(kManifestVersion)}};
  manifest.set("sha256", manifest_hash(manifest));
  write(std::string(kManifestFile), manifest.dump(2) + "\n");
  sync_folder(temporary_path_);
  if (const auto wrong = verify_folder(temporary_path_))
    throw DeviceError(cat("what was written could not be read back: ", *wrong));
  const bool replaced = if_taken == IfTaken::replace && swap_names(temporary_path_, final_path_);
  if (!replaced) move_to_free_name(temporary_path_, final_path_);
  const fs::path old = std::exchange(temporary_path_, {});
  sync_folder(parent_of(final_path_));
  if (!replaced) return;
  // The new folder is in its place whether or not this works; remove_leftovers() tries again.
  std::error_code ignored;
  fs::remove_all(old, ignored);
}

std::optional<std::string> verify_folder(const fs::path& folder) {
  try {
    const Json manifest = read_manifest(folder);
    const std::string source = printable((folder / kManifestFile).native(), 512);
    for (const Json& file : manifest.at("files", source).as_array(source)) {
      const std::string& name = file.at("name", source).as_string(source);
      if (!is_plain_name(name))
        return cat(source, ": found the file name '", printable(name), "', expected a plain name");
      const std::int64_t bytes = file.at("bytes", source).as_integer(source);
      const std::string& sha256 = file.at("sha256", source).as_string(source);
      if (const auto wrong = verify_file(folder / name, std::uint64_t(bytes), sha256)) return wrong;
    }
  } catch (const UserError& error) {
    return error.what();
  }
  return std::nullopt;
}

bool written_by_newer_program(const fs::path& folder) {
  try {
    return format_version(read_whole_manifest(folder), folder) > kManifestVersion;
  } catch (const UserError&) {
    return false;
  }
}

Json read_manifest_extra(const fs::path& folder) {
  const Json manifest = read_manifest(folder);
  return manifest.at("extra", printable((folder / kManifestFile).native(), 512));
}

void remove_folder_atomically(const fs::path& folder) {
  const fs::path doomed = with_nonce(folder, ".del-");
  if (::rename(folder.c_str(), doomed.c_str()) != 0) {
    if (errno == ENOENT) return;
    throw file_error("remove", folder, errno);
  }
  sync_folder(parent_of(folder));
  std::error_code error;
  fs::remove_all(doomed, error);
  if (error) throw file_error("remove", doomed, error.value());
}

void remove_leftovers(const fs::path& parent) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator entry(parent, error), end; entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().native();
    const fs::file_type type = entry->symlink_status(error).type();
    if ((type == fs::file_type::directory && is_leftover_folder(name)) ||
        (type == fs::file_type::regular && is_leftover_file(name)))
      leftovers.push_back(entry->path());
  }
  for (const fs::path& path : leftovers)
    if (!put_back(path)) fs::remove_all(path, error);
}

std::uintmax_t free_bytes(const fs::path& folder) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error) throw file_error("read the free space of", folder, error.value());
  return space.available;
}

}  // namespace elenchus

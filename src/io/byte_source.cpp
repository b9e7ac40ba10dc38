#include "io/byte_source.h"

#include <cstring>
#include <utility>

#include "base/error.h"

namespace elenchus {
namespace {

class FileBytes : public ByteSource {
 public:
  explicit FileBytes(const std::filesystem::path& path) : file_(path) {}
  std::string description() const override { return printable(file_.path().native(), 512); }
  std::uint64_t size() const override { return file_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    file_.read(offset, out);
  }

 private:
  InputFile file_;
};

class MemoryBytes : public ByteSource {
 public:
  MemoryBytes(std::vector<std::byte> bytes, std::string description)
      : bytes_(std::move(bytes)), description_(std::move(description)) {}
  std::string description() const override { return description_; }
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      throw InputError(cat(description_, ": the file ends at byte ", bytes_.size(), ", expected ",
                           out.size(), " bytes from byte ", offset));
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }

 private:
  std::vector<std::byte> bytes_;
  std::string description_;
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path) {
  return std::make_unique<FileBytes>(path);
}

std::unique_ptr<ByteSource> memory_bytes(std::vector<std::byte> bytes, std::string description) {
  return std::make_unique<MemoryBytes>(std::move(bytes), std::move(description));
}

}  // namespace elenchus

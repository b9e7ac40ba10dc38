#include "io/gguf.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>

#include "base/error.h"
#include "io/gguf_fuzz.h"
#include "testing/fuzz_replay.h"

namespace elenchus {
namespace {

constexpr std::uint32_t kU8 = 0, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9,
                        kU64 = 10, kI64 = 11, kF64 = 12;
constexpr std::uint32_t kTypeF32 = 0, kTypeQ4_0 = 2;

/// Builds a file piece by piece, right or wrong.
class Bytes {
 public:
  template <class T>
  Bytes& number(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& u32(std::uint32_t value) { return number(value); }
  Bytes& u64(std::uint64_t value) { return number(value); }
  Bytes& raw(std::string_view text) {
    text_ += text;
    return *this;
  }
  Bytes& text(std::string_view text) { return u64(text.size()).raw(text); }
  Bytes& header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    return raw("GGUF").u32(version).u64(tensors).u64(keys);
  }
  Bytes& tensor(std::string_view name, std::vector<std::uint64_t> extents, std::uint32_t type,
                std::uint64_t offset) {
    text(name).u32(std::uint32_t(extents.size()));
    for (const std::uint64_t extent : extents) u64(extent);
    return u32(type).u64(offset);
  }
  Bytes& align(std::size_t alignment = 32) {
    text_.append((alignment - text_.size() % alignment) % alignment, '\0');
    return *this;
  }
  Bytes& zeros(std::size_t count) { return raw(std::string(count, '\0')); }
  const std::string& str() const { return text_; }
  std::unique_ptr<GgufFile> open() const {
    const auto* begin = reinterpret_cast<const std::byte*>(text_.data());
    return std::make_unique<GgufFile>(memory_bytes({begin, begin + text_.size()}, "f"));
  }

 private:
  std::string text_;
};

std::string error_of(const Bytes& bytes) {
  try {
    (void)bytes.open();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

void check(const std::string& file) {
  check_gguf_reader(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
}

/// One key of every kind, two tensors, 32 bytes of data each.
Bytes small_file() {
  Bytes file;
  file.header(2, 9);
  file.text("general.architecture").u32(kString).text("llama");
  file.text("llama.block_count").u32(kU32).u32(30);
  file.text("llama.eps").u32(kF32).number(1e-5f);
  file.text("negative").u32(kI64).number(std::int64_t{-5});
  file.text("large").u32(kU64).u64(UINT64_MAX);
  file.text("yes").u32(kBool).number(std::uint8_t{1});
  file.text("tokens").u32(kArray).u32(kString).u64(2).text("a").text("\xFF");
  file.text("scores").u32(kArray).u32(kF32).u64(2).number(0.5f).number(-1.0f);
  file.text("types").u32(kArray).u32(kI32).u64(3).u32(1).u32(3).number(-7);
  file.tensor("w", {4, 2}, kTypeF32, 0).tensor("q", {32}, kTypeQ4_0, 32);
  file.align().number(1.0f).number(2.0f).zeros(24);
  return file.raw(std::string("\x00\x3C", 2)).raw(std::string(16, '\x19'));
}

TEST(Gguf, ReadsMetadata) {
  const auto file = small_file().open();
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->metadata().size(), 9u);
  EXPECT_EQ(file->get_string("general.architecture"), "llama");
  EXPECT_EQ(file->get_u64("llama.block_count"), 30u);
  EXPECT_EQ(file->get_f32("llama.eps"), 1e-5f);
  EXPECT_EQ(file->get_u64("large"), UINT64_MAX);
  EXPECT_EQ(file->get_bool("yes"), true);
  EXPECT_EQ(*file->get_string_array("tokens"), (std::vector<std::string>{"a", "\xFF"}));
  EXPECT_EQ(*file->get_f32_array("scores"), (std::vector<float>{0.5f, -1.0f}));
  EXPECT_EQ(*file->get_i32_array("types"), (std::vector<std::int32_t>{1, 3, -7}));
}

TEST(Gguf, SaysWhenAValueIsAnother) {
  const auto file = small_file().open();
  EXPECT_EQ(file->get_string("none"), std::nullopt);
  EXPECT_EQ(file->get_u64("none"), std::nullopt);
  EXPECT_EQ(file->get_string_array("none"), nullptr);
  EXPECT_EQ(file->get_i32_array("none"), std::nullopt);
  EXPECT_THROW((void)file->get_string("yes"), InputError);
  EXPECT_THROW((void)file->get_u64("negative"), InputError);
  EXPECT_THROW((void)file->get_u64("llama.eps"), InputError);
  EXPECT_THROW((void)file->get_f32("llama.block_count"), InputError);
  EXPECT_THROW((void)file->get_bool("large"), InputError);
  EXPECT_THROW((void)file->get_f32_array("tokens"), InputError);
  EXPECT_THROW((void)file->get_i32_array("scores"), InputError);
}

TEST(Gguf, ReadsTensorsWithTheSlowestExtentFirst) {
  const auto file = small_file().open();
  const TensorEntry& plain = file->at("w");
  EXPECT_EQ(plain.shape, (std::vector<std::int64_t>{2, 4}));
  std::vector<float> values(8);
  file->read_f32(plain, 0, values);
  EXPECT_EQ(values, (std::vector<float>{1, 2, 0, 0, 0, 0, 0, 0}));
  std::vector<float> blocks(32);
  file->read_f32(file->at("q"), 0, blocks);
  EXPECT_EQ(blocks[0], 1);    // 9 - 8
  EXPECT_EQ(blocks[16], -7);  // 1 - 8
  EXPECT_THROW(file->read_f32(file->at("q"), 1, std::span(blocks).first(31)), InternalError);
}

TEST(Gguf, RefusesEveryTruncation) {
  const Bytes whole = small_file();
  for (std::size_t size = 0; size < whole.str().size(); ++size)
    EXPECT_NE(error_of(Bytes().raw(std::string_view(whole.str()).substr(0, size))), "accepted")
        << size;
}

TEST(Gguf, SurvivesEveryChangedByte) {
  const std::string file = small_file().str();
  for (std::size_t at = 0; at < file.size(); ++at) {
    std::string changed = file;
    for (int value = 0; value < 256; value += at < 64 ? 1 : 3) {
      changed[at] = char(value);
      ASSERT_NO_THROW(check(changed)) << at << " " << value;
    }
  }
}

TEST(Gguf, RefusesMalformedHeaders) {
  EXPECT_NE(error_of(Bytes().raw("GGML").u32(3).u64(0).u64(0)).find("expected 'GGUF'"),
            std::string::npos);
  for (const std::uint32_t version : {0u, 1u, 4u, 0x03000000u})
    EXPECT_NE(error_of(Bytes().header(0, 0, version)).find("version"), std::string::npos);
  EXPECT_EQ(error_of(Bytes().header(0, 0, 2)), "accepted");
  for (const std::uint64_t count :
       {std::uint64_t{1}, std::uint64_t{65'537}, std::uint64_t{1} << 63, UINT64_MAX}) {
    EXPECT_NE(error_of(Bytes().header(0, count)).find("metadata keys"), std::string::npos);
    EXPECT_NE(error_of(Bytes().header(count, 0)).find("tensors, expected"), std::string::npos);
  }
  EXPECT_NE(error_of(Bytes().header(0, 65'537).zeros(20 * 65'537)).find("at most 65536"),
            std::string::npos);
}

Bytes with_value(const Bytes& value) {
  return Bytes().header(0, 1).text("k").raw(value.str()).zeros(64);
}

TEST(Gguf, RefusesMalformedValues) {
  const Bytes bad[] = {
      with_value(Bytes().u32(13)),
      with_value(Bytes().u32(UINT32_MAX)),
      with_value(Bytes().u32(kBool).number(std::uint8_t{2})),
      with_value(Bytes().u32(kString).u64(65)),
      with_value(Bytes().u32(kString).u64(UINT64_MAX)),
      with_value(Bytes().u32(kArray).u32(kArray).u64(1)),
      with_value(Bytes().u32(kArray).u32(13).u64(1)),
      with_value(Bytes().u32(kArray).u32(kF32).u64(17)),
      with_value(Bytes().u32(kArray).u32(kU8).u64(65)),
      with_value(Bytes().u32(kArray).u32(kF64).u64(std::uint64_t{1} << 61)),
      with_value(Bytes().u32(kArray).u32(kString).u64(9)),
      with_value(Bytes().u32(kArray).u32(kU64).u64(1).u64(UINT64_MAX)),
      Bytes().header(0, 1).u64(0).u32(kU8).zeros(64),
      Bytes().header(0, 1).text("\xFF").u32(kU8).zeros(64),
      Bytes().header(0, 2).text("k").u32(kU8).zeros(1).text("k").u32(kU8).zeros(64),
  };
  for (const Bytes& bytes : bad) EXPECT_NE(error_of(bytes), "accepted") << &bytes - bad;
}

Bytes with_tensor(std::vector<std::uint64_t> extents, std::uint32_t type, std::uint64_t offset,
                  std::size_t data) {
  return Bytes().header(1, 0).tensor("t", std::move(extents), type, offset).align().zeros(data);
}

TEST(Gguf, RefusesTensorsThatDoNotFit) {
  constexpr std::uint64_t k2To32 = std::uint64_t{1} << 32;
  EXPECT_EQ(error_of(with_tensor({8}, kTypeF32, 32, 64)), "accepted");
  EXPECT_EQ(error_of(with_tensor({}, kTypeF32, 0, 4)), "accepted");
  EXPECT_EQ(error_of(with_tensor({0, k2To32}, kTypeF32, 0, 0)), "accepted");
  const Bytes bad[] = {
      with_tensor({8}, kTypeF32, 0, 31),
      with_tensor({8}, kTypeF32, 64, 64),
      with_tensor({8}, kTypeF32, 4, 64),
      with_tensor({8}, kTypeF32, UINT64_MAX - 31, 64),
      with_tensor({8}, kTypeF32, UINT64_MAX, 64),
      with_tensor({k2To32, k2To32}, kTypeF32, 0, 64),
      with_tensor({k2To32, k2To32, 0}, kTypeF32, 0, 64),
      with_tensor({std::uint64_t{1} << 62}, kTypeF32, 0, 64),
      with_tensor({std::uint64_t{1} << 63}, kTypeF32, 0, 64),
      with_tensor({UINT64_MAX}, kTypeF32, 0, 64),
      with_tensor({1, 1, 1, 1, 1}, kTypeF32, 0, 64),
      with_tensor({31}, kTypeQ4_0, 0, 64),
      with_tensor({16, 2}, kTypeQ4_0, 0, 64),
      with_tensor({32}, 4, 0, 64),
      with_tensor({32}, 999, 0, 64),
      Bytes()
          .header(2, 0)
          .tensor("t", {8}, kTypeF32, 0)
          .tensor("t", {8}, kTypeF32, 32)
          .align()
          .zeros(64),
      Bytes()
          .header(2, 0)
          .tensor("t", {8}, kTypeF32, 0)
          .tensor("u", {8}, kTypeF32, 0)
          .align()
          .zeros(64),
  };
  for (const Bytes& bytes : bad) EXPECT_NE(error_of(bytes), "accepted") << &bytes - bad;
}

TEST(Gguf, ObeysTheAlignment) {
  const auto aligned = [](std::uint32_t alignment) {
    Bytes file;
    file.header(1, 1)
        .text("general.alignment")
        .u32(kU32)
        .u32(alignment)
        .tensor("t", {1}, kTypeF32, 0);
    return file.align(128).number(3.0f).zeros(60);
  };
  float value = 0;
  const auto file = aligned(128).open();
  file->read_f32(file->at("t"), 0, std::span(&value, 1));
  EXPECT_EQ(value, 3);
  for (const std::uint32_t alignment : {0u, 3u, 1u << 21, UINT32_MAX})
    EXPECT_NE(error_of(aligned(alignment)).find("power of two"), std::string::npos);
}

TEST(Gguf, ReadsManyKeysAndTokensQuickly) {
  Bytes file;
  file.header(0, 65'536);
  for (int i = 0; i < 65'535; ++i) file.text(cat("key.number.", i)).u32(kU32).u32(1);
  file.text("tokens").u32(kArray).u32(kString).u64(250'000);
  for (int i = 0; i < 250'000; ++i) file.text("token");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(file.open()->get_string_array("tokens")->size(), 250'000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Gguf, EscapesNamesInMessages) {
  const std::string message =
      error_of(Bytes().header(1, 0).tensor("\x1B]0;x\n", {31}, kTypeQ4_0, 0).zeros(64));
  EXPECT_EQ(message.find('\x1B'), std::string::npos);
  EXPECT_NE(message.find("\\x1b]0;x\\n"), std::string::npos);
}

TEST(Gguf, FuzzCorpusHolds) {
  if (replay_corpus("gguf", check_gguf_reader) == 0)
    GTEST_SKIP() << "set ELENCHUS_TESTS to the folder tests/";
}

}  // namespace
}  // namespace elenchus

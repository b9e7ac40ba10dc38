#include "io/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors_fuzz.h"
#include "testing/fuzz_replay.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

/// A file of a header and so many bytes of data.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text + header + std::string(data_bytes, 'x');
}

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

std::string error_of(const std::string& file) {
  try {
    const SafetensorsFile opened(memory_bytes(bytes_of(file), "f"));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

void check(const std::string& file) {
  check_safetensors_reader(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
}

std::string written(const SafetensorsWriter& writer) {
  std::string text;
  writer.write([&](std::span<const std::byte> piece) {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return text;
}

TEST(Safetensors, ReadsBackWhatWasWritten) {
  const TemporaryFolder folder;
  std::vector<float> weights(24);
  std::iota(weights.begin(), weights.end(), -3.5f);
  const std::uint16_t halves[] = {0x3C00, 0xC000, 0x7C00};
  SafetensorsWriter writer;
  writer.add_f32("z.weight", {2, 3, 4}, weights);
  writer.add("a.half", StoredType::f16, {3}, std::as_bytes(std::span(halves)));
  writer.add("scalar", StoredType::f32, {}, [](const ByteSink& sink) {
    const float value = 7;
    sink(std::as_bytes(std::span(&value, 1)));
  });
  writer.add("empty", StoredType::i64, {0, 5}, std::span<const std::byte>());
  write_safetensors(folder / "m.safetensors", writer);

  const SafetensorsFile file(folder / "m.safetensors");
  EXPECT_EQ(std::filesystem::file_size(folder / "m.safetensors"), writer.size());
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.entries().size(), 4u);
  const TensorEntry& entry = file.at("z.weight");
  EXPECT_EQ(entry.shape_text(), "[2, 3, 4]");
  std::vector<float> part(5);
  file.read_f32(entry, 10, part);
  EXPECT_EQ(part, std::vector<float>(weights.begin() + 10, weights.begin() + 15));
  std::vector<float> converted(3);
  file.read_f32(file.at("a.half"), 0, converted);
  EXPECT_EQ(converted, (std::vector<float>{1, -2, INFINITY}));
  EXPECT_EQ(file.at("scalar").elements(), 1);
  EXPECT_EQ(file.at("empty").bytes, 0u);
  EXPECT_EQ(file.find("missing"), nullptr);
  EXPECT_THROW(file.at("missing"), InputError);
  EXPECT_THROW(file.read_f32(entry, 20, part), InternalError);
}

TEST(Safetensors, WritesTheBytesOfThePythonLibrary) {
  const std::byte zeros[16] = {};
  SafetensorsWriter writer;
  writer.add("b", StoredType::u8, {2}, std::span(zeros, 2));
  writer.add("c\"", StoredType::f32, {1, 2}, std::span(zeros, 8));
  writer.add("a", StoredType::f32, {}, std::span(zeros, 4));
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("c\"":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]},"b":{"dtype":"U8","shape":[2],"data_offsets":[12,14]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  std::string expected = file_of(padded, 0) + std::string(14, '\0');
  EXPECT_EQ(written(writer), expected);
}

TEST(Safetensors, WriterRefusesWrongSizes) {
  const std::byte bytes[8] = {};
  SafetensorsWriter writer;
  writer.add("a", StoredType::f32, {1}, std::span(bytes, 8));
  EXPECT_THROW(writer.add("a", StoredType::f32, {1}, std::span(bytes, 4)), InternalError);
  EXPECT_THROW(written(writer), InternalError);
  SafetensorsWriter blocks;
  blocks.add("q", StoredType::q4_0, {32}, std::span<const std::byte>());
  EXPECT_THROW(written(blocks), InternalError);
}

TEST(Safetensors, RefusesMalformedHeaders) {
  const auto tensor = [](const std::string& dtype, const std::string& shape,
                         const std::string& offsets) {
    return "{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
           "}}";
  };
  const std::string f32 = "\"F32\"";
  const std::string big = "281474976710656";  // 2^48
  const std::pair<std::string, std::size_t> bad[] = {
      {"", 0},
      {"[]", 0},
      {"1", 0},
      {" {}", 0},
      {"{}x", 0},
      {"{", 0},
      {"\xEF\xBB\xBF{}", 0},
      {"{}", 4},
      {"{\"\xFF\":1}", 0},
      {std::string("{}\0", 3), 0},
      {"{\"a\":[[[[[1]]]]]}", 0},
      {"{\"a\":1}", 0},
      {"{\"a\":{}}", 0},
      {"{\"__metadata__\":{\"a\":1}}", 0},
      {"{\"__metadata__\":[]}", 0},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", 0},
      {tensor("\"F31\"", "[1]", "[0,4]"), 4},
      {tensor("\"f32\"", "[1]", "[0,4]"), 4},
      {tensor("1", "[1]", "[0,4]"), 4},
      {tensor("\"Q4_0\"", "[32]", "[0,18]"), 18},
      {tensor(f32, "[1.0]", "[0,4]"), 4},
      {tensor(f32, "[1e0]", "[0,4]"), 4},
      {tensor(f32, "[-1]", "[0,4]"), 4},
      {tensor(f32, "[-0]", "[0,0]"), 0},
      {tensor(f32, "[\"1\"]", "[0,4]"), 4},
      {tensor(f32, "1", "[0,4]"), 4},
      {tensor(f32, "[" + big + "]", "[0,4]"), 4},
      {tensor(f32, "[18446744073709551616]", "[0,4]"), 4},
      {tensor(f32, "[4294967296,4294967296]", "[0,0]"), 0},
      {tensor(f32, "[140737488355328,32768]", "[0,0]"), 0},
      {tensor(f32, "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4},
      {tensor(f32, "[1]", "[0,5]"), 5},
      {tensor(f32, "[1]", "[4,0]"), 4},
      {tensor(f32, "[1]", "[0]"), 4},
      {tensor(f32, "[1]", "[0,4,4]"), 4},
      {tensor(f32, "[1]", "[0,4.0]"), 4},
      {tensor(f32, "[1]", "[0,4]"), 3},
      {tensor(f32, "[1]", "[0,4]"), 5},
      {tensor(f32, "[1]", "[4,8]"), 8},
      {tensor(f32, "[1]", "[0,4]").insert(5, "\"dtype\":\"F32\","), 4},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
       6},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})",
       9},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0061":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
       8},
  };
  for (const auto& [header, data] : bad)
    EXPECT_NE(error_of(file_of(header, data)), "accepted") << header;
  EXPECT_EQ(error_of(file_of(tensor(f32, "[1]", "[0,4]"), 4)), "accepted");
  EXPECT_EQ(error_of(file_of("{}", 0)), "accepted");
  EXPECT_EQ(error_of(file_of("{}   ", 0)), "accepted");
}

TEST(Safetensors, RefusesWrongHeaderLengths) {
  for (const std::uint64_t length :
       {std::uint64_t{3}, std::uint64_t{1} << 32, std::uint64_t{100'000'001}, UINT64_MAX,
        UINT64_MAX - 7, std::uint64_t{1} << 63}) {
    std::string file = file_of("{}", 0);
    std::memcpy(file.data(), &length, 8);
    EXPECT_NE(error_of(file).find("header length"), std::string::npos) << length;
  }
}

/// A file of three tensors and 77 bytes of data.
std::string small_file() {
  const std::vector<std::byte> bytes(77);
  SafetensorsWriter writer;
  writer.add("weight", StoredType::f32, {2, 5}, std::span(bytes).first(40));
  writer.add("half", StoredType::bf16, {16}, std::span(bytes).first(32));
  writer.add("bytes", StoredType::u8, {5}, std::span(bytes).first(5));
  return written(writer);
}

TEST(Safetensors, RefusesEveryTruncation) {
  const std::string file = small_file();
  for (std::size_t size = 0; size < file.size(); ++size)
    EXPECT_NE(error_of(file.substr(0, size)), "accepted") << size;
  EXPECT_NE(error_of(file + "x"), "accepted");
}

TEST(Safetensors, SurvivesEveryChangedHeaderByte) {
  const std::string file = small_file();
  for (std::size_t at = 0; at < file.size() - 77; ++at) {
    std::string changed = file;
    for (int value = 0; value < 256; ++value) {
      changed[at] = char(value);
      ASSERT_NO_THROW(check(changed)) << at << " " << value;
    }
  }
}

TEST(Safetensors, EscapesNamesInMessages) {
  const std::string message = error_of(file_of("{\"\\u001b[31mred\":1}", 0));
  EXPECT_EQ(message.find('\x1B'), std::string::npos);
  EXPECT_NE(message.find("\\x1b[31mred"), std::string::npos);
}

TEST(Safetensors, ConvertsEveryPlainType) {
  const auto as_f32 = [](StoredType type, const auto& values) {
    std::vector<float> out(std::size(values));
    convert_to_f32(type, std::as_bytes(std::span(values)), out);
    return out;
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(as_f32(StoredType::f64, std::vector<double>{1.5, -2}), (Floats{1.5, -2}));
  EXPECT_EQ(as_f32(StoredType::bf16, std::vector<std::uint16_t>{0x3F80, 0xC000}), (Floats{1, -2}));
  EXPECT_EQ(as_f32(StoredType::i8, std::vector<std::int8_t>{-1, 5}), (Floats{-1, 5}));
  EXPECT_EQ(as_f32(StoredType::u16, std::vector<std::uint16_t>{65535}), (Floats{65535}));
  EXPECT_EQ(as_f32(StoredType::i64, std::vector<std::int64_t>{-(1 << 20)}), (Floats{-(1 << 20)}));
  EXPECT_EQ(as_f32(StoredType::u64, std::vector<std::uint64_t>{1ull << 63}), (Floats{0x1p63f}));
  EXPECT_EQ(
      as_f32(StoredType::f8_e4m3, std::vector<std::uint8_t>{0x38, 0xC0, 0x7E, 0x01, 0x08, 0x80}),
      (Floats{1, -2, 448, 0x1p-9f, 0x1p-6f, -0.0f}));
  EXPECT_EQ(as_f32(StoredType::f8_e5m2, std::vector<std::uint8_t>{0x3C, 0xC0, 0x7B, 0x7C}),
            (Floats{1, -2, 57344, INFINITY}));
  EXPECT_TRUE(std::isnan(as_f32(StoredType::f8_e4m3, std::vector<std::uint8_t>{0x7F})[0]));
}

void write_shard(const std::filesystem::path& path, const std::vector<std::string>& names) {
  const float one = 1;
  SafetensorsWriter writer;
  for (const std::string& name : names) writer.add_f32(name, {1}, std::span(&one, 1));
  write_safetensors(path, writer);
}

std::string folder_error(const std::filesystem::path& folder) {
  try {
    const SafetensorsFolder opened(folder);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(SafetensorsFolder, ReadsShards) {
  const TemporaryFolder folder;
  write_shard(folder / "m-1.safetensors", {"a", "b"});
  write_shard(folder / "m-2.safetensors", {"c"});
  write_file_atomically(folder / "model.safetensors.index.json",
                        R"({"metadata": {"total_size": 12},
                            "weight_map": {"a": "m-1.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}})");
  const SafetensorsFolder source(folder.path());
  EXPECT_EQ(source.entries().size(), 3u);
  float value = 0;
  source.read_f32(source.at("c"), 0, std::span(&value, 1));
  EXPECT_EQ(value, 1);
  EXPECT_EQ(source.at("c").file, 1u);
}

TEST(SafetensorsFolder, RefusesTensorsInTheWrongPlace) {
  const TemporaryFolder folder;
  write_shard(folder / "1.safetensors", {"a", "b"});
  write_shard(folder / "2.safetensors", {"b", "c"});
  const auto error_with = [&](const std::string& map) {
    write_file_atomically(folder / "model.safetensors.index.json", "{\"weight_map\": " + map + "}");
    return folder_error(folder.path());
  };
  EXPECT_NE(error_with(R"({"a": "1.safetensors"})").find("in no file"), std::string::npos);
  EXPECT_NE(error_with(R"({"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"})")
                .find("in another file"),
            std::string::npos);
  EXPECT_NE(error_with(R"({"a": "1.safetensors", "b": "1.safetensors", "z": "1.safetensors"})")
                .find("'z'"),
            std::string::npos);
  EXPECT_EQ(error_with(R"({"a": "1.safetensors", "b": "1.safetensors"})"), "accepted");
  EXPECT_NE(error_with(R"({"a": "3.safetensors"})"), "accepted");
  EXPECT_NE(error_with("[]"), "accepted");
}

TEST(SafetensorsFolder, RefusesNamesThatLeaveTheFolder) {
  const TemporaryFolder folder;
  const std::string names[] = {"../x",
                               "/etc/passwd",
                               "a/b",
                               "a\\u0000b",
                               "..",
                               ".",
                               "",
                               "a..b",
                               "a b",
                               "~",
                               "\\u2024\\u2024/x",
                               "a\\\\b",
                               std::string(300, 'a'),
                               "C:x",
                               "\\uFF0E\\uFF0E",
                               "%2e%2e"};
  for (const std::string& name : names) {
    write_file_atomically(folder / "model.safetensors.index.json",
                          "{\"weight_map\": {\"a\": \"" + name + "\"}}");
    EXPECT_NE(folder_error(folder.path()).find("expected a plain name"), std::string::npos) << name;
  }
}

TEST(SafetensorsFolder, SaysWhatItLookedFor) {
  const TemporaryFolder folder;
  EXPECT_FALSE(has_safetensors(folder.path()));
  EXPECT_NE(folder_error(folder.path()).find("expected model.safetensors or"), std::string::npos);
}

TEST(Safetensors, FuzzCorpusHolds) {
  if (replay_corpus("safetensors", check_safetensors_reader) == 0)
    GTEST_SKIP() << "set ELENCHUS_TESTS to the folder tests/";
}

}  // namespace
}  // namespace elenchus

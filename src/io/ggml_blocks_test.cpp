#include "io/ggml_blocks.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/safetensors.h"
#include "testing/fuzz_replay.h"

namespace elenchus {
namespace {

constexpr StoredType kBlockTypes[] = {StoredType::q4_0, StoredType::q4_1, StoredType::q5_0,
                                      StoredType::q5_1, StoredType::q8_0, StoredType::q2_k,
                                      StoredType::q3_k, StoredType::q4_k, StoredType::q5_k,
                                      StoredType::q6_k, StoredType::q8_k};

TEST(GgmlBlocks, MatchTheReferenceReader) {
  const auto tests = tests_folder();
  if (!tests) GTEST_SKIP() << "set ELENCHUS_TESTS to the folder tests/";
  const SafetensorsFile golden(*tests / "golden" / "ggml_blocks.safetensors");
  for (const StoredType type : kBlockTypes) {
    const std::string name(name_of(type));
    const TensorEntry& blocks = golden.at(name + ".blocks");
    std::vector<std::byte> bytes(blocks.bytes);
    golden.read_bytes(blocks, bytes);
    std::vector<float> expected(std::size_t(golden.at(name + ".values").elements()));
    golden.read_f32(golden.at(name + ".values"), 0, expected);
    std::vector<float> values(expected.size());
    dequantize_ggml(type, bytes, values);
    EXPECT_EQ(values, expected) << name;
  }
}

TEST(GgmlBlocks, NeedWholeBlocks) {
  std::vector<std::byte> bytes(18);
  std::vector<float> out(32);
  EXPECT_NO_THROW(dequantize_ggml(StoredType::q4_0, bytes, out));
  EXPECT_THROW(dequantize_ggml(StoredType::q4_0, std::span(bytes).first(17), out), InternalError);
  EXPECT_THROW(dequantize_ggml(StoredType::q4_0, bytes, std::span(out).first(31)), InternalError);
  EXPECT_THROW(dequantize_ggml(StoredType::f32, bytes, out), InternalError);
}

}  // namespace
}  // namespace elenchus

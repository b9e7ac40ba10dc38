// NF4 as bitsandbytes makes and stores it: tests/golden/nf4.safetensors and the llama_nf4 folders.

#include "models/bnb_weight.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "io/model_folder.h"
#include "io/safetensors.h"
#include "models/loader.h"
#include "models/weight_reader.h"
#include "ops/nf4/nf4.h"
#include "testing/temporary_folder.h"

namespace elenchus {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(ELENCHUS_TEST_FOLDER) / "golden";
const std::string kName = "model.layers.0.self_attn.q_proj.weight";

std::vector<float> floats_of(const TensorSource& file, const std::string& name) {
  const TensorEntry& entry = file.at(name);
  std::vector<float> values(std::size_t(entry.elements()), 0.0f);
  file.read_f32(entry, 0, values);
  return values;
}

std::vector<std::uint8_t> bytes_of(const TensorSource& file, const std::string& name) {
  const TensorEntry& entry = file.at(name);
  std::vector<std::uint8_t> values(std::size_t(entry.bytes), 0);
  file.read_bytes(entry, std::as_writable_bytes(std::span(values)));
  return values;
}

TEST(Nf4Golden, HasTheBitsOfBitsandbytesForItsMapAndOffset) {
  const SafetensorsFile file(kGolden / "nf4.safetensors");
  const std::vector<float> weights = floats_of(file, "weights"), map = floats_of(file, "scale_map"),
                           scale_scales = floats_of(file, "scale_scales");
  const float offset = floats_of(file, "scale_offset")[0];
  const std::vector<std::uint8_t> wanted = bytes_of(file, "scale_codes");
  ops::CodeMap their_map;
  std::copy(map.begin(), map.end(), their_map.begin());
  const ops::SteppedSearch search(their_map);
  std::vector<float> absmax;
  for (std::size_t i = 0; i < weights.size(); i += 64) {
    float largest = 0;
    for (std::size_t j = i; j < std::min(i + 64, weights.size()); ++j)
      largest = std::max(largest, std::abs(weights[j]));
    absmax.push_back(largest);
  }
  ASSERT_EQ(absmax.size(), wanted.size());
  std::vector<std::uint8_t> codes(absmax.size());
  for (std::size_t i = 0; i < absmax.size(); i += 256) {
    const std::size_t count = std::min<std::size_t>(256, absmax.size() - i);
    EXPECT_EQ(ops::quantize_scales({absmax.data() + i, count}, offset, search, codes.data() + i),
              scale_scales[i / 256]);
  }
  EXPECT_EQ(codes, wanted);
}

TEST(Nf4Golden, WithItsOwnMapAndOffsetOnlyRoundingsDiffer) {
  const SafetensorsFile file(kGolden / "nf4.safetensors");
  std::vector<float> weights = floats_of(file, "weights");
  const Shape shape{96, 200};
  const auto stream = Stream::open({}, 2);
  const ops::Nf4Sizes sizes(shape.elements());
  const Buffer codes(*stream, {sizes.code_bytes}, DType::u8),
      scale_codes(*stream, {sizes.scale_codes}, DType::u8),
      scale_scales(*stream, {sizes.scale_scales}, DType::f32);
  const float offset =
      ops::quantize_nf4(*stream, {codes.tensor(), scale_codes.tensor(), scale_scales.tensor()},
                        ConstTensor(weights.data(), shape, DType::f32));
  const auto as_vector = [](ConstTensor t) {
    const auto values = t.values<std::uint8_t>();
    return std::vector<std::uint8_t>(values.begin(), values.end());
  };
  EXPECT_EQ(as_vector(codes.tensor()), bytes_of(file, "codes"));
  EXPECT_EQ(as_vector(scale_codes.tensor()), bytes_of(file, "scale_codes"));
  // The offset is the mean of f32 scales, summed in f64 here and in f32 there.
  EXPECT_NEAR(offset, floats_of(file, "scale_offset")[0], 2e-7 * offset);
  // Entries of the map are up to 2 ulp from theirs.
  const std::vector<float> map = floats_of(file, "scale_map");
  for (std::size_t i = 0; i < 256; ++i)
    EXPECT_NEAR(ops::dynamic_map()[i], map[i], 2.4e-7 * std::abs(map[i]));
}

TEST(Nf4Golden, DequantisesToTheBitsOfBitsandbytes) {
  const SafetensorsFile file(kGolden / "nf4.safetensors");
  const std::vector<std::uint8_t> codes = bytes_of(file, "codes"),
                                  scale_codes = bytes_of(file, "scale_codes");
  const std::vector<float> scale_scales = floats_of(file, "scale_scales"),
                           map = floats_of(file, "scale_map"),
                           wanted = floats_of(file, "dequantized");
  const auto view = [](const auto& values, DType dtype) {
    return ConstTensor(values.data(), {std::int64_t(values.size())}, dtype);
  };
  const Nf4Weight weight{{96, 200},
                         view(codes, DType::u8),
                         view(scale_codes, DType::u8),
                         view(scale_scales, DType::f32),
                         view(map, DType::f32),
                         floats_of(file, "scale_offset")[0]};
  std::vector<float> found(wanted.size());
  const auto stream = Stream::open({}, 2);
  ops::dequantize_nf4(*stream, Tensor(found.data(), {96, 200}, DType::f32), weight);
  EXPECT_EQ(found, wanted);
}

/// A copy of a golden folder whose tensors or configuration a test may change.
class ChangedFolder {
 public:
  explicit ChangedFolder(const std::string& name) : source_(kGolden / name / "model.safetensors") {
    fs::copy_file(kGolden / name / "config.json", folder_.path() / "config.json");
    for (const TensorEntry& entry : source_.entries()) {
      std::vector<std::byte> bytes(std::size_t(entry.bytes), std::byte{});
      source_.read_bytes(entry, bytes);
      tensors_[entry.name] = {entry, std::move(bytes)};
    }
  }
  std::vector<std::byte>& bytes(const std::string& name) { return tensors_.at(name).second; }
  TensorEntry& entry(const std::string& name) { return tensors_.at(name).first; }
  void drop(const std::string& name) { tensors_.erase(name); }
  void replace_state(std::string_view from, std::string_view to) {
    const std::string name = kName + ".quant_state.bitsandbytes__nf4";
    std::string text(reinterpret_cast<const char*>(bytes(name).data()), bytes(name).size());
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
    const auto changed = std::as_bytes(std::span(text));
    bytes(name).assign(changed.begin(), changed.end());
    entry(name).shape = {std::int64_t(text.size())};
  }
  std::string message_of_loading() {
    SafetensorsWriter writer;
    for (const auto& [name, tensor] : tensors_)
      writer.add(name, tensor.first.type, tensor.first.shape, std::span(tensor.second));
    write_safetensors(folder_.path() / "model.safetensors", writer);
    try {
      ModelFiles files = open_model_files(folder_.path());
      const auto stream = Stream::open({}, 1);
      (void)load_model(*stream, files, {.lora = {}, .max_positions = 16});
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }

 private:
  TemporaryFolder folder_;
  SafetensorsFile source_;
  std::map<std::string, std::pair<TensorEntry, std::vector<std::byte>>> tensors_;
};

TEST(BnbWeight, NamesWhatIsWrongWithAStoredWeight) {
  const auto expect_said = [](const std::string& what, const auto& change) {
    ChangedFolder folder("llama_nf4");
    change(folder);
    EXPECT_NE(folder.message_of_loading().find(what), std::string::npos)
        << what << ": " << folder.message_of_loading();
  };
  ChangedFolder whole("llama_nf4");
  EXPECT_EQ(whole.message_of_loading(), "");
  expect_said(kName + ".absmax", [](ChangedFolder& f) { f.drop(kName + ".absmax"); });
  expect_said("blocksize is 128",
              [](ChangedFolder& f) { f.replace_state("\"blocksize\": 64", "\"blocksize\": 128"); });
  expect_said("quant_type is not nf4",
              [](ChangedFolder& f) { f.replace_state("\"nf4\"", "\"fp4\""); });
  expect_said("the configuration makes it [48, 48]",
              [](ChangedFolder& f) { f.replace_state("[48, 48]", "[48, 49]"); });
  expect_said("nested_blocksize is 512", [](ChangedFolder& f) {
    f.replace_state("\"nested_blocksize\": 256", "\"nested_blocksize\": 512");
  });
  expect_said("quant_map is not the table of NF4",
              [](ChangedFolder& f) { f.bytes(kName + ".quant_map")[4] ^= std::byte{1}; });
  expect_said("nested_absmax holds NaN", [](ChangedFolder& f) {
    std::fill_n(f.bytes(kName + ".nested_absmax").begin(), 4, std::byte{0xFF});
  });
  expect_said("the codes has 1104 bytes; its shape makes it 1152", [](ChangedFolder& f) {
    f.bytes(kName).resize(1104);
    f.entry(kName).shape = {1104, 1};
  });
  expect_said("quant_state", [](ChangedFolder& f) { f.replace_state("{", "["); });
}

TEST(BnbWeight, ReadsOnlyNf4OfBitsandbytes) {
  const auto config = [](std::string_view settings) {
    return Json::parse(cat("{\"quantization_config\": ", settings, "}"), "config.json");
  };
  EXPECT_FALSE(is_prequantised(Json::parse("{}", "c"), "c"));
  EXPECT_FALSE(is_prequantised(config("null"), "c"));
  EXPECT_TRUE(is_prequantised(config(R"({"quant_method": "bitsandbytes", "load_in_4bit": true,
                                         "bnb_4bit_quant_type": "nf4"})"),
                              "c"));
  for (const std::string_view other :
       {R"({"quant_method": "gptq", "bits": 4})", R"({"quant_method": "bitsandbytes"})", "[]", "{}",
        R"({"quant_method": "bitsandbytes", "load_in_8bit": true})",
        R"({"quant_method": "bitsandbytes", "load_in_4bit": true})"})
    EXPECT_THROW((void)is_prequantised(config(other), "c"), InputError) << other;
}

}  // namespace
}  // namespace elenchus

#include "models/bnb_weight.h"

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "ops/nf4/nf4.h"

namespace elenchus {
namespace {

constexpr std::string_view kState = ".quant_state.bitsandbytes__nf4";
constexpr std::int64_t kLargestState = 1 << 16;

/// The text under a key, or "" without one.
std::string text_of(const Json& object, std::string_view key, std::string_view source) {
  const Json* value = object.find(key);
  return value && !value->is_null() ? value->as_string(cat(source, ": ", key)) : std::string();
}

}  // namespace

bool is_prequantised(const Json& config, std::string_view source) {
  const Json* settings = config.find("quantization_config");
  if (!settings || settings->is_null()) return false;
  constexpr std::string_view kExpected =
      ", a quantised form that this build does not read; expected bitsandbytes' NF4, or weights in "
      "F32, F16 or BF16 (they are quantised to NF4 on loading), or a GGUF file";
  if (!settings->is_object())
    throw InputError(cat(source, ": quantization_config is ", settings->kind_name(), kExpected));
  const std::string method = text_of(*settings, "quant_method", source);
  if (method != "bitsandbytes")
    throw InputError(cat(source, ": quantization_config has quant_method \"", printable(method),
                         "\"", kExpected));
  const Json* in_4bit = settings->find("load_in_4bit");
  if (!in_4bit || *in_4bit != Json(true))
    throw InputError(cat(source, ": quantization_config is not load_in_4bit", kExpected));
  const std::string type = text_of(*settings, "bnb_4bit_quant_type", source);
  if (type != "nf4")
    throw InputError(cat(source, ": quantization_config has bnb_4bit_quant_type \"",
                         printable(type.empty() ? "fp4" : type), "\"", kExpected));
  return true;
}

bool is_bnb_nf4(const TensorSource& source, const std::string& name) {
  return source.find(name + std::string(kState)) != nullptr;
}

BnbWeight::BnbWeight(const TensorSource& source, const std::string& name, Shape shape)
    : source_(source), name_(name), elements_(shape.elements()) {
  read_state(shape);
  const ops::Nf4Sizes sizes(elements_);
  (void)part("", sizes.code_bytes);
  (void)part(".quant_map", 16 * 4);
  if (nested_) {
    (void)part(".absmax", sizes.scale_codes);
    (void)part(".nested_absmax", sizes.scale_scales * 4);
    (void)part(".nested_quant_map", 256 * 4);
  } else {
    (void)part(".absmax", sizes.scale_codes * 4);
  }
}

void BnbWeight::refuse(std::string_view what) const {
  throw InputError(cat(source_.description(), ": tensor ", printable(name_), ": ", what));
}

/// Quantised tensors may be stored as any type (bnb_4bit_quant_storage): their bytes count.
const TensorEntry& BnbWeight::part(std::string_view suffix, std::int64_t bytes) const {
  const TensorEntry& entry = source_.at(name_ + std::string(suffix));
  if (std::int64_t(entry.bytes) != bytes)
    refuse(cat("its part ", suffix.empty() ? "with the codes" : suffix.substr(1), " has ",
               entry.bytes, " bytes; its shape makes it ", bytes));
  if (suffix.ends_with("map") || suffix == ".nested_absmax" || (suffix == ".absmax" && !nested_))
    if (entry.type != StoredType::f32)
      refuse(cat("its part ", suffix.substr(1), " is stored as ", name_of(entry.type),
                 "; expected F32"));
  return entry;
}

void BnbWeight::read_state(Shape shape) {
  const TensorEntry& entry = source_.at(name_ + std::string(kState));
  if (std::int64_t(entry.bytes) > kLargestState) refuse("its quant_state is too long");
  std::string text(std::size_t(entry.bytes), '\0');
  source_.read_bytes(entry, std::as_writable_bytes(std::span(text)));
  const std::string where = cat(source_.description(), ": ", printable(entry.name));
  const Json state = Json::parse(text, where);
  if (text_of(state, "quant_type", where) != "nf4") refuse("its quant_type is not nf4");
  const auto expect_size = [&](std::string_view key, std::int64_t wanted) {
    const std::int64_t found = state.at(key, where).as_integer(cat(where, ": ", key));
    if (found != wanted) refuse(cat("its ", key, " is ", found, "; this build reads ", wanted));
  };
  expect_size("blocksize", ops::kNf4Block);
  const auto& extents = state.at("shape", where).as_array(where);
  const bool same =
      extents.size() == 2 && extents[0] == Json(shape[0]) && extents[1] == Json(shape[1]);
  if (!same)
    refuse(cat("its shape is ", state.at("shape", where).dump(), "; the configuration makes it ",
               shape.text()));
  const Json* offset = state.find("nested_offset");
  nested_ = offset != nullptr && !offset->is_null();
  if (!nested_) return;
  expect_size("nested_blocksize", ops::kNf4NestedBlock);
  offset_ = offset->as_number(where);
  if (!std::isfinite(offset_)) refuse("its nested_offset is not finite");
}

std::vector<float> BnbWeight::floats(std::string_view suffix, std::int64_t count) const {
  std::vector<float> values(std::size_t(count), 0.0f);
  source_.read_f32(part(suffix, count * 4), 0, values);
  for (const float v : values)
    if (!std::isfinite(v)) refuse(cat("its part ", suffix.substr(1), " holds NaN or infinity"));
  return values;
}

std::vector<std::byte> BnbWeight::bytes(std::string_view suffix, std::int64_t count) const {
  std::vector<std::byte> values(std::size_t(count), std::byte{});
  source_.read_bytes(part(suffix, count), values);
  return values;
}

BnbParts BnbWeight::read() const {
  const ops::Nf4Sizes sizes(elements_);
  const std::vector<float> table = floats(".quant_map", 16);
  if (!std::equal(table.begin(), table.end(), ops::kNf4Values.begin()))
    refuse("its quant_map is not the table of NF4");
  BnbParts parts;
  parts.codes = bytes("", sizes.code_bytes);
  if (!nested_) {
    parts.absmax = floats(".absmax", sizes.scale_codes);
    return parts;
  }
  parts.scale_codes = bytes(".absmax", sizes.scale_codes);
  parts.scale_scales = floats(".nested_absmax", sizes.scale_scales);
  parts.scale_map = floats(".nested_quant_map", 256);
  parts.scale_offset = float(offset_);
  return parts;
}

}  // namespace elenchus

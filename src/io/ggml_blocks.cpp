#include "io/ggml_blocks.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "tensor/dtype.h"

namespace elenchus {
namespace {

using Block = const std::uint8_t*;

float f16_at(Block at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, 2);
  return float(std::bit_cast<f16>(bits));
}

std::uint32_t u32_at(Block at) {
  std::uint32_t bits;
  std::memcpy(&bits, at, 4);
  return bits;
}

// Formats of 32 elements. Element i < 16 is in the low half of byte i, element i + 16 in the high
// half; a fifth bit of element i is bit i of a word before them.

void q4_0(Block block, float* y) {
  const float d = f16_at(block);
  for (int i = 0; i < 16; ++i) {
    y[i] = float((block[2 + i] & 15) - 8) * d;
    y[i + 16] = float((block[2 + i] >> 4) - 8) * d;
  }
}

void q4_1(Block block, float* y) {
  const float d = f16_at(block), low = f16_at(block + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = float(block[4 + i] & 15) * d + low;
    y[i + 16] = float(block[4 + i] >> 4) * d + low;
  }
}

void q5_0(Block block, float* y) {
  const float d = f16_at(block);
  const std::uint32_t fifth = u32_at(block + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = float(int((block[6 + i] & 15) | (fifth >> i & 1) << 4) - 16) * d;
    y[i + 16] = float(int((block[6 + i] >> 4) | (fifth >> (i + 16) & 1) << 4) - 16) * d;
  }
}

void q5_1(Block block, float* y) {
  const float d = f16_at(block), low = f16_at(block + 2);
  const std::uint32_t fifth = u32_at(block + 4);
  for (int i = 0; i < 16; ++i) {
    y[i] = float((block[8 + i] & 15) | (fifth >> i & 1) << 4) * d + low;
    y[i + 16] = float((block[8 + i] >> 4) | (fifth >> (i + 16) & 1) << 4) * d + low;
  }
}

void q8_0(Block block, float* y) {
  const float d = f16_at(block);
  for (int i = 0; i < 32; ++i) y[i] = float(std::int8_t(block[2 + i])) * d;
}

// Formats of 256 elements.

/// 16 sub-blocks of 16: scale and minimum of 4 bits each, quants of 2 bits.
void q2_k(Block block, float* y) {
  const Block scales = block, quants = block + 16;
  const float d = f16_at(block + 80), dmin = f16_at(block + 82);
  for (int i = 0; i < 256; ++i) {
    const int sub = i / 16;
    const float scale = d * float(scales[sub] & 15), low = dmin * float(scales[sub] >> 4);
    const int quant = quants[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    y[i] = scale * float(quant) - low;
  }
}

/// 16 sub-blocks of 16: signed scales of 6 bits, quants of 3 bits whose third lies apart and, if
/// clear, stands for -4.
void q3_k(Block block, float* y) {
  const Block high = block, quants = block + 32, packed = block + 96;
  const float d = f16_at(block + 108);
  for (int i = 0; i < 256; ++i) {
    const int sub = i / 16;
    const int scale_low = sub < 8 ? packed[sub] & 15 : packed[sub - 8] >> 4;
    const int scale_high = packed[8 + sub % 4] >> (sub / 4 * 2) & 3;
    const float scale = d * float((scale_low | scale_high << 4) - 32);
    const int quant = quants[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    const bool third = (high[i % 32] >> (i / 32) & 1) != 0;
    y[i] = scale * float(third ? quant : quant - 4);
  }
}

struct ScaleAndMinimum {
  float scale;
  float minimum;
};

/// The scale and minimum, 6 bits each, of one of the 8 sub-blocks of q4_k and q5_k, packed into 12
/// bytes: those of sub-blocks 0 to 3 in the low bits of bytes 0 to 7, whose upper two bits complete
/// the nibbles of sub-blocks 4 to 7.
ScaleAndMinimum k_scale(Block packed, int sub) {
  if (sub < 4) return {float(packed[sub] & 63), float(packed[sub + 4] & 63)};
  return {float((packed[sub + 4] & 15) | (packed[sub - 4] >> 6) << 4),
          float((packed[sub + 4] >> 4) | (packed[sub] >> 6) << 4)};
}

void q4_k(Block block, float* y) {
  const float d = f16_at(block), dmin = f16_at(block + 2);
  for (int sub = 0; sub < 8; ++sub) {
    const auto [scale, minimum] = k_scale(block + 4, sub);
    const float step = d * scale, low = dmin * minimum;
    const Block quants = block + 16 + sub / 2 * 32;
    for (int i = 0; i < 32; ++i)
      y[sub * 32 + i] = step * float(quants[i] >> (sub % 2 * 4) & 15) - low;
  }
}

void q5_k(Block block, float* y) {
  const float d = f16_at(block), dmin = f16_at(block + 2);
  const Block fifth = block + 16;
  for (int sub = 0; sub < 8; ++sub) {
    const auto [scale, minimum] = k_scale(block + 4, sub);
    const float step = d * scale, low = dmin * minimum;
    const Block quants = block + 48 + sub / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int quant = (quants[i] >> (sub % 2 * 4) & 15) | (fifth[i] >> sub & 1) << 4;
      y[sub * 32 + i] = step * float(quant) - low;
    }
  }
}

/// 16 sub-blocks of 16: signed scales of 8 bits, quants of 4 + 2 bits less 32.
void q6_k(Block block, float* y) {
  const Block low = block, high = block + 128, scales = block + 192;
  const float d = f16_at(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, lane = i % 32, quarter = i % 128 / 32;
    const int nibble = low[half * 64 + quarter % 2 * 32 + lane] >> (quarter / 2 * 4) & 15;
    const int upper = high[half * 32 + lane] >> (quarter * 2) & 3;
    y[i] = d * float(std::int8_t(scales[i / 16])) * float((nibble | upper << 4) - 32);
  }
}

void q8_k(Block block, float* y) {
  const float d = std::bit_cast<float>(u32_at(block));
  for (int i = 0; i < 256; ++i) y[i] = d * float(std::int8_t(block[4 + i]));
}

using BlockReader = void (*)(Block, float*);

BlockReader reader_of(StoredType type) {
  switch (type) {
    case StoredType::q4_0:
      return q4_0;
    case StoredType::q4_1:
      return q4_1;
    case StoredType::q5_0:
      return q5_0;
    case StoredType::q5_1:
      return q5_1;
    case StoredType::q8_0:
      return q8_0;
    case StoredType::q2_k:
      return q2_k;
    case StoredType::q3_k:
      return q3_k;
    case StoredType::q4_k:
      return q4_k;
    case StoredType::q5_k:
      return q5_k;
    case StoredType::q6_k:
      return q6_k;
    case StoredType::q8_k:
      return q8_k;
    default:
      return nullptr;
  }
}

}  // namespace

void dequantize_ggml(StoredType type, std::span<const std::byte> bytes, std::span<float> out) {
  const BlockReader read = reader_of(type);
  expect(read != nullptr, "dequantize_ggml: not a block format");
  const StoredTypeInfo& info = info_of(type);
  const std::size_t blocks = out.size() / std::size_t(info.block_elements);
  expect(blocks * std::size_t(info.block_elements) == out.size() &&
             bytes.size() == blocks * std::size_t(info.block_bytes),
         "dequantize_ggml: not whole blocks");
  const auto* block = reinterpret_cast<const std::uint8_t*>(bytes.data());
  for (std::size_t i = 0; i < blocks; ++i)
    read(block + i * std::size_t(info.block_bytes),
         out.data() + i * std::size_t(info.block_elements));
}

}  // namespace elenchus

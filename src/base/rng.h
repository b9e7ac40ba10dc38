#pragma once
// Random numbers as a pure function of what they are for: no state to save, none that depends on
// threads.

#include <array>
#include <cstdint>

namespace elenchus {

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                              std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {std::uint32_t(b >> 32) ^ counter[1] ^ key[0], std::uint32_t(b),
               std::uint32_t(a >> 32) ^ counter[3] ^ key[1], std::uint32_t(a)};
  }
  return counter;
}

/// What a random number is drawn for: the last counter word.
enum class RandomUse : std::uint32_t { lora_init, dropout, shuffle, split, sample, test };

/// A family of random numbers: draw(i) is the same on every device and thread.
///   counter = {i / 4, site, step, use}, key = seed
struct RandomKey {
  std::uint64_t seed = 0;
  RandomUse use = RandomUse::test;
  std::uint32_t step =
      0;  ///< micro-batch (dropout), epoch (shuffle), parameter (init), position (sample)
  std::uint32_t site = 0;  ///< place in the model: layer * 64 + use within the layer; 0 elsewhere

  constexpr std::array<std::uint32_t, 4> draw4(std::uint32_t quad) const {
    return philox({quad, site, step, std::uint32_t(use)},
                  {std::uint32_t(seed), std::uint32_t(seed >> 32)});
  }
  constexpr std::uint32_t draw(std::uint64_t i) const { return draw4(std::uint32_t(i / 4))[i % 4]; }
  /// Uniform in [0, 1), a multiple of 2^-24.
  constexpr float uniform(std::uint64_t i) const { return float(draw(i) >> 8) * 0x1p-24f; }
  /// Uniform in [0, bound), bound >= 1: draw * bound / 2^32. Deterministic everywhere; bias below
  /// bound / 2^32.
  constexpr std::uint32_t below(std::uint64_t i, std::uint32_t bound) const {
    return std::uint32_t((std::uint64_t{draw(i)} * bound) >> 32);
  }
};

}  // namespace elenchus

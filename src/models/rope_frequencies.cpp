#include "models/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace elenchus {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

/// Long waves are slowed by `factor`, short ones kept, those between blended.
double llama3_frequency(double frequency, const RopeConfig& c) {
  const double wavelength = kTurn / frequency;
  const double low = c.original_positions / c.low_frequency_factor;
  const double high = c.original_positions / c.high_frequency_factor;
  if (wavelength > low) return frequency / c.factor;
  if (wavelength < high) return frequency;
  const double smooth = (c.original_positions / wavelength - c.low_frequency_factor) /
                        (c.high_frequency_factor - c.low_frequency_factor);
  return (1 - smooth) * frequency / c.factor + smooth * frequency;
}

/// The (fractional) frequency index that turns `rotations` times over the original length.
double yarn_index(double rotations, std::int64_t dim, const RopeConfig& c) {
  return double(dim) * std::log(c.original_positions / (rotations * kTurn)) /
         (2 * std::log(c.theta));
}

double yarn_frequency(double frequency, std::int64_t i, std::int64_t dim, const RopeConfig& c) {
  double low = yarn_index(c.beta_fast, dim, c), high = yarn_index(c.beta_slow, dim, c);
  if (c.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, double(dim - 1));
  if (high == low) high += 0.001;
  const double ramp = std::clamp((double(i) - low) / (high - low), 0.0, 1.0);
  return frequency / c.factor * ramp + frequency * (1 - ramp);
}

/// The base that stretches the longest waves over `positions` instead of the original length.
double dynamic_theta(std::int64_t dim, std::int64_t positions, const RopeConfig& c) {
  const double length = std::max(double(positions), c.original_positions);
  return c.theta * std::pow(c.factor * length / c.original_positions - (c.factor - 1),
                            double(dim) / double(dim - 2));
}

double frequency_at(std::int64_t i, std::int64_t dim, const RopeConfig& c) {
  const double plain = std::pow(c.theta, -2.0 * double(i) / double(dim));
  switch (c.kind) {
    case RopeConfig::Kind::plain:
    case RopeConfig::Kind::dynamic:
    case RopeConfig::Kind::longrope:
      return plain;
    case RopeConfig::Kind::linear:
      return plain / c.factor;
    case RopeConfig::Kind::llama3:
      return llama3_frequency(plain, c);
    case RopeConfig::Kind::yarn:
      return yarn_frequency(plain, i, dim, c);
  }
  return plain;
}

/// What cosine and sine are multiplied by.
double attention_scale(const RopeConfig& c) {
  const bool scaled = c.kind == RopeConfig::Kind::yarn || c.kind == RopeConfig::Kind::longrope;
  if (!scaled) return 1;
  if (c.attention_factor) return *c.attention_factor;
  if (c.factor <= 1) return 1;
  if (c.kind == RopeConfig::Kind::yarn) return 0.1 * std::log(c.factor) + 1;
  return std::sqrt(1 + std::log(c.factor) / std::log(c.original_positions));
}

}  // namespace

RopeTables rope_tables(const RopeConfig& settings, std::int64_t rotary_dim, std::int64_t positions,
                       RopeReach reach) {
  RopeConfig config = settings;
  if (config.kind == RopeConfig::Kind::dynamic && rotary_dim > 2)
    config.theta = dynamic_theta(rotary_dim, positions, config);
  if (config.kind == RopeConfig::Kind::longrope)
    config.divisors = reach == RopeReach::near ? config.short_factors : config.long_factors;
  const std::int64_t half = rotary_dim / 2;
  std::vector<float> frequencies;
  for (std::int64_t i = 0; i < half; ++i) {
    const double divisor = config.divisors.empty() ? 1 : double(config.divisors[std::size_t(i)]);
    frequencies.push_back(float(frequency_at(i, rotary_dim, config) / divisor));
  }
  const double scale = attention_scale(config);
  RopeTables tables;
  tables.cosine.reserve(std::size_t(positions * half));
  tables.sine.reserve(std::size_t(positions * half));
  for (std::int64_t p = 0; p < positions; ++p)
    for (std::int64_t i = 0; i < half; ++i) {
      const float angle = float(p) * frequencies[std::size_t(i)];
      tables.cosine.push_back(float(std::cos(double(angle)) * scale));
      tables.sine.push_back(float(std::sin(double(angle)) * scale));
    }
  return tables;
}

}  // namespace elenchus

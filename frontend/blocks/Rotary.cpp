//===- Rotary.cpp - Frequencies of rotary position embeddings -------------===//
//
// Source: transformers.modeling_rope_utils, ROPE_INIT_FUNCTIONS.
//
//===----------------------------------------------------------------------===//
#include "frontend/blocks/Rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace vlmc {

using Message = spec::RotaryEmbedding;

static void checkPositive(const FaultSink &fault, std::string_view field,
                          double value) {
  if (!(value > 0) || !std::isfinite(value))
    fault(field, "expected a positive number, found " + std::to_string(value));
}

static void checkFactors(const FaultSink &fault, std::string_view field,
                         const google::protobuf::RepeatedField<double> &factors,
                         int64_t count) {
  if (factors.size() != count)
    return fault(field, "expected " + std::to_string(count) +
                            " numbers, half of what is turned of a head, "
                            "found " +
                            std::to_string(factors.size()));
  for (double factor : factors)
    checkPositive(fault, field, factor);
}

void checkRotary(const Message &rotary, int64_t headSize,
                 const FaultSink &fault) {
  auto inRotary = [&](std::string_view field, const std::string &message) {
    fault(std::string("rotary.").append(field), message);
  };
  if (rotary.size() < 2 || rotary.size() > headSize || rotary.size() % 2 != 0)
    inRotary("size", "expected an even number from 2 to head_size " +
                         std::to_string(headSize) + ", found " +
                         std::to_string(rotary.size()));
  checkPositive(inRotary, "theta", rotary.theta());
  if (rotary.kind() != Message::DEFAULT)
    checkPositive(inRotary, "factor", rotary.factor());
  if (rotary.kind() > Message::LINEAR)
    checkRange(inRotary, "original_max_tokens", rotary.original_max_tokens(), 1,
               INT32_MAX);
  if (rotary.kind() == Message::LLAMA3 &&
      !(rotary.high_frequency_factor() > rotary.low_frequency_factor()))
    inRotary("high_frequency_factor",
             "expected more than low_frequency_factor " +
                 std::to_string(rotary.low_frequency_factor()) + ", found " +
                 std::to_string(rotary.high_frequency_factor()));
  if (rotary.kind() == Message::DYNAMIC && rotary.size() < 4)
    inRotary("size", "expected at least 4 for DYNAMIC, found " +
                         std::to_string(rotary.size()));
  if (rotary.kind() == Message::LONGROPE) {
    checkFactors(inRotary, "short_factors", rotary.short_factors(),
                 rotary.size() / 2);
    checkFactors(inRotary, "long_factors", rotary.long_factors(),
                 rotary.size() / 2);
  }
}

/// Frequency i of Llama 3.1: long waves are stretched by the factor, short ones
/// stay, and those between are in between.
static float llama3(const Message &rotary, float frequency) {
  const auto length = static_cast<float>(rotary.original_max_tokens());
  const auto low = static_cast<float>(rotary.low_frequency_factor());
  const auto high = static_cast<float>(rotary.high_frequency_factor());
  const auto factor = static_cast<float>(rotary.factor());
  float wave = 2 * std::numbers::pi_v<float> / frequency;
  if (wave < length / high)
    return frequency;
  if (wave > length / low)
    return frequency / factor;
  float smooth = (length / wave - low) / (high - low);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

/// The dimension in which so many turns are made over the original length.
static double yarnDimension(const Message &rotary, double turns) {
  return static_cast<double>(rotary.size()) *
         std::log(static_cast<double>(rotary.original_max_tokens()) /
                  (turns * 2 * std::numbers::pi)) /
         (2 * std::log(rotary.theta()));
}

static void applyYarn(const Message &rotary, std::vector<float> &frequencies) {
  double low = yarnDimension(rotary, rotary.beta_fast());
  double high = yarnDimension(rotary, rotary.beta_slow());
  if (!rotary.exact_range()) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rotary.size()) - 1);
  if (low == high)
    high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    auto ramp = static_cast<float>(
        std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
    float kept = 1 - ramp;
    float slow = frequencies[i] / static_cast<float>(rotary.factor());
    frequencies[i] = slow * (1 - kept) + frequencies[i] * kept;
  }
}

std::vector<float> rotaryFrequencies(const Message &rotary) {
  std::vector<float> frequencies;
  const auto theta = static_cast<float>(rotary.theta());
  const auto size = static_cast<float>(rotary.size());
  for (int64_t i = 0; i < rotary.size(); i += 2)
    frequencies.push_back(1 / std::pow(theta, static_cast<float>(i) / size));
  for (float &frequency : frequencies) {
    if (rotary.kind() == Message::LINEAR)
      frequency /= static_cast<float>(rotary.factor());
    if (rotary.kind() == Message::LLAMA3)
      frequency = llama3(rotary, frequency);
  }
  if (rotary.kind() == Message::YARN)
    applyYarn(rotary, frequencies);
  if (rotary.kind() == Message::LONGROPE)
    for (int i = 0; i < rotary.short_factors_size(); ++i) {
      float power = std::pow(theta, static_cast<float>(2 * i) / size);
      frequencies[static_cast<size_t>(i)] =
          1 / (static_cast<float>(rotary.short_factors(i)) * power);
    }
  return frequencies;
}

bool dependsOnLength(const Message &rotary) {
  return rotary.kind() == Message::DYNAMIC ||
         rotary.kind() == Message::LONGROPE;
}

double rotaryScale(const Message &rotary) {
  if (rotary.has_attention_scale())
    return rotary.attention_scale();
  if (rotary.kind() != Message::YARN || rotary.factor() <= 1)
    return 1;
  return 0.1 * std::log(rotary.factor()) + 1;
}

} // namespace vlmc

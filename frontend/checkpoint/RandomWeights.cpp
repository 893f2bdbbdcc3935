//===- RandomWeights.cpp - Weights out of a seed --------------------------===//
#include "frontend/checkpoint/RandomWeights.h"

namespace vlmc {

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// FNV-1a, mixed with the seed: the stream of a tensor.
static uint64_t streamOf(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : name)
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return mix(hash ^ mix(seed));
}

/// The sum of four uniform numbers: near enough to normal, and exact in float
/// up to the last product, so that every machine gets the same bits.
static float valueAt(uint64_t stream, uint64_t index) {
  uint64_t bits = mix(stream ^ mix(index));
  int32_t sum = 0;
  for (int i = 0; i < 4; ++i)
    sum += static_cast<int32_t>((bits >> (16 * i)) & 0xffff);
  // Four times [0, 65535]: mean 131070, deviation 65536 / sqrt(3).
  constexpr float factor = 1.7320508F / 65536.0F;
  return static_cast<float>(sum - 131070) * factor;
}

float randomValue(uint64_t seed, std::string_view name, uint64_t index) {
  return valueAt(streamOf(seed, name), index);
}

RandomWeights::RandomWeights(uint64_t seed,
                             const std::vector<RandomTensor> &list) {
  for (const RandomTensor &wanted : list) {
    Tensor tensor;
    tensor.name = wanted.name;
    tensor.shape = wanted.shape;
    tensor.bytes = sizeof(float);
    for (int64_t size : wanted.shape)
      tensor.bytes *= static_cast<uint64_t>(size);
    tensor.file = "random weights of seed " + std::to_string(seed);
    tensor.stream = streamOf(seed, wanted.name);
    tensor.mean = wanted.mean;
    tensor.deviation = wanted.deviation;
    tensors.emplace(wanted.name, std::move(tensor));
  }
}

const WeightTensor *RandomWeights::find(std::string_view name) const {
  auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

void RandomWeights::make(const WeightTensor &tensor, int64_t first,
                         int64_t count, float *out) const {
  const auto &random = static_cast<const Tensor &>(tensor);
  for (int64_t i = 0; i < count; ++i) {
    float scaled = random.deviation *
                   valueAt(random.stream, static_cast<uint64_t>(first + i));
    out[i] = random.mean + scaled;
  }
}

std::vector<std::string> RandomWeights::names() const {
  std::vector<std::string> result;
  result.reserve(tensors.size());
  for (const auto &[name, tensor] : tensors)
    result.push_back(name);
  return result;
}

} // namespace vlmc

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
                             const std::vector<RandomTensor> &list)
    : seed(seed) {
  for (const RandomTensor &wanted : list) {
    Tensor tensor;
    tensor.tensor.name = wanted.name;
    tensor.tensor.shape = wanted.shape;
    tensor.tensor.bytes = sizeof(float);
    for (int64_t size : wanted.shape)
      tensor.tensor.bytes *= static_cast<uint64_t>(size);
    tensor.tensor.file = "random weights of seed " + std::to_string(seed);
    tensor.mean = wanted.mean;
    tensor.deviation = wanted.deviation;
    tensors.emplace(wanted.name, std::move(tensor));
  }
}

void RandomWeights::fill(Tensor &tensor) const {
  uint64_t count = tensor.tensor.bytes / sizeof(float);
  tensor.values = std::make_unique_for_overwrite<float[]>(count);
  uint64_t stream = streamOf(seed, tensor.tensor.name);
  for (uint64_t i = 0; i < count; ++i) {
    float scaled = tensor.deviation * valueAt(stream, i);
    tensor.values[i] = tensor.mean + scaled;
  }
  tensor.tensor.data = reinterpret_cast<const uint8_t *>(tensor.values.get());
}

const WeightTensor *RandomWeights::find(std::string_view name) const {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = tensors.find(name);
  if (found == tensors.end())
    return nullptr;
  if (!found->second.values)
    fill(found->second);
  return &found->second.tensor;
}

std::vector<std::string> RandomWeights::names() const {
  std::vector<std::string> result;
  result.reserve(tensors.size());
  for (const auto &[name, tensor] : tensors)
    result.push_back(name);
  return result;
}

} // namespace vlmc

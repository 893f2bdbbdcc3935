//===- LongRotary.cpp - Positions of tokens of long sequences -------------===//
//
// Source: transformers.modeling_rope_utils, dynamic_rope_update and what it
// calls; in f32 as there.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/LongRotary.h"

#include <cmath>

namespace vlmc::rt {

void LongRotary::clear() {
  values.clear();
  numbers.clear();
}

void LongRotary::prepare(int64_t length) {
  if (prepared == length)
    return;
  prepared = length;
  auto size = float(facts->size);
  float theta = facts->numbers[VLM_ABI_ROTARY_THETA];
  if (!facts->long_factors) {
    float factor = facts->numbers[VLM_ABI_ROTARY_FACTOR];
    float growth = factor * float(length) / float(facts->limit) - (factor - 1);
    theta *= std::pow(growth, size / (size - 2));
  }
  frequencies.resize(facts->size / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    float power = std::pow(theta, float(2 * i) / size);
    frequencies[i] =
        1 / (facts->long_factors ? facts->long_factors[i] * power : power);
  }
}

void LongRotary::add(int64_t position, int64_t length) {
  if (!facts)
    return;
  if (length <= facts->limit) {
    numbers.push_back(-1);
    return;
  }
  prepare(length);
  numbers.push_back(int32_t(values.size() / facts->size));
  size_t begin = values.size(), half = frequencies.size();
  values.resize(begin + 2 * half);
  float scale = facts->numbers[VLM_ABI_ROTARY_SCALE];
  for (size_t i = 0; i < half; ++i) {
    double angle = float(position) * frequencies[i]; // rounded to f32
    values[begin + i] = float(std::cos(angle)) * scale;
    values[begin + half + i] = float(std::sin(angle)) * scale;
  }
}

std::vector<float> &LongRotary::rows() {
  if (values.empty())
    values.resize(facts->size); // which nobody reads
  return values;
}

bool LongRotary::isSame(int64_t length, int64_t other) const {
  if (!facts || length == other)
    return true;
  if (length <= facts->limit || other <= facts->limit)
    return length <= facts->limit && other <= facts->limit;
  return facts->long_factors;
}

} // namespace vlmc::rt

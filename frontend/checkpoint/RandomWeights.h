//===- RandomWeights.h - Weights out of a seed ------------------*- C++ -*-===//
//
// A WeightSource for models without a checkpoint (`--random-weights SEED`). The
// value of an element depends on the seed, the tensor's name and the element's
// index alone, so that neither order nor threads change anything.
//
//   RandomWeights weights(7, {{"proj.weight", {32, 64}}});
//   const WeightTensor *tensor = weights.find("proj.weight");
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_CHECKPOINT_RANDOMWEIGHTS_H
#define VLMC_FRONTEND_CHECKPOINT_RANDOMWEIGHTS_H

#include "ir/WeightSource.h"

#include <functional>
#include <map>

namespace vlmc {

/// How the values of a random tensor lie: mean + deviation * (near) normal.
struct RandomTensor {
  std::string name;
  std::vector<int64_t> shape;
  float mean = 0;
  float deviation = 1;
};

/// Random f32 tensors. Their elements are made as they are read and never kept,
/// so that a model of any size takes no memory here.
class RandomWeights : public WeightSource {
public:
  RandomWeights(uint64_t seed, const std::vector<RandomTensor> &tensors);

  const WeightTensor *find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  void make(const WeightTensor &tensor, int64_t first, int64_t count,
            float *out) const override;

private:
  struct Tensor : WeightTensor {
    uint64_t stream;
    float mean, deviation;
  };
  std::map<std::string, Tensor, std::less<>> tensors;
};

/// The value of one element: mean 0, deviation 1, between -3.47 and 3.47.
float randomValue(uint64_t seed, std::string_view name, uint64_t index);

} // namespace vlmc

#endif // VLMC_FRONTEND_CHECKPOINT_RANDOMWEIGHTS_H

//===- Golden.h - Comparing with goldens ------------------------*- C++ -*-===//
//
// Compares the outputs of `vlmc run` with what the oracle wrote down, by the
// rules of test/oracle/README.md. The faults are told, not thrown.
//
//   Comparison result = compareWithGolden(out, golden, &inputs);
//   EXPECT_EQ(result.faults, std::vector<std::string>());
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_E2E_GOLDEN_H
#define VLMC_TEST_E2E_GOLDEN_H

#include "test/e2e/Tensors.h"

#include <map>

namespace vlmc::e2e {

/// fp32 with another order of summation stays below 1e-4 of the tensor's own
/// spread; logits are scaled by exp(logit_scale) and get twice as much.
inline constexpr double embeddingTolerance = 1e-4;
inline constexpr double logitTolerance = 2e-4;

/// How far floats of an output may be off, by its name; "logits" is for all
/// whose names hold that, "" for all others.
using Tolerances = std::map<std::string, double>;
/// Those of fp32.
const Tolerances &exactTolerances();

/// What came of comparing two files.
struct Comparison {
  size_t tensors = 0;    ///< how many were compared
  double worst = 0;      ///< the largest error against its tolerance
  std::string worstName; ///< the tensor it is in
  std::map<std::string, double> errors; ///< the largest, by outputs' names
  std::vector<std::string> faults;
};

/// Every tensor of `golden` must be in `got` with its dtype and shape, at least
/// one of them. Floats are compared by max|d| / std(golden) over the tensor,
/// pixel values, ids and masks exactly; `X.sha256` holds the digest of tensor
/// X. Rows of `text_features` at padded positions are left out: the mask is
/// `REQUEST.attention_mask` of `golden`, else of `inputs`.
Comparison compareWithGolden(const Tensors &got, const Tensors &golden,
                             const Tensors *inputs = nullptr,
                             const Tolerances &tolerances = exactTolerances());

/// Every tensor of `want` must be in `got`, the same byte for byte.
Comparison compareBits(const Tensors &got, const Tensors &want);

} // namespace vlmc::e2e

#endif // VLMC_TEST_E2E_GOLDEN_H

//===-- Interpreter.h - kernels evaluated in double precision, for tests
//--------------------------------------------------------------------===//
//
// An independent statement of what the tensor-level ops mean: plain loops over
// std::vector<double>. Tests compare generated code with it.
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_TEST_CODEGEN_CONFORMANCE_INTERPRETER_H
#define VLMC_TEST_CODEGEN_CONFORMANCE_INTERPRETER_H

#include "ir/Vlm/VlmOps.h"
#include <vector>

namespace vlmc::test {

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<double> data;
  int64_t rows() const {
    int64_t product = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i)
      product *= shape[i];
    return product;
  }
  int64_t width() const { return shape.back(); }
  double at(int64_t row, int64_t column) const {
    return data[row * width() + column];
  }
};

/// The results of a kernel for the given operands.
std::vector<Tensor> interpret(vlm::KernelOp kernel,
                              const std::vector<Tensor> &operands);

} // namespace vlmc::test

#endif // VLMC_TEST_CODEGEN_CONFORMANCE_INTERPRETER_H

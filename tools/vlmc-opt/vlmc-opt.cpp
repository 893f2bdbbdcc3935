//===-- vlmc-opt.cpp - the mlir-opt of the vlm dialect --------------------===//
//
// Runs passes on modules at any border: `vlmc-opt model.mlir --vlm-optimize`.
//
//===----------------------------------------------------------------------===//
#include "ir/Vlm/VlmDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<vlmc::vlm::VlmDialect, mlir::func::FuncDialect,
                  mlir::arith::ArithDialect, mlir::math::MathDialect,
                  mlir::tensor::TensorDialect, mlir::linalg::LinalgDialect>();
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  mlir::registerSymbolDCEPass();
  vlmc::registerVlmPasses();
  vlmc::registerVlmPipelines();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "vlmc-opt\n", registry));
}

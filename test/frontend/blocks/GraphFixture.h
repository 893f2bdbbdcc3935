//===- GraphFixture.h - The graph of a spec that a test makes ---*- C++ -*-===//
//
//   class Towers : public GraphFixture {};
//
//   TEST_F(Towers, AreBuilt) {
//     model = ...;
//     ASSERT_TRUE(build()) << message();
//     EXPECT_EQ(typeOf("encode_image"), "...");
//   }
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_FRONTEND_BLOCKS_GRAPHFIXTURE_H
#define VLMC_TEST_FRONTEND_BLOCKS_GRAPHFIXTURE_H

#include "frontend/Frontend.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"

#include <gtest/gtest.h>

#include <set>

namespace vlmc {

class GraphFixture : public testing::Test {
protected:
  explicit GraphFixture(spec::ModelSpec model = {}) : model(std::move(model)) {}

  /// Makes `module` of `model`; where it fails, `errors` say why.
  bool build(const GraphOptions &options = {},
             const WeightSource *weights = nullptr) {
    errors.clear();
    mlir::ScopedDiagnosticHandler handler(&context,
                                          [&](mlir::Diagnostic &diagnostic) {
                                            errors.push_back(diagnostic.str());
                                            return mlir::success();
                                          });
    auto result = buildGraph(model, weights, options, context);
    if (failed(result))
      return false;
    module = std::move(*result);
    return succeeded(mlir::verify(*module));
  }
  bool buildWithTaps(std::set<std::string> taps) {
    GraphOptions options;
    options.taps = std::move(taps);
    return build(options);
  }

  mlir::func::FuncOp entry(llvm::StringRef name) {
    return module->lookupSymbol<mlir::func::FuncOp>(name);
  }
  std::string typeOf(llvm::StringRef name) {
    std::string text;
    llvm::raw_string_ostream(text) << entry(name).getFunctionType();
    return text;
  }
  bool hasWeight(llvm::StringRef name) { return module->lookupSymbol(name); }
  std::string recipeOf(llvm::StringRef name) {
    std::string text;
    llvm::raw_string_ostream(text) << mlir::Attribute(
        module->lookupSymbol<vlm::WeightOp>(name).getRecipe());
    return text;
  }
  /// The ops of a kind.
  template <class OpType> int64_t count() {
    int64_t found = 0;
    module->walk([&](OpType) { ++found; });
    return found;
  }

  mlir::MLIRContext context;
  spec::ModelSpec model;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<std::string> errors;
};

} // namespace vlmc

#endif // VLMC_TEST_FRONTEND_BLOCKS_GRAPHFIXTURE_H

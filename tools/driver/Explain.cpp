//===-- Explain.cpp - remarks of the passes as lines ----------------------===//
#include "tools/driver/Explain.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace vlmc {

namespace {
/// Turns a remark into "fuse-epilogue: done: encode_image: takes ...".
class LineStreamer final : public remark::detail::MLIRRemarkStreamerBase {
public:
  explicit LineStreamer(std::function<void(llvm::StringRef)> sink)
      : sink(std::move(sink)) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    std::string line = remark.getCombinedCategoryName().str();
    switch (remark.getRemarkType()) {
    case llvm::remarks::Type::Passed:
      line += ": done: ";
      break;
    case llvm::remarks::Type::Missed:
    case llvm::remarks::Type::Failure:
      line += ": not done: ";
      break;
    default:
      line += ": ";
    }
    if (remark.getFunction() != "<unknown function>")
      line += remark.getFunction().str() + ": ";
    bool first = true;
    for (const remark::detail::Remark::Arg &argument : remark.getArgs()) {
      line += (first ? "" : ", ") + argument.val;
      first = false;
    }
    sink(line);
  }

private:
  std::function<void(llvm::StringRef)> sink;
};
} // namespace

void explainRemarks(MLIRContext &context,
                    std::function<void(llvm::StringRef)> sink) {
  context.disableMultithreading();
  remark::RemarkCategories categories{".*", ".*", ".*", ".*", ".*"};
  (void)remark::enableOptimizationRemarks(
      context, std::make_unique<LineStreamer>(std::move(sink)),
      std::make_unique<remark::RemarkEmittingPolicyAll>(), categories);
}

} // namespace vlmc

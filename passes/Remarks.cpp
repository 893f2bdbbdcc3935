//===-- Remarks.cpp - how passes tell what they did and did not do --------===//
#include "passes/Remarks.h"
#include "ir/Vlm/VlmOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

/// The mnemonic without its dialect; a group goes by its anchor.
static std::string shortName(Operation *op) {
  if (auto group = dyn_cast<GroupOp>(op))
    return (stringifyAnchorKind(group.getAnchor()) + " group").str();
  return op->getName().stripDialect().str();
}

std::string vlmc::describe(Operation *op) {
  std::string text = shortName(op);
  if (auto label = op->getAttrOfType<StringAttr>(names::label))
    text += " '" + label.str() + "'";
  return text;
}

std::string vlmc::describeReaders(Value value, Operation *except) {
  constexpr unsigned mostNamed = 3;
  // Use lists are in no promised order: sort by the place in the block.
  SmallVector<OpOperand *> uses;
  for (OpOperand &use : value.getUses())
    if (use.getOwner() != except)
      uses.push_back(&use);
  llvm::sort(uses, [](OpOperand *a, OpOperand *b) {
    if (a->getOwner() == b->getOwner())
      return a->getOperandNumber() < b->getOperandNumber();
    return a->getOwner()->isBeforeInBlock(b->getOwner());
  });
  std::string text;
  for (OpOperand *use : ArrayRef(uses).take_front(mostNamed)) {
    text += text.empty() ? "" : ", ";
    if (isa<func::ReturnOp>(use->getOwner()))
      text += "return (result " + std::to_string(use->getOperandNumber()) + ")";
    else
      text += describe(use->getOwner());
  }
  if (uses.size() > mostNamed)
    text += " and " + std::to_string(uses.size() - mostNamed) + " more";
  return text;
}

static remark::RemarkOpts optionsFor(Operation *op, StringLiteral pass) {
  auto options = remark::RemarkOpts::name(pass).category(pass);
  if (auto entry = op->getParentOfType<func::FuncOp>())
    return options.function(entry.getSymName());
  return options;
}

remark::detail::InFlightRemark vlmc::reportPassed(Operation *op,
                                                  StringLiteral pass) {
  return remark::passed(op->getLoc(), optionsFor(op, pass));
}

remark::detail::InFlightRemark vlmc::reportMissed(Operation *op,
                                                  StringLiteral pass) {
  return remark::missed(op->getLoc(), optionsFor(op, pass));
}

remark::detail::InFlightRemark vlmc::reportAnalysis(Operation *op,
                                                    StringLiteral pass) {
  return remark::analysis(op->getLoc(), optionsFor(op, pass));
}

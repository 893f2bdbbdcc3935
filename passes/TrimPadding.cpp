//===-- TrimPadding.cpp - tokens that no result depends on ----------------===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_TRIMPADDINGPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "trim-padding";

namespace {
/// Follows the tokens of an entry from its inputs to the op that picks one of
/// each sequence.
class TokenFlow {
public:
  explicit TokenFlow(func::FuncOp entry) : entry(entry) {}

  /// "" if no result depends on tokens behind the picked one, else the reason.
  std::string follow();
  /// Nothing: the entry picks no tokens.
  TokenIndexOp pick;
  StringAttr symbol;

private:
  std::string findTokens();
  std::string findArguments(unsigned input);
  std::string look(Operation &op);
  bool hasTokens(Value value) const { return tokens.contains(value); }

  func::FuncOp entry;
  llvm::DenseSet<Value> tokens; ///< values with a row for each token
};
} // namespace

static ArrayAttr getDims(func::FuncOp entry, unsigned argument) {
  return entry.getArgAttrOfType<ArrayAttr>(argument, names::dims);
}

/// The op that picks, and the size symbol of the ids that it looks at.
std::string TokenFlow::findTokens() {
  for (auto index : entry.getBody().front().getOps<TokenIndexOp>()) {
    if (pick)
      return "it picks tokens twice";
    pick = index;
  }
  if (!pick)
    return "";
  auto ids = dyn_cast<BlockArgument>(pick.getIds());
  if (!ids)
    return "the ids are computed";
  symbol = cast<StringAttr>(getDims(entry, ids.getArgNumber())[1]);
  return symbol.empty() ? "the number of tokens is fixed"
                        : findArguments(ids.getArgNumber());
}

/// All inputs with a column for each token; they must be cut in the same way.
std::string TokenFlow::findArguments(unsigned input) {
  ArrayAttr like = getDims(entry, input);
  for (BlockArgument argument : entry.getArguments()) {
    unsigned number = argument.getArgNumber();
    if (entry.getArgAttr(number, names::below) == symbol)
      return "values of an input are counted in tokens";
    ArrayAttr dims = getDims(entry, number);
    if (!llvm::is_contained(dims, symbol))
      continue;
    if (dims != like)
      return "an input has tokens in another way than the ids";
    tokens.insert(argument);
  }
  return "";
}

/// What an op does with the tokens: marks its result, or says what is wrong.
std::string TokenFlow::look(Operation &op) {
  if (llvm::none_of(op.getOperands(), [&](Value v) { return hasTokens(v); }))
    return "";
  if (isa<EmbeddingOp, LayerNormOp, RmsNormOp, L2NormalizeOp, ActivationOp,
          LinearOp, SliceFeaturesOp, AddOp, MultiplyOp>(op)) {
    tokens.insert(op.getResult(0));
    return "";
  }
  if (op.getResults() == pick->getResults())
    return "";
  if (auto attention = dyn_cast<AttentionOp>(op)) {
    if (!attention.getCausal())
      return "attention sees tokens behind it";
    if (!hasTokens(attention.getKey()) || !hasTokens(attention.getValue()))
      return "attention sees something else than tokens";
    // The columns of a mask are an input: the runtime looks at them too.
    if (Value valid = attention.getKeyValid();
        valid && !isa<BlockArgument>(valid))
      return "a mask is computed";
    if (hasTokens(attention.getQuery()))
      tokens.insert(attention.getResult());
    else if (attention.getQueryPosition() != pick.getResult())
      return "attention has queries of other tokens";
    return "";
  }
  if (auto take = dyn_cast<TakeTokensOp>(op))
    return take.getIndex() == pick.getResult() ? "" : "another token is taken";
  return isa<func::ReturnOp>(op) ? "a result has all tokens"
                                 : "an op reads all tokens";
}

std::string TokenFlow::follow() {
  std::string problem = findTokens();
  if (!pick || !problem.empty())
    return problem;
  for (Operation &op : entry.getBody().front())
    if (problem = look(op); !problem.empty())
      return problem;
  return "";
}

namespace {
struct TrimPaddingPass
    : public vlmc::impl::TrimPaddingPassBase<TrimPaddingPass> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<func::FuncOp>())
      if (entry->hasAttr(names::entry))
        trim(entry);
  }

private:
  void trim(func::FuncOp entry) {
    TokenFlow flow(entry);
    std::string problem = flow.follow();
    if (!flow.pick)
      return;
    if (!problem.empty()) {
      reportMissed(entry, passName)
          << remark::add("padding is computed: {0}", problem);
      return;
    }
    Builder builder(&getContext());
    bool isFirst = flow.pick.getKind() == TokenIndexKind::FirstEqual;
    unsigned input = cast<BlockArgument>(flow.pick.getIds()).getArgNumber();
    entry->setAttr(
        names::trim,
        builder.getDictionaryAttr(
            {builder.getNamedAttr("id", builder.getI64IntegerAttr(
                                            isFirst ? flow.pick.getId() : 0)),
             builder.getNamedAttr("input",
                                  entry.getArgAttr(input, names::name)),
             builder.getNamedAttr(
                 "kind", builder.getStringAttr(
                             stringifyTokenIndexKind(flow.pick.getKind()))),
             builder.getNamedAttr("symbol", flow.symbol)}));
    reportPassed(entry, passName)
        << remark::add("tokens behind the picked one are not computed");
  }
};
} // namespace

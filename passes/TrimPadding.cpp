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
/// each sequence, or to attention that sees those alone that a mask shows.
class TokenFlow {
public:
  explicit TokenFlow(func::FuncOp entry) : entry(entry) {}

  /// "" if no result depends on tokens behind the picked one, or behind the
  /// last one shown, else the reason.
  std::string follow();
  /// Nothing: the entry picks no tokens.
  TokenIndexOp pick;
  /// Where none is picked: the mask of all attention; may be null as well.
  BlockArgument mask;
  StringAttr symbol;

private:
  std::string findTokens();
  std::string findMask();
  std::string lookMasked(Operation &op);
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
    return findMask();
  auto ids = dyn_cast<BlockArgument>(pick.getIds());
  if (!ids)
    return "the ids are computed";
  symbol = cast<StringAttr>(getDims(entry, ids.getArgNumber())[1]);
  return symbol.empty() ? "the number of tokens is fixed"
                        : findArguments(ids.getArgNumber());
}

/// The mask of the first attention that has one which is an input.
std::string TokenFlow::findMask() {
  for (auto attention : entry.getBody().front().getOps<AttentionOp>())
    if (!mask && attention.getKeyValid())
      mask = dyn_cast<BlockArgument>(attention.getKeyValid());
  if (!mask)
    return "";
  symbol = cast<StringAttr>(getDims(entry, mask.getArgNumber())[1]);
  return symbol.empty() ? "the number of tokens is fixed"
                        : findArguments(mask.getArgNumber());
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
    // Behind a mask each token may have several numbers.
    bool isLike = dims == like || (mask && dims.size() > 2 &&
                                   dims.getValue().take_front(2) ==
                                       like.getValue());
    if (!isLike || llvm::count(dims, symbol) > 1)
      return "an input has tokens in another way than the ids";
    tokens.insert(argument);
  }
  return "";
}

/// What an op does with tokens that a mask shows or hides.
std::string TokenFlow::lookMasked(Operation &op) {
  if (auto attention = dyn_cast<AttentionOp>(op)) {
    if (!hasTokens(attention.getKey()) || !hasTokens(attention.getValue()))
      return "attention sees something else than tokens";
    if (attention.getKeyValid() != mask || attention.getAmongInvalid())
      return "attention sees tokens that the mask hides";
    if (attention.getQueryPosition() || attention.getDistanceBias())
      return "attention looks at where tokens stand";
    if (hasTokens(attention.getQuery()))
      tokens.insert(attention.getResult());
    return "";
  }
  if (auto take = dyn_cast<TakeTokensOp>(op))
    return take.getPosition() == uint64_t(0) ? "" : "another token is taken";
  return isa<func::ReturnOp>(op) ? "a result has all tokens"
                                 : "an op reads all tokens";
}

/// What an op does with the tokens: marks its result, or says what is wrong.
std::string TokenFlow::look(Operation &op) {
  if (llvm::none_of(op.getOperands(), [&](Value v) { return hasTokens(v); }))
    return "";
  if (isa<EmbeddingOp, LayerNormOp, RmsNormOp, L2NormalizeOp, ActivationOp,
          LinearOp, SliceFeaturesOp, AddOp, MultiplyOp, AddGridPositionsOp>(
          op)) {
    tokens.insert(op.getResult(0));
    return "";
  }
  if (!pick)
    return lookMasked(op);
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
  if ((!pick && !mask) || !problem.empty())
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
    if (!flow.pick && !flow.mask)
      return;
    if (!problem.empty()) {
      reportMissed(entry, passName)
          << remark::add("padding is computed: {0}", problem);
      return;
    }
    if (flow.mask) {
      note(entry, flow.mask, names::trimMask, 0, flow.symbol);
      reportPassed(entry, passName) << remark::add(
          "tokens behind the last one that the mask shows are not computed");
      return;
    }
    bool isFirst = flow.pick.getKind() == TokenIndexKind::FirstEqual;
    note(entry, cast<BlockArgument>(flow.pick.getIds()),
         stringifyTokenIndexKind(flow.pick.getKind()),
         isFirst ? flow.pick.getId() : 0, flow.symbol);
    reportPassed(entry, passName)
        << remark::add("tokens behind the picked one are not computed");
  }

  void note(func::FuncOp entry, BlockArgument input, StringRef kind, int64_t id,
            StringAttr symbol) {
    Builder builder(&getContext());
    entry->setAttr(
        names::trim,
        builder.getDictionaryAttr(
            {builder.getNamedAttr("id", builder.getI64IntegerAttr(id)),
             builder.getNamedAttr("input", entry.getArgAttr(input.getArgNumber(),
                                                            names::name)),
             builder.getNamedAttr("kind", builder.getStringAttr(kind)),
             builder.getNamedAttr("symbol", symbol)}));
  }
};
} // namespace

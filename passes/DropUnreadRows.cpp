//===-- DropUnreadRows.cpp - compute only the rows that are read ----------===//
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_DROPUNREADROWSPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "drop-unread-rows";

/// Puts `op` as early as its operands allow.
static void hoist(Operation *op) {
  Operation *last = nullptr;
  for (Value operand : op->getOperands())
    if (Operation *producer = operand.getDefiningOp())
      if (!last || last->isBeforeInBlock(producer))
        last = producer;
  if (last)
    op->moveAfter(last);
  else
    op->moveBefore(&op->getBlock()->front());
}

static bool takesSame(TakeTokensOp a, TakeTokensOp b) {
  return a.getIndex() == b.getIndex() && a.getPosition() == b.getPosition();
}

/// `value` at the tokens that `like` takes: an existing op or a new one, as
/// early as possible.
static Value takeLike(Value value, TakeTokensOp like) {
  for (Operation *user : value.getUsers())
    if (auto take = dyn_cast<TakeTokensOp>(user))
      if (take.getInput() == value && takesSame(take, like)) {
        hoist(take);
        return take;
      }
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[1] = like.getType().getDimSize(1);
  OpBuilder builder(like);
  auto take =
      TakeTokensOp::create(builder, like.getLoc(), type.clone(shape), value,
                           like.getIndex(), like.getPositionAttr());
  if (Operation *producer = value.getDefiningOp())
    if (Attribute label = producer->getAttr(names::label))
      take->setAttr(names::label, label);
  hoist(take);
  return take;
}

/// Merges takes of the same tokens of the same value; whether there were any.
static bool mergeTakes(TakeTokensOp take) {
  SmallVector<TakeTokensOp> same;
  for (Operation *user : take.getInput().getUsers())
    if (auto other = dyn_cast<TakeTokensOp>(user))
      if (other != take && other.getInput() == take.getInput() &&
          takesSame(other, take))
        same.push_back(other);
  if (!same.empty())
    hoist(take);
  for (TakeTokensOp other : same) {
    other.replaceAllUsesWith(take.getResult());
    other.erase();
  }
  return !same.empty();
}

/// How many tokens stand in front of each sequence.
static int64_t countFront(PrependTokensOp prepend) {
  auto type = cast<RankedTensorType>(prepend.getTokens().getType());
  return type.getDimSize(type.getRank() - 2);
}

/// Which operands of `op` have to be taken so that its result is; or why it
/// does not work.
static std::string operandsToTake(Operation *op, TakeTokensOp take,
                                  SmallVectorImpl<unsigned> &operands) {
  if (isa<LayerNormOp, RmsNormOp, L2NormalizeOp, ActivationOp, LinearOp,
          ScaleOp, SliceFeaturesOp>(op)) {
    operands.assign({0});
    return "";
  }
  if (isa<MultiplyOp, RopeOp>(op)) {
    operands.assign({0, 1});
    return "";
  }
  if (auto gated = dyn_cast<GatedAddOp>(op)) {
    operands.assign({0, 1});
    return gated.getShown() ? "it looks at a column of all tokens" : "";
  }
  if (auto attention = dyn_cast<CachedAttentionOp>(op)) {
    operands.assign({0});
    return attention.getQueryToken() ? "its queries are taken already"
           : take.getIndex()         ? ""
                                     : "the token is known by a constant";
  }
  if (auto add = dyn_cast<AddOp>(op)) {
    operands.assign({0});
    auto rhs = cast<RankedTensorType>(add.getRhs().getType());
    if (rhs == add.getLhs().getType())
      operands.push_back(1);
    else if (rhs.getRank() > 1)
      return "it adds other rows of a weight to each token";
    return "";
  }
  if (auto attention = dyn_cast<AttentionOp>(op)) {
    operands.assign({0});
    if (attention.isQueryShared() && take.getIndex())
      return "its queries are shared by all sequences, each of which takes a "
             "token of its own";
    if (attention.getQueryPosition())
      return "its queries have positions already";
    if (attention.getCausal() && !take.getIndex())
      return "it is causal and the token is known by a constant, not by an "
             "index that could be its query's position";
    if (attention.getDistanceBias() && !take.getIndex())
      return "it has a bias by distance and the token is known by a constant, "
             "not by an index that could be its query's position";
    return "";
  }
  if (auto prepend = dyn_cast<PrependTokensOp>(op)) {
    int64_t learned = countFront(prepend);
    operands.assign({1});
    if (take.getPosition() &&
        static_cast<int64_t>(*take.getPosition()) >= learned)
      return "";
    return "the token may be a learned one";
  }
  return "its rows are not computed each by itself";
}

/// `prepend_tokens` and a token behind the learned ones: that of its input.
static Value takeBehind(PrependTokensOp prepend, TakeTokensOp take) {
  int64_t learned = countFront(prepend);
  OpBuilder builder(take);
  auto behind = TakeTokensOp::create(
      builder, take.getLoc(), take.getType(), prepend.getInput(), Value(),
      builder.getI64IntegerAttr(*take.getPosition() - learned));
  if (Attribute label = take->getAttr(names::label))
    behind->setAttr(names::label, label);
  hoist(behind);
  return behind;
}

/// `op` computed on the taken rows of its operands, in place of `take`.
static Value computeTaken(Operation *op, TakeTokensOp take,
                          ArrayRef<unsigned> operands) {
  if (auto prepend = dyn_cast<PrependTokensOp>(op))
    return takeBehind(prepend, take);
  SmallVector<Value> inputs;
  for (unsigned operand : operands)
    inputs.push_back(takeLike(op->getOperand(operand), take));
  OpBuilder builder(take);
  Operation *taken = builder.clone(*op);
  for (auto [operand, input] : llvm::zip_equal(operands, inputs))
    taken->setOperand(operand, input);
  if (auto attention = dyn_cast<AttentionOp>(taken);
      attention && (attention.getCausal() || attention.getDistanceBias()))
    attention.getQueryPositionMutable().assign(take.getIndex());
  if (auto attention = dyn_cast<CachedAttentionOp>(taken))
    attention.getQueryTokenMutable().assign(take.getIndex());
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[1] = take.getType().getDimSize(1);
  taken->getResult(0).setType(type.clone(shape));
  return taken->getResult(0);
}

/// Moves one take above the op that it reads and fails: the takes are others
/// now. Otherwise tells why it stays (nothing where there is nothing to gain).
static FailureOr<std::string> push(TakeTokensOp take) {
  if (mergeTakes(take))
    return failure();
  Operation *op = take.getInput().getDefiningOp();
  if (!op || isa<TakeTokensOp, GetWeightOp>(op))
    return std::string();
  SmallVector<unsigned> operands;
  std::string why = operandsToTake(op, take, operands);
  if (why.empty() && !take.getInput().hasOneUse())
    why = "all its rows are read by " + describeReaders(take.getInput(), take);
  if (!why.empty())
    return why;
  reportPassed(op, passName)
      << remark::add("{0} is computed for the taken tokens only", describe(op));
  take.replaceAllUsesWith(computeTaken(op, take, operands));
  take.erase();
  op->erase();
  return failure();
}

static void dropRows(func::FuncOp entry) {
  for (auto index : llvm::make_early_inc_range(entry.getOps<TokenIndexOp>()))
    hoist(index);
  for (bool changed = true; changed;) {
    changed = false;
    for (TakeTokensOp take : llvm::to_vector(entry.getOps<TakeTokensOp>()))
      if (failed(push(take))) {
        changed = true;
        break;
      }
  }
  for (TakeTokensOp take : llvm::to_vector(entry.getOps<TakeTokensOp>())) {
    FailureOr<std::string> why = push(take);
    if (succeeded(why) && !why->empty())
      reportMissed(take, passName) << remark::reason(
          "all rows of {0} are computed, though some are taken: {1}",
          describe(take.getInput().getDefiningOp()), *why);
  }
}

struct DropUnreadRows : vlmc::impl::DropUnreadRowsPassBase<DropUnreadRows> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<func::FuncOp>())
      dropRows(entry);
  }
};

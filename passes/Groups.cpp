//===-- Groups.cpp - growing vlm.group ------------------------------------===//
#include "passes/Groups.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

/// The operand number of a value that the group reads.
static std::optional<unsigned> findInput(GroupOp group, Value value) {
  for (auto [i, input] : llvm::enumerate(group.getInputs()))
    if (input == value)
      return i;
  return std::nullopt;
}

/// The block argument for `value`; a value that is not read yet becomes
/// operand `place`.
static BlockArgument addInput(GroupOp group, Value value, unsigned place) {
  Block &body = group.getBody().front();
  if (std::optional<unsigned> known = findInput(group, value))
    return body.getArgument(*known);
  group->insertOperands(place, value);
  return body.insertArgument(place, value.getType(), value.getLoc());
}

GroupOp vlmc::wrapInGroup(Operation *op, AnchorKind anchor) {
  OpBuilder builder(op);
  llvm::SetVector<Value> inputs(op->operand_begin(), op->operand_end());
  auto group = GroupOp::create(builder, op->getLoc(), op->getResultTypes(),
                               anchor, inputs.getArrayRef());
  if (Attribute label = op->getAttr(names::label))
    group->setAttr(names::label, label);
  Block &body = group.getBody().emplaceBlock();
  IRMapping mapping;
  for (Value input : inputs)
    mapping.map(input, body.addArgument(input.getType(), input.getLoc()));
  builder.setInsertionPointToStart(&body);
  Operation *inner = builder.clone(*op, mapping);
  YieldOp::create(builder, op->getLoc(), inner->getResults());
  op->replaceAllUsesWith(group.getResults());
  op->erase();
  return group;
}

void vlmc::pullProducer(GroupOp group, Operation *producer) {
  Block &body = group.getBody().front();
  unsigned place = *findInput(group, producer->getResult(0));
  IRMapping mapping;
  for (Value operand : producer->getOperands()) {
    bool isNew = !findInput(group, operand) && !mapping.contains(operand);
    mapping.map(operand, addInput(group, operand, place));
    place += isNew;
  }
  OpBuilder builder = OpBuilder::atBlockBegin(&body);
  Operation *inner = builder.clone(*producer, mapping);
  unsigned old = *findInput(group, producer->getResult(0));
  body.getArgument(old).replaceAllUsesWith(inner->getResult(0));
  body.eraseArgument(old);
  group->eraseOperand(old);
  if (producer->use_empty())
    producer->erase();
}

void vlmc::pullConsumer(GroupOp group, Operation *consumer) {
  Operation *yield = group.getBody().front().getTerminator();
  IRMapping mapping;
  mapping.map(group->getResult(0), yield->getOperand(0));
  for (Value operand : consumer->getOperands())
    if (!mapping.contains(operand))
      mapping.map(operand, addInput(group, operand, group.getInputs().size()));
  OpBuilder builder(yield);
  Operation *inner = builder.clone(*consumer, mapping);
  yield->setOperand(0, inner->getResult(0));
  group->moveBefore(consumer);
  consumer->getResult(0).replaceAllUsesWith(group->getResult(0));
  consumer->erase();
  group->getResult(0).setType(inner->getResult(0).getType());
}

Operation *vlmc::getAnchorOp(Block &body) {
  for (Operation &op : body)
    if (isa<LinearOp, PatchEmbedOp, Conv2dOp, AttentionOp, CachedAttentionOp,
            ContrastiveLogitsOp>(op))
      return &op;
  return nullptr;
}

SmallVector<BlockArgument> vlmc::getInputArguments(GroupOp group) {
  Operation *anchor = getAnchorOp(group.getBody().front());
  if (!anchor)
    return {};
  llvm::SetVector<Value> path;
  path.insert(anchor->getOperand(0));
  SmallVector<BlockArgument> arguments;
  for (size_t i = 0; i < path.size(); ++i) {
    if (auto argument = dyn_cast<BlockArgument>(path[i])) {
      arguments.push_back(argument);
      continue;
    }
    for (Value operand : path[i].getDefiningOp()->getOperands())
      path.insert(operand);
  }
  llvm::sort(arguments, [](BlockArgument a, BlockArgument b) {
    return a.getArgNumber() < b.getArgNumber();
  });
  return arguments;
}

SmallVector<GroupOp> vlmc::getGroups(func::FuncOp entry, AnchorKind anchor) {
  SmallVector<GroupOp> groups;
  for (GroupOp group : entry.getOps<GroupOp>())
    if (group.getAnchor() == anchor)
      groups.push_back(group);
  return groups;
}

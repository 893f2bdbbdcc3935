//===-- VlmOps.h - the ops of the vlm dialect ----------------------------------------------------------------------------------------===//
//
// Op classes; see VlmOps.td for what each means. Builders: `LinearOp::create(b, loc, resultType, input, weight, bias)`.
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_IR_VLM_VLMOPS_H
#define VLMC_IR_VLM_VLMOPS_H

#include "ir/Vlm/VlmDialect.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/CallInterfaces.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#define GET_OP_CLASSES
#include "ir/Vlm/VlmOps.h.inc"

namespace vlmc::vlm {

/// Names of the attributes that mark functions and modules; each says where it stands and what it holds.
namespace names {
/// On a `func.func`: it is an entry point of the model.
inline constexpr llvm::StringLiteral entry = "vlm.entry";
/// On an entry: ArrayAttr of `#vlm.symbol`, its size symbols.
inline constexpr llvm::StringLiteral symbols = "vlm.symbols";
/// On an argument or result of an entry: StringAttr, its name in the C API.
inline constexpr llvm::StringLiteral name = "vlm.name";
/// On an argument of an entry: ArrayAttr of StringAttr, one per dimension; the symbol of a dynamic dimension, "" for a static one.
inline constexpr llvm::StringLiteral dims = "vlm.dims";
/// On an integer argument of an entry: DenseI64ArrayAttr [min, max], the range of its values.
inline constexpr llvm::StringLiteral range = "vlm.range";
/// On an integer argument of an entry: StringAttr, the size symbol that its values are less than, besides their range.
inline constexpr llvm::StringLiteral below = "vlm.below";
/// On an argument of an entry: IntegerAttr (i64); the argument may be left out and is then filled with this value.
inline constexpr llvm::StringLiteral fill = "vlm.fill";
/// On an entry: DictionaryAttr of `symbol`, the size symbol of its tokens; `input`, the name of the ids; `kind` and `id` as of `vlm.token_index`. No
/// result depends on tokens behind the one so picked. Or, with the kind `mask`, on those behind the last one that is not 0 in the input.
inline constexpr llvm::StringLiteral trim = "vlm.trim";
inline constexpr llvm::StringLiteral trimMask = "mask";
/// On a planned entry: ArrayAttr of ArrayAttr of `#vlm.size`: for each arena slot the sizes (bytes) whose maximum it has.
inline constexpr llvm::StringLiteral slots = "vlm.slots";
/// On the module: StringAttr, the model's name and family, and `#vlm.target`-like description strings.
inline constexpr llvm::StringLiteral model = "vlm.model";
/// On the module: StringAttr, the target (`x86-64-v3`), once one is chosen.
inline constexpr llvm::StringLiteral target = "vlm.target";
/// On any tensor-level op: StringAttr, where in the model it stands ("vision.layers.3.mlp.fc1").
inline constexpr llvm::StringLiteral label = "vlm.label";
} // namespace names

/// Places of a sequence in one page of a cache; attention takes keys page by page.
inline constexpr int64_t pageTokens = 64;

/// The number of elements of the last dimension.
inline int64_t getFeatures(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType()).getShape().back();
}

} // namespace vlmc::vlm

#endif // VLMC_IR_VLM_VLMOPS_H

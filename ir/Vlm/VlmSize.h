//===-- VlmSize.h - arithmetic on sizes over an entry's symbols -----------------------------------------------------------------------===//
//
// A `Size` is a polynomial with non-negative integer coefficients over named symbols (B, T, ...), as `#vlm.size` holds it. The planner adds and
// multiplies sizes; the packager writes them as `vlm_abi_size`; `DimAnalysis` tells the dims of every value of an entry.
//
//   Size b = Size::symbol(ctx, "B");
//   Size bytes = b * 50 * 768 * 4 + 64;
//   SizeAttr attr = bytes.toAttr(ctx);
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_IR_VLM_VLMSIZE_H
#define VLMC_IR_VLM_VLMSIZE_H

#include "ir/Vlm/VlmOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <map>
#include <string>
#include <vector>

namespace vlmc::vlm {

/// A polynomial with non-negative coefficients. A term's key is its sorted list of symbol names, one entry per power; {} is the constant term.
class Size {
public:
  Size(int64_t constant = 0);
  static Size symbol(llvm::StringRef name);
  static Size fromAttr(SizeAttr attr);
  SizeAttr toAttr(mlir::MLIRContext *context) const;

  Size operator+(const Size &other) const;
  Size operator*(const Size &other) const;
  bool operator==(const Size &other) const { return terms == other.terms; }
  bool operator<(const Size &other) const { return terms < other.terms; }

  bool isConstant() const;
  /// The value for the given symbol values; every symbol must be there.
  int64_t evaluate(const llvm::StringMap<int64_t> &values) const;
  /// Replaces symbols by sizes; symbols that are not in `values` stay.
  Size substitute(const llvm::StringMap<Size> &values) const;
  /// Whether every coefficient is at most the other's: then the size is at most the other's for all symbol values.
  bool isAtMost(const Size &other) const;
  std::string str() const;

  using Terms = std::map<std::vector<std::string>, int64_t>;
  const Terms &getTerms() const { return terms; }

private:
  Terms terms;
};

/// The dims of every value of an entry point as sizes. Dynamic dims of arguments come from `vlm.dims`, those of op results from
/// `DimsOpInterface`, those of calls from the callee's region.
class DimAnalysis {
public:
  /// Analyses `entry`, looking up callees in `symbolTable`'s module. Fails with a diagnostic where a dimension's source is unknown.
  static mlir::FailureOr<DimAnalysis> compute(mlir::func::FuncOp entry);

  /// One size per dimension of a value.
  llvm::ArrayRef<Size> getDims(mlir::Value value) const;
  /// The number of elements.
  Size getElements(mlir::Value value) const;
  /// Bytes of the value, dense.
  Size getBytes(mlir::Value value) const;
  /// The dynamic dims of a call's operands, in order: what its kernel gets as `dims`.
  std::vector<Size> getCallDims(CallOp call) const;
  /// The floating-point operations of a call's products, two for each multiply-add; masks and caches are not looked at, since what they leave out
  /// depends on values.
  Size getFlops(CallOp call) const;

private:
  llvm::DenseMap<mlir::Value, std::vector<Size>> dims;
  llvm::DenseMap<mlir::Operation *, Size> flops; ///< of calls
  Size countFlops(mlir::Operation *op) const;
  mlir::LogicalResult visit(mlir::Operation *op);
  mlir::LogicalResult visitRegionOf(mlir::Operation *op, mlir::Region &region, mlir::ValueRange operands);
};

} // namespace vlmc::vlm

#endif // VLMC_IR_VLM_VLMSIZE_H

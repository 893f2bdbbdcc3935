//===-- Buffers.cpp - the buffers of an entry and how long they live ------===//
#include "passes/Buffers.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

std::string Buffer::describe() const {
  CallOp op = call;
  std::string text = isTemporary ? "temporary " : "result ";
  text +=
      std::to_string(number) + " of the call of '" + op.getCallee().str() + "'";
  if (std::optional<StringRef> label = op.getLabel())
    text += " for '" + label->str() + "'";
  return text;
}

SmallVector<Size> vlmc::getKernelTemps(KernelOp kernel) {
  SmallVector<Size> temps;
  if (DictionaryAttr tiles = kernel.getTilesAttr())
    if (auto sizes = tiles.getAs<ArrayAttr>("temps"))
      for (auto size : sizes.getAsRange<SizeAttr>())
        temps.push_back(Size::fromAttr(size));
  return temps;
}

Size vlmc::getKernelScratch(KernelOp kernel) {
  if (DictionaryAttr tiles = kernel.getTilesAttr())
    if (auto size = tiles.getAs<SizeAttr>("scratch"))
      return Size::fromAttr(size);
  return Size();
}

Size vlmc::sizeInCall(const Size &size, const DimAnalysis &dims, CallOp call) {
  llvm::StringMap<Size> values;
  for (auto [i, dim] : llvm::enumerate(dims.getCallDims(call)))
    values["d" + std::to_string(i)] = dim;
  return size.substitute(values);
}

/// The number of the last call that reads a value, or that makes it.
static int64_t lastReader(Value value, int64_t maker,
                          const llvm::DenseMap<Operation *, int64_t> &numbers) {
  int64_t last = maker;
  for (Operation *user : value.getUsers())
    if (auto it = numbers.find(user); it != numbers.end())
      last = std::max(last, it->second);
  return last;
}

SmallVector<Buffer> vlmc::collectBuffers(func::FuncOp entry,
                                         const DimAnalysis &dims) {
  llvm::DenseMap<Operation *, int64_t> numbers;
  for (CallOp call : entry.getOps<CallOp>())
    numbers.try_emplace(call, numbers.size());
  SmallVector<Buffer> buffers;
  for (CallOp call : entry.getOps<CallOp>()) {
    int64_t here = numbers.lookup(call);
    for (OpResult result : call->getResults()) {
      bool isOutput = llvm::any_of(result.getUsers(), [](Operation *user) {
        return isa<func::ReturnOp>(user);
      });
      buffers.push_back({call, /*isTemporary=*/false, result.getResultNumber(),
                         isOutput, dims.getBytes(result), here,
                         lastReader(result, here, numbers)});
    }
    auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelOp>(
        call, call.getCalleeAttr());
    for (auto [i, size] : llvm::enumerate(getKernelTemps(kernel)))
      buffers.push_back({call, /*isTemporary=*/true, static_cast<unsigned>(i),
                         /*isOutput=*/false, sizeInCall(size, dims, call), here,
                         here});
  }
  return buffers;
}

//===-- VerifyPlanned.cpp - check the planned border ----------------------===//
#include "passes/Buffers.h"
#include "passes/Passes.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_VERIFYPLANNEDPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

/// The sizes of each slot; fails with a diagnostic if they are not well made.
static FailureOr<SmallVector<SmallVector<Size>>> readSlots(func::FuncOp entry) {
  auto attribute = entry->getAttrOfType<ArrayAttr>(names::slots);
  if (!attribute)
    return entry.emitError() << "entry '" << entry.getSymName() << "' has no '"
                             << names::slots << "'; run --vlm-plan-memory";
  llvm::StringSet<> symbols;
  if (auto known = entry->getAttrOfType<ArrayAttr>(names::symbols))
    for (auto symbol : known.getAsRange<SymbolInfoAttr>())
      symbols.insert(symbol.getName().getValue());
  SmallVector<SmallVector<Size>> slots;
  for (auto [i, slot] : llvm::enumerate(attribute)) {
    auto sizes = dyn_cast<ArrayAttr>(slot);
    if (!sizes || sizes.empty() ||
        !llvm::all_of(sizes, llvm::IsaPred<SizeAttr>))
      return entry.emitError()
             << "entry '" << entry.getSymName() << "': slot " << i
             << " must be a list of #vlm.size, but is " << slot;
    auto &list = slots.emplace_back();
    for (auto attr : sizes.getAsRange<SizeAttr>()) {
      list.push_back(Size::fromAttr(attr));
      for (const auto &[names, coefficient] : list.back().getTerms())
        for (const std::string &name : names)
          if (!symbols.contains(name))
            return entry.emitError()
                   << "entry '" << entry.getSymName() << "': slot " << i
                   << " has the size " << attr << ", but '" << name
                   << "' is no symbol of the entry";
    }
  }
  return slots;
}

/// The slot number that a call gives a buffer.
static FailureOr<int64_t> slotOf(const Buffer &buffer) {
  CallOp call = buffer.call;
  std::optional<ArrayRef<int64_t>> numbers =
      buffer.isTemporary ? call.getTemps() : call.getSlots();
  if (!numbers || buffer.number >= numbers->size())
    return call.emitOpError() << "gives no slot to " << buffer.describe();
  return (*numbers)[buffer.number];
}

static LogicalResult checkFits(const Buffer &buffer, int64_t slot,
                               ArrayRef<SmallVector<Size>> slots) {
  CallOp call = buffer.call;
  if (buffer.isOutput != (slot == -1))
    return call.emitOpError()
           << buffer.describe()
           << (buffer.isOutput ? " is an output of the entry and has slot -1"
                               : " is no output of the entry and has a slot")
           << ", but it has " << slot;
  if (slot == -1)
    return success();
  if (slot < 0 || slot >= static_cast<int64_t>(slots.size()))
    return call.emitOpError() << buffer.describe() << " has slot " << slot
                              << ", but there are " << slots.size();
  if (llvm::none_of(slots[slot], [&](const Size &size) {
        return buffer.bytes.isAtMost(size);
      }))
    return call.emitOpError()
           << buffer.describe() << " needs " << buffer.bytes.str()
           << " bytes, but no size of slot " << slot << " is as large";
  return success();
}

/// Checks that buffers that live at once are in different slots.
static LogicalResult checkOverlaps(ArrayRef<Buffer> buffers,
                                   ArrayRef<int64_t> numbers) {
  for (size_t b = 0; b < buffers.size(); ++b)
    for (size_t a = 0; a < b; ++a) {
      if (numbers[a] != numbers[b] || numbers[a] == -1 ||
          !buffers[a].overlaps(buffers[b]))
        continue;
      CallOp call = buffers[b].call;
      InFlightDiagnostic diagnostic =
          call.emitOpError()
          << buffers[b].describe() << " shares slot " << numbers[b] << " with "
          << buffers[a].describe() << ", which is still needed";
      diagnostic.attachNote(CallOp(buffers[a].call).getLoc())
          << "the other buffer is made here";
      return diagnostic;
    }
  return success();
}

/// Checks the counts of slots and the scratch of a call.
static LogicalResult checkCall(CallOp call, const DimAnalysis &dims) {
  auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelOp>(
      call, call.getCalleeAttr());
  size_t temps = getKernelTemps(kernel).size();
  size_t given = call.getTemps().value_or(ArrayRef<int64_t>()).size();
  if (given > temps)
    return call.emitOpError() << "gives slots to " << given
                              << " temporaries, but its kernel has " << temps;
  size_t results = call.getSlots().value_or(ArrayRef<int64_t>()).size();
  if (results > call.getNumResults())
    return call.emitOpError() << "gives slots to " << results
                              << " results, but has " << call.getNumResults();
  Size scratch = sizeInCall(getKernelScratch(kernel), dims, call);
  Size own = call.getScratch() ? Size::fromAttr(*call.getScratch()) : Size();
  if (!call.getScratch() || !(own == scratch))
    return call.emitOpError() << "needs a scratch of " << scratch.str()
                              << " bytes per thread, but has "
                              << (call.getScratch() ? own.str() : "none");
  return success();
}

static LogicalResult checkEntry(func::FuncOp entry) {
  FailureOr<SmallVector<SmallVector<Size>>> slots = readSlots(entry);
  FailureOr<DimAnalysis> dims = DimAnalysis::compute(entry);
  if (failed(slots) || failed(dims))
    return failure();
  SmallVector<Buffer> buffers = collectBuffers(entry, *dims);
  SmallVector<int64_t> numbers;
  llvm::SmallBitVector used(slots->size());
  for (const Buffer &buffer : buffers) {
    FailureOr<int64_t> slot = slotOf(buffer);
    if (failed(slot) || failed(checkFits(buffer, *slot, *slots)))
      return failure();
    numbers.push_back(*slot);
    if (*slot >= 0)
      used.set(*slot);
  }
  for (CallOp call : entry.getOps<CallOp>())
    if (failed(checkCall(call, *dims)))
      return failure();
  if (!used.all())
    return entry.emitError()
           << "entry '" << entry.getSymName() << "': slot "
           << used.find_first_unset() << " is used by no call";
  return checkOverlaps(buffers, numbers);
}

struct VerifyPlanned : vlmc::impl::VerifyPlannedPassBase<VerifyPlanned> {
  void runOnOperation() override {
    markAllAnalysesPreserved();
    bool failedAny = false;
    for (auto kernel : getOperation().getOps<KernelOp>())
      if (!kernel.getStrategy()) {
        kernel.emitOpError() << "has no strategy; run --vlm-tile";
        failedAny = true;
      }
    for (auto weight : getOperation().getOps<WeightOp>())
      if (!isa_and_nonnull<LayoutAttr>(
              cast<RankedTensorType>(weight.getType()).getEncoding())) {
        weight.emitOpError() << "'" << weight.getSymName()
                             << "' has no layout; run --vlm-pack-weights";
        failedAny = true;
      }
    for (auto entry : getOperation().getOps<func::FuncOp>())
      failedAny |= failed(checkEntry(entry));
    if (failedAny)
      signalPassFailure();
  }
};

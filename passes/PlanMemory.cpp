//===-- PlanMemory.cpp - give every buffer a slot in the arena ------------===//
#include "mlir/IR/Builders.h"
#include "passes/Buffers.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include <numeric>

using namespace mlir;
using namespace vlmc;
using namespace vlmc::vlm;

namespace vlmc {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "passes/Passes.h.inc"
} // namespace vlmc

static constexpr llvm::StringLiteral passName = "plan-memory";

namespace {
/// A piece of the arena: its buffers, and the sizes whose maximum it has.
struct Slot {
  SmallVector<const Buffer *> tenants;
  SmallVector<Size> sizes;

  bool isFreeFor(const Buffer &buffer) const {
    return llvm::none_of(tenants, [&](const Buffer *tenant) {
      return tenant->overlaps(buffer);
    });
  }
  /// Whether the buffer fits for all values of the symbols.
  bool holds(const Size &size) const {
    return llvm::any_of(sizes,
                        [&](const Size &own) { return size.isAtMost(own); });
  }
  int64_t evaluate(const llvm::StringMap<int64_t> &values) const {
    int64_t most = 0;
    for (const Size &size : sizes)
      most = std::max(most, size.evaluate(values));
    return most;
  }
  void add(const Buffer &buffer) {
    tenants.push_back(&buffer);
    if (holds(buffer.bytes))
      return;
    llvm::erase_if(sizes,
                   [&](const Size &own) { return own.isAtMost(buffer.bytes); });
    sizes.push_back(buffer.bytes);
  }
};
} // namespace

/// The symbols' maxima: the arena must be small where it is largest.
static llvm::StringMap<int64_t> maximaOf(func::FuncOp entry) {
  llvm::StringMap<int64_t> values;
  if (auto symbols = entry->getAttrOfType<ArrayAttr>(names::symbols))
    for (auto symbol : symbols.getAsRange<SymbolInfoAttr>())
      values[symbol.getName().getValue()] = symbol.getMax();
  return values;
}

/// The free slot that wastes least for a buffer, or none. Slots that hold the
/// buffer for all values of the symbols come first.
static Slot *findSlot(MutableArrayRef<Slot> slots, const Buffer &buffer,
                      const llvm::StringMap<int64_t> &values) {
  Slot *best = nullptr;
  std::pair<bool, int64_t> bestCost;
  for (Slot &slot : slots) {
    if (!slot.isFreeFor(buffer))
      continue;
    int64_t waste = slot.evaluate(values) - buffer.bytes.evaluate(values);
    std::pair<bool, int64_t> cost{!slot.holds(buffer.bytes), std::abs(waste)};
    if (!best || cost < bestCost) {
      best = &slot;
      bestCost = cost;
    }
  }
  return best;
}

/// Slot numbers of all buffers, -1 for outputs; fills `slots`. Large buffers
/// choose first: a small one never makes a large one open another slot.
static SmallVector<int64_t> assignSlots(ArrayRef<Buffer> buffers,
                                        const llvm::StringMap<int64_t> &values,
                                        SmallVectorImpl<Slot> &slots) {
  SmallVector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), 0);
  llvm::sort(order, [&](size_t a, size_t b) {
    return std::pair(-buffers[a].bytes.evaluate(values), a) <
           std::pair(-buffers[b].bytes.evaluate(values), b);
  });
  SmallVector<int64_t> numbers(buffers.size(), -1);
  for (size_t i : order) {
    if (buffers[i].isOutput)
      continue;
    Slot *slot = findSlot(slots, buffers[i], values);
    if (!slot)
      slot = &slots.emplace_back();
    slot->add(buffers[i]);
    numbers[i] = slot - slots.begin();
  }
  return numbers;
}

static void writeCalls(func::FuncOp entry, ArrayRef<Buffer> buffers,
                       ArrayRef<int64_t> numbers, const DimAnalysis &dims) {
  Builder builder(entry.getContext());
  llvm::DenseMap<Operation *, SmallVector<int64_t>> results, temps;
  for (auto [buffer, number] : llvm::zip_equal(buffers, numbers)) {
    Operation *call = CallOp(buffer.call);
    (buffer.isTemporary ? temps : results)[call].push_back(number);
  }
  for (CallOp call : entry.getOps<CallOp>()) {
    auto kernel = SymbolTable::lookupNearestSymbolFrom<KernelOp>(
        call, call.getCalleeAttr());
    Size scratch = sizeInCall(getKernelScratch(kernel), dims, call);
    call.setSlots(results.lookup(call));
    call.setTemps(temps.lookup(call));
    call.setScratchAttr(scratch.toAttr(entry.getContext()));
  }
}

static void writeSlots(func::FuncOp entry, ArrayRef<Slot> slots) {
  Builder builder(entry.getContext());
  SmallVector<Attribute> all;
  for (const Slot &slot : slots) {
    SmallVector<Attribute> sizes;
    for (const Size &size : slot.sizes)
      sizes.push_back(size.toAttr(entry.getContext()));
    all.push_back(builder.getArrayAttr(sizes));
  }
  entry->setAttr(names::slots, builder.getArrayAttr(all));
}

static LogicalResult plan(func::FuncOp entry) {
  FailureOr<DimAnalysis> dims = DimAnalysis::compute(entry);
  if (failed(dims))
    return failure();
  llvm::StringMap<int64_t> values = maximaOf(entry);
  SmallVector<Buffer> buffers = collectBuffers(entry, *dims);
  SmallVector<Slot> slots;
  SmallVector<int64_t> numbers = assignSlots(buffers, values, slots);
  writeCalls(entry, buffers, numbers, *dims);
  writeSlots(entry, slots);
  int64_t arena = 0;
  for (const Slot &slot : slots)
    arena += slot.evaluate(values);
  reportAnalysis(entry, passName) << remark::add(
      "{0} buffers of entry '{1}' share {2} slots; the arena has {3} bytes at "
      "the symbols' maximum",
      buffers.size(), entry.getSymName().str(), slots.size(), arena);
  return success();
}

struct PlanMemory : vlmc::impl::PlanMemoryPassBase<PlanMemory> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<func::FuncOp>())
      if (failed(plan(entry)))
        return signalPassFailure();
  }
};

//===-- Predict.cpp - what kernels should take, before they run -----------===//
#include "tools/driver/Predict.h"
#include "ir/Vlm/VlmOps.h"
#include "ir/Vlm/VlmSize.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using llvm::formatv;
using vlmc::vlm::Size;

namespace vlmc {

/// Of a common server's core; ratios of kernels do not depend on it.
static constexpr double clockHertz = 3e9, readRate = 12e9;

double Roof::limit(double workFlops, double workBytes) const {
  return std::max(workFlops / flops, workBytes / bytes);
}

Roof roofOf(const Target &target) {
  auto lanes = static_cast<double>(target.lanes() * target.fmaPorts);
  return {2 * lanes * clockHertz, readRate};
}

//===-- The work of a call ------------------------------------------------===//

/// Cycles that an op takes for a full vector of its result where that lies in
/// cache, beside products. Measured on x86-64-v3 and rounded.
static double vectorCycles(Operation *op) {
  constexpr double exponential = 20, norm = 6, plain = 2;
  if (auto activation = dyn_cast<vlm::ActivationOp>(op)) {
    vlm::ActivationKind kind = activation.getKind();
    bool isCheap = kind == vlm::ActivationKind::Identity ||
                   kind == vlm::ActivationKind::Relu ||
                   kind == vlm::ActivationKind::Relu2 ||
                   kind == vlm::ActivationKind::Relu6 ||
                   kind == vlm::ActivationKind::LeakyRelu;
    return isCheap ? plain : exponential;
  }
  if (isa<vlm::LayerNormOp, vlm::RmsNormOp, vlm::L2NormalizeOp>(op))
    return norm;
  return plain;
}

static bool isProduct(Operation *op) {
  return isa<vlm::LinearOp, vlm::PatchEmbedOp, vlm::Conv2dOp, vlm::AttentionOp,
             vlm::CachedAttentionOp, vlm::ContrastiveLogitsOp>(op);
}

namespace {

struct Work {
  double flops = 0, bytes = 0, seconds = 0;
  int64_t calls = 0;

  void add(const Work &other) {
    flops += other.flops;
    bytes += other.bytes;
    seconds += other.seconds;
    calls += other.calls;
  }
};

/// Predicts the calls of one entry point.
class Prediction {
public:
  Prediction(const vlm::DimAnalysis &dims,
             const llvm::StringMap<int64_t> &symbols, const Target &target)
      : dims(dims), symbols(symbols), target(target), roof(roofOf(target)) {}

  Work ofCall(vlm::CallOp call) const;

private:
  double elements(Value value) const {
    return double(dims.getElements(value).evaluate(symbols));
  }
  double otherCycles(vlm::CallOp call, vlm::KernelOp kernel,
                     double flops) const;

  const vlm::DimAnalysis &dims;
  const llvm::StringMap<int64_t> &symbols;
  const Target &target;
  Roof roof;
};

} // namespace

/// Bytes are counted as in the tables of a package: each value once, caches
/// not.
Work Prediction::ofCall(vlm::CallOp call) const {
  Work work;
  work.calls = 1;
  work.flops = double(dims.getFlops(call).evaluate(symbols));
  llvm::SetVector<Value> values;
  values.insert_range(call.getInputs());
  values.insert_range(call.getResults());
  for (Value value : values)
    if (!isa_and_nonnull<vlm::CacheAttr>(
            cast<RankedTensorType>(value.getType()).getEncoding()))
      work.bytes += double(dims.getBytes(value).evaluate(symbols));
  auto kernel = SymbolTable::lookupNearestSymbolFrom<vlm::KernelOp>(
      call, call.getCalleeAttr());
  double compute = work.flops / roof.flops +
                   otherCycles(call, kernel, work.flops) / clockHertz;
  // A reference kernel's products are chains of single multiply-adds.
  if (kernel.getStrategy() == "reference")
    compute = work.flops / 2 * double(target.fmaLatency) / clockHertz;
  work.seconds = std::max(compute, work.bytes / roof.bytes);
  return work;
}

/// What runs beside the products: packing, what is fused before and behind, the
/// exponentials of attention.
double Prediction::otherCycles(vlm::CallOp call, vlm::KernelOp kernel,
                               double flops) const {
  constexpr double packing = 4, exponential = 20;
  double lanes = double(target.lanes()), cycles = 0;
  double results = elements(call.getResult(0)), inputs = 0;
  bool isBehind = llvm::none_of(kernel.getBody().front(),
                                [](Operation &op) { return isProduct(&op); });
  if (!call.getInputs().empty())
    inputs = elements(call.getInputs()[0]);
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    if (!isProduct(&op)) {
      cycles += (isBehind ? results : inputs) / lanes * vectorCycles(&op);
      continue;
    }
    isBehind = true;
    cycles += inputs / lanes * packing;
    if (auto attention = dyn_cast<vlm::AttentionOp>(op)) {
      double size = double(vlm::getFeatures(attention.getQuery())) /
                    double(attention.getNumHeads());
      cycles += flops / (4 * size) / lanes * exponential;
    }
  }
  return cycles;
}

//===-- The text ----------------------------------------------------------===//

static std::string line(const Target &target, StringRef what, const Work &work,
                        const Roof &roof) {
  bool isBound = work.flops / roof.flops > work.bytes / roof.bytes;
  return formatv("{0}: {1}: {2} calls, {3:F3} ms predicted, at least {4:F3} ms "
                 "({5}: {6:F3} GFLOP, {7:F3} MB)",
                 target.name, what, work.calls, work.seconds * 1e3,
                 roof.limit(work.flops, work.bytes) * 1e3,
                 isBound ? "multiply-adds" : "memory", work.flops * 1e-9,
                 work.bytes * 1e-6)
      .str();
}

static void predictEntry(func::FuncOp entry, const Target &target,
                         llvm::function_ref<void(StringRef)> sink) {
  auto dims = vlm::DimAnalysis::compute(entry);
  if (failed(dims))
    return;
  llvm::StringMap<int64_t> values;
  std::string name = entry.getSymName().str(), separator = " at ";
  if (auto symbols = entry->getAttrOfType<ArrayAttr>(vlm::names::symbols))
    for (auto symbol : symbols.getAsRange<vlm::SymbolInfoAttr>()) {
      values[symbol.getName()] = symbol.getLikely();
      name += separator + symbol.getName().str() + " = " +
              std::to_string(symbol.getLikely());
      separator = ", ";
    }
  Prediction prediction(*dims, values, target);
  llvm::MapVector<StringRef, Work> kernels;
  Work all;
  entry.walk([&](vlm::CallOp call) {
    Work work = prediction.ofCall(call);
    kernels[call.getCallee()].add(work);
    all.add(work);
  });
  auto rows = kernels.takeVector();
  llvm::stable_sort(rows, [](const auto &a, const auto &b) {
    return a.second.seconds > b.second.seconds;
  });
  Roof roof = roofOf(target);
  sink(line(target, name, all, roof));
  for (const auto &[kernel, work] : rows)
    sink(line(target, entry.getSymName().str() + ": " + kernel.str(), work,
              roof));
}

void predictTimes(ModuleOp planned, const Target &target,
                  llvm::function_ref<void(StringRef)> sink) {
  Roof roof = roofOf(target);
  sink(formatv("{0}: times are of one core at {1:F1} GHz: {2:F0} GFLOP/s of "
               "multiply-adds, {3:F0} GB/s from memory",
               target.name, clockHertz * 1e-9, roof.flops * 1e-9,
               roof.bytes * 1e-9)
           .str());
  for (auto entry : planned.getOps<func::FuncOp>())
    if (entry->hasAttr(vlm::names::entry))
      predictEntry(entry, target, sink);
}

} // namespace vlmc

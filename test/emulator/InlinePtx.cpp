//===-- InlinePtx.cpp - inline PTX that is known by its text --------------===//
//
// MLIR writes a few operations as inline PTX. Operands then come in the order
// of the text's $n, results first; site.parameters holds what the text fixes.
//
//===----------------------------------------------------------------------===//
#include "test/emulator/Lower.h"
#include "llvm/ADT/StringRef.h"

using namespace llvm;
using namespace vlmc::emulator;

/// wgmma.mma_async.sync.aligned.m64nNkK.f32.A.B: N, and the type of A and B.
static std::string recogniseWgmma(StringRef text, Site &site) {
  StringRef rest = text.split(".m64n").second;
  int64_t columns = 0;
  rest.consumeInteger(10, columns);
  StringRef types = rest.split('.').second.split(' ').first;
  bool isHalf = types == "f32.f16.f16", isBrain = types == "f32.bf16.bf16";
  if (!isHalf && !isBrain)
    return "";
  // A is a descriptor here, in registers it would be in braces.
  if (text.rsplit("}, ").second.contains('{'))
    return "";
  site.parameters = {columns, isBrain, 0, 0};
  return "wgmma.mma_async";
}

std::string vlmc::emulator::recognisePtx(StringRef text, Site &site) {
  if (text.contains("wgmma.mma_async.sync.aligned.m64n"))
    return recogniseWgmma(text, site);
  // A loop until the phase is over.
  if (text.contains("mbarrier.try_wait.parity"))
    return text.contains("bra") ? "ptx.mbarrier.wait.parity" : "";
  for (StringRef hint :
       {"griddepcontrol.", "fence.", "membar.", "prefetch", "setmaxnreg."})
    if (text.trim().starts_with(hint))
      return "hint";
  return "";
}

//===-- VlmDialect.cpp - registration of the vlm dialect ---------------------------------------------------------------------------------===//
#include "ir/Vlm/VlmDialect.h"
#include "ir/Vlm/VlmOps.h"

using namespace mlir;
using namespace vlmc::vlm;

#include "ir/Vlm/VlmDialect.cpp.inc"
#include "ir/Vlm/VlmInterfaces.cpp.inc"

void VlmDialect::initialize() {
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "ir/Vlm/VlmOps.cpp.inc"
      >();
}

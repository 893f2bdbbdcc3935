//===-- VlmDialect.h - the vlm dialect, its attributes and interfaces ---------------------------------------------------------------===//
//
// Include this where attributes, enumerations or the dialect itself are meant; `ir/Vlm/VlmOps.h` adds the ops.
//
//   mlir::MLIRContext context;
//   context.loadDialect<vlmc::vlm::VlmDialect>();
//   auto read = vlmc::vlm::RecipeAttr::read(name, type);
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_IR_VLM_VLMDIALECT_H
#define VLMC_IR_VLM_VLMDIALECT_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"

#include "ir/Vlm/VlmDialect.h.inc"
#include "ir/Vlm/VlmEnums.h.inc"
#include "ir/Vlm/VlmInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "ir/Vlm/VlmAttrs.h.inc"

#endif // VLMC_IR_VLM_VLMDIALECT_H

//===-- VectorMath.h - exp, erf, tanh and the activation functions as inlined vector code ------------------------------------------------===//
//
// Each takes and gives f32 or a vector of f32 and states its accuracy; measured over all floats by test/codegen/cpu.
//
//   Value y = emitActivation(e, vlm::ActivationKind::QuickGelu, x);
//
//===----------------------------------------------------------------------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_CPU_VECTORMATH_H
#define VLMC_CODEGEN_CPU_VECTORMATH_H

#include "codegen/cpu/Emitter.h"
#include "ir/Vlm/VlmDialect.h"

namespace vlmc::cpu {

/// 2^x for x <= 0 (values under -126 count as -126); within 3 ulp.
Value emitExp2NonPositive(Emitter &e, Value x);
/// e^x, saturating to 0 and to about e^88.3; within 3 ulp in between.
Value emitExp(Emitter &e, Value x);
/// 1 / (1 + e^-x).
Value emitSigmoid(Emitter &e, Value x);
/// tanh x; absolute error under 2e-7.
/// Sine and cosine of a vector of any size of angles, by arithmetic in f64.
std::pair<Value, Value> emitSineCosine(Emitter &e, Value angle);
Value emitTanh(Emitter &e, Value x);
/// erf x; absolute error under 3e-7.
Value emitErf(Emitter &e, Value x);
Value emitActivation(Emitter &e, vlm::ActivationKind kind, Value x);

} // namespace vlmc::cpu

#endif // VLMC_CODEGEN_CPU_VECTORMATH_H

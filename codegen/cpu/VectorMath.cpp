//===-- VectorMath.cpp - exp, erf, tanh and the activation functions as inlined vector code ----------------------------------------------===//
#include "codegen/cpu/VectorMath.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace vlmc;
using namespace vlmc::cpu;

// Constants stand first in fmax and fmin so that a NaN argument comes through.

/// Horner's scheme, highest coefficient first.
static Value polynomial(Emitter &e, Value x, ArrayRef<double> coefficients) {
  Value sum = e.fconstant(x.getType(), coefficients.front());
  for (double c : coefficients.drop_front())
    sum = e.fma(sum, x, e.fconstant(x.getType(), c));
  return sum;
}

/// The nearest integer of |x| < 2^22 as a float, and, in the low bits of `shifted`, as an integer.
static Value roundByMagic(Emitter &e, Value x, Value &shifted) {
  Value magic = e.fconstant(x.getType(), 12582912.0); // 1.5 * 2^23
  shifted = e.fadd(x, magic);
  return e.fsub(shifted, magic);
}

/// value * 2^n, n in the low bits of `shifted`, by adding n to the exponent.
static Value scaleByPower(Emitter &e, Value value, Value shifted) {
  Type ints = e.intTypeOf(value.getType());
  Value n = arith::ShLIOp::create(e.b, e.loc, arith::BitcastOp::create(e.b, e.loc, ints, shifted), e.iconstant(ints, 23));
  Value sum = arith::AddIOp::create(e.b, e.loc, arith::BitcastOp::create(e.b, e.loc, ints, value), n);
  return arith::BitcastOp::create(e.b, e.loc, value.getType(), sum);
}

Value cpu::emitExp2NonPositive(Emitter &e, Value x) {
  x = e.fmax(e.fconstant(x.getType(), -126.0), x);
  Value shifted, n = roundByMagic(e, x, shifted);
  Value p = polynomial(e, e.fsub(x, n), {1.32647271e-3, 9.67151264e-3, 5.55073374e-2, 2.40222421e-1, 6.93146978e-1, 1.0});
  return scaleByPower(e, p, shifted);
}

/// e^x of x in [-87.3, 88.3].
static Value emitExpInside(Emitter &e, Value x) {
  Type type = x.getType();
  Value shifted, n = roundByMagic(e, e.fmul(x, e.fconstant(type, 1.44269504088896341)), shifted);
  // ln 2 in two parts: the first has few enough bits that n times it is exact.
  Value r = e.fma(n, e.fconstant(type, -0.693359375), x);
  r = e.fma(n, e.fconstant(type, 2.12194440e-4), r);
  Value p = polynomial(e, r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1});
  p = e.fma(p, e.fmul(r, r), e.fadd(r, e.fconstant(type, 1.0)));
  return scaleByPower(e, p, shifted);
}

Value cpu::emitExp(Emitter &e, Value x) {
  Type type = x.getType();
  return emitExpInside(e, e.fmin(e.fconstant(type, 88.3), e.fmax(e.fconstant(type, -87.3), x)));
}

// Numbers so small that they have fewer digits (denormals) take processors a
// hundred cycles; neither sigmoid nor erf makes any.

Value cpu::emitSigmoid(Emitter &e, Value x) {
  Type type = x.getType();
  Value one = e.fconstant(type, 1.0);
  Value power = e.fmin(e.fconstant(type, 87.0), e.fmax(e.fconstant(type, -87.3), e.fneg(x)));
  return e.fdiv(one, e.fadd(one, emitExpInside(e, power)));
}

Value cpu::emitTanh(Emitter &e, Value x) {
  Type type = x.getType();
  Value one = e.fconstant(type, 1.0);
  Value exponential = emitExp(e, e.fmul(x, e.fconstant(type, 2.0)));
  return e.fsub(one, e.fdiv(e.fconstant(type, 2.0), e.fadd(exponential, one)));
}

Value cpu::emitErf(Emitter &e, Value x) {
  // Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
  Type type = x.getType();
  Value one = e.fconstant(type, 1.0);
  Value size = e.fmax(e.fneg(x), x);
  Value t = e.fdiv(one, e.fma(size, e.fconstant(type, 0.3275911), one));
  Value p = e.fmul(t, polynomial(e, t, {1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592}));
  Value positive = e.fsub(one, e.fmul(p, emitExpInside(e, e.fmax(e.fconstant(type, -80.0), e.fneg(e.fmul(x, x))))));
  Value negative = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, x, e.fconstant(type, 0.0));
  return e.select(negative, e.fneg(positive), positive);
}

/// x tanh(log(1 + e^x)) = x (u^2 + 2u) / (u^2 + 2u + 2), u = e^x.
static Value emitMish(Emitter &e, Value x) {
  Type type = x.getType();
  Value two = e.fconstant(type, 2.0);
  Value u = emitExp(e, e.fmin(e.fconstant(type, 20.0), x));
  Value numerator = e.fmul(u, e.fadd(u, two));
  return e.fmul(x, e.fdiv(numerator, e.fadd(numerator, two)));
}

static Value emitGeluTanh(Emitter &e, Value x) {
  Type type = x.getType();
  Value cubic = e.fma(e.fmul(e.fmul(x, x), x), e.fconstant(type, 0.044715), x);
  Value t = emitTanh(e, e.fmul(cubic, e.fconstant(type, 0.79788456080286536)));
  return e.fmul(e.fmul(x, e.fconstant(type, 0.5)), e.fadd(t, e.fconstant(type, 1.0)));
}

Value cpu::emitActivation(Emitter &e, vlm::ActivationKind kind, Value x) {
  Type type = x.getType();
  Value zero = e.fconstant(type, 0.0);
  switch (kind) {
  case vlm::ActivationKind::Identity:
    return x;
  case vlm::ActivationKind::Relu:
    return e.fmax(zero, x);
  case vlm::ActivationKind::Relu2: {
    Value positive = e.fmax(zero, x);
    return e.fmul(positive, positive);
  }
  case vlm::ActivationKind::Relu6:
    return e.fmin(e.fconstant(type, 6.0), e.fmax(zero, x));
  case vlm::ActivationKind::LeakyRelu:
    return e.fmax(e.fmul(x, e.fconstant(type, 0.01)), x);
  case vlm::ActivationKind::QuickGelu:
    return e.fmul(x, emitSigmoid(e, e.fmul(x, e.fconstant(type, 1.702))));
  case vlm::ActivationKind::Gelu: {
    Value erf = emitErf(e, e.fmul(x, e.fconstant(type, 0.70710678118654752)));
    return e.fmul(e.fmul(x, e.fconstant(type, 0.5)), e.fadd(erf, e.fconstant(type, 1.0)));
  }
  case vlm::ActivationKind::GeluTanh:
    return emitGeluTanh(e, x);
  case vlm::ActivationKind::Silu:
    return e.fmul(x, emitSigmoid(e, x));
  case vlm::ActivationKind::Sigmoid:
    return emitSigmoid(e, x);
  case vlm::ActivationKind::Tanh:
    return emitTanh(e, x);
  case vlm::ActivationKind::Mish:
    return emitMish(e, x);
  case vlm::ActivationKind::HardTanh:
    return e.fmin(e.fconstant(type, 1.0), e.fmax(e.fconstant(type, -1.0), x));
  }
  llvm_unreachable("every activation is listed");
}

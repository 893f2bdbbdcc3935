//===-- LowerMath.cpp - a GPU's arithmetic by the host's ------------------===//
//
// Approximate instructions become exact ones: compare with a tolerance.
//
//===----------------------------------------------------------------------===//
#include "test/emulator/Lower.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/IRBuilder.h"
#include <cmath>

using namespace llvm;

static Value *callIntrinsic(IRBuilder<> &b, Intrinsic::ID id,
                            ArrayRef<Value *> arguments) {
  return b.CreateIntrinsic(id, {arguments[0]->getType()}, arguments);
}

/// The name without what says how denormals are rounded, and without types.
static std::string plainName(StringRef name) {
  std::string plain;
  SmallVector<StringRef> parts;
  name.split(parts, '.');
  for (StringRef part : parts) {
    bool isType = part == "f" || part == "d" || part == "f32" ||
                  part == "f64" || part == "f16" || part == "v2f16" ||
                  part == "bf16" || part == "v2bf16";
    if (isType || part == "ftz")
      continue;
    plain += (plain.empty() ? "" : ".") + part.str();
  }
  return plain;
}

static Value *lowerUnary(IRBuilder<> &b, StringRef name, Value *x) {
  Value *one = x->getType()->isFPOrFPVectorTy()
                   ? ConstantFP::get(x->getType(), 1.0)
                   : nullptr;
  if (!one)
    return nullptr;
  auto id = StringSwitch<Intrinsic::ID>(name)
                .Cases({"ex2.approx", "ex2"}, Intrinsic::exp2)
                .Case("lg2.approx", Intrinsic::log2)
                .Cases({"sin.approx", "sin"}, Intrinsic::sin)
                .Cases({"cos.approx", "cos"}, Intrinsic::cos)
                .Cases({"sqrt.approx", "sqrt.rn", "sqrt"}, Intrinsic::sqrt)
                .Case("tanh.approx", Intrinsic::tanh)
                .Case("fabs", Intrinsic::fabs)
                .Case("floor", Intrinsic::floor)
                .Case("ceil", Intrinsic::ceil)
                .Case("trunc", Intrinsic::trunc)
                .Case("round", Intrinsic::roundeven)
                .Default(Intrinsic::not_intrinsic);
  if (id != Intrinsic::not_intrinsic)
    return callIntrinsic(b, id, {x});
  if (name == "rcp.approx" || name == "rcp.rn")
    return b.CreateFDiv(one, x);
  if (name == "rsqrt.approx")
    return b.CreateFDiv(one, callIntrinsic(b, Intrinsic::sqrt, {x}));
  if (name == "saturate")
    return callIntrinsic(
        b, Intrinsic::minnum,
        {callIntrinsic(b, Intrinsic::maxnum,
                       {x, ConstantFP::get(x->getType(), 0.0)}),
         one});
  return nullptr;
}

static Value *lowerBinary(IRBuilder<> &b, StringRef name, Value *x, Value *y) {
  if (!x->getType()->isFPOrFPVectorTy())
    return nullptr;
  if (name == "fmax" || name == "fmin")
    return callIntrinsic(
        b, name == "fmax" ? Intrinsic::maxnum : Intrinsic::minnum, {x, y});
  if (name == "fmax.nan" || name == "fmin.nan")
    return callIntrinsic(
        b, name == "fmax.nan" ? Intrinsic::maximum : Intrinsic::minimum,
        {x, y});
  if (name == "add.rn")
    return b.CreateFAdd(x, y);
  if (name == "mul.rn")
    return b.CreateFMul(x, y);
  if (name == "div.rn" || name == "div.approx" || name == "div.full")
    return b.CreateFDiv(x, y);
  return nullptr;
}

/// ff2f16x2 and ff2bf16x2: the first operand goes to the high half.
static Value *narrowPair(IRBuilder<> &b, Type *element, CallInst *call) {
  Value *pair = PoisonValue::get(FixedVectorType::get(element, 2));
  pair = b.CreateInsertElement(
      pair, b.CreateFPTrunc(call->getArgOperand(1), element), uint64_t{0});
  pair = b.CreateInsertElement(
      pair, b.CreateFPTrunc(call->getArgOperand(0), element), uint64_t{1});
  return b.CreateBitCast(pair, call->getType());
}

/// To ten bits of mantissa, in 32 bits.
static Value *roundToTf32(IRBuilder<> &b, Value *x) {
  Value *bits = b.CreateBitCast(x, b.getInt32Ty());
  return b.CreateAnd(b.CreateAdd(bits, b.getInt32(0x1000)),
                     b.getInt32(0xffffe000));
}

Value *vlmc::emulator::lowerMath(CallInst *call, StringRef full) {
  IRBuilder<> b(call);
  if (full == "ff2f16x2.rn")
    return narrowPair(b, b.getHalfTy(), call);
  if (full == "ff2bf16x2.rn")
    return narrowPair(b, b.getBFloatTy(), call);
  if (full == "f2bf16.rn")
    return b.CreateBitCast(
        b.CreateFPTrunc(call->getArgOperand(0), b.getBFloatTy()),
        call->getType());
  if (full.starts_with("f2tf32.rn"))
    return roundToTf32(b, call->getArgOperand(0));
  std::string name = plainName(full);
  Value *value = nullptr;
  if (call->arg_size() == 1)
    value = lowerUnary(b, name, call->getArgOperand(0));
  else if (call->arg_size() == 2)
    value =
        lowerBinary(b, name, call->getArgOperand(0), call->getArgOperand(1));
  else if (call->arg_size() == 3 && name == "fma.rn")
    value = callIntrinsic(b, Intrinsic::fma,
                          {call->getArgOperand(0), call->getArgOperand(1),
                           call->getArgOperand(2)});
  return value && value->getType() == call->getType() ? value : nullptr;
}

//===-- libdevice ---------------------------------------------------------===//

static float reciprocalRoot(float x) { return 1.0F / std::sqrt(x); }
static float normalCdf(float x) {
  return 0.5F * std::erfc(-x * 0.70710678118654752440F);
}
static float power10(float x) { return std::pow(10.0F, x); }
static int isInfinite(float x) { return std::isinf(x) ? 1 : 0; }
static int isNan(float x) { return std::isnan(x) ? 1 : 0; }

using Unary = float (*)(float);
using Binary = float (*)(float, float);
using Wide = double (*)(double);

template <typename F> static const void *address(F *function) {
  return reinterpret_cast<const void *>(function);
}

static const void *findUnary(StringRef name) {
  auto function = StringSwitch<Unary>(name)
                      .Cases({"expf", "fast_expf"}, &std::exp)
                      .Case("exp2f", &std::exp2)
                      .Cases({"exp10f", "fast_exp10f"}, &power10)
                      .Case("expm1f", &std::expm1)
                      .Cases({"logf", "fast_logf"}, &std::log)
                      .Cases({"log2f", "fast_log2f"}, &std::log2)
                      .Cases({"log10f", "fast_log10f"}, &std::log10)
                      .Case("log1pf", &std::log1p)
                      .Cases({"sinf", "fast_sinf"}, &std::sin)
                      .Cases({"cosf", "fast_cosf"}, &std::cos)
                      .Cases({"tanf", "fast_tanf"}, &std::tan)
                      .Case("sinhf", &std::sinh)
                      .Case("coshf", &std::cosh)
                      .Cases({"tanhf", "fast_tanhf"}, &std::tanh)
                      .Case("atanf", &std::atan)
                      .Case("erff", &std::erf)
                      .Case("erfcf", &std::erfc)
                      .Case("sqrtf", &std::sqrt)
                      .Case("cbrtf", &std::cbrt)
                      .Case("rsqrtf", &reciprocalRoot)
                      .Case("normcdff", &normalCdf)
                      .Case("fabsf", &std::fabs)
                      .Case("floorf", &std::floor)
                      .Case("ceilf", &std::ceil)
                      .Case("truncf", &std::trunc)
                      .Case("roundf", &std::round)
                      .Cases({"rintf", "nearbyintf"}, &std::rint)
                      .Default(nullptr);
  return function ? address(function) : nullptr;
}

const void *vlmc::emulator::findDeviceFunction(StringRef name) {
  if (!name.consume_front("__nv_"))
    return nullptr;
  if (const void *unary = findUnary(name))
    return unary;
  auto binary = StringSwitch<Binary>(name)
                    .Cases({"powf", "fast_powf"}, &std::pow)
                    .Case("fmodf", &std::fmod)
                    .Case("fmaxf", &std::fmax)
                    .Case("fminf", &std::fmin)
                    .Case("atan2f", &std::atan2)
                    .Case("copysignf", &std::copysign)
                    .Default(nullptr);
  if (binary)
    return address(binary);
  auto wide = StringSwitch<Wide>(name)
                  .Case("exp", &std::exp)
                  .Case("log", &std::log)
                  .Case("sin", &std::sin)
                  .Case("cos", &std::cos)
                  .Case("tanh", &std::tanh)
                  .Case("erf", &std::erf)
                  .Case("sqrt", &std::sqrt)
                  .Default(nullptr);
  if (wide)
    return address(wide);
  if (name == "fmaf")
    return address(static_cast<float (*)(float, float, float)>(&std::fma));
  if (name == "isinff")
    return address(&isInfinite);
  return name == "isnanf" ? address(&isNan) : nullptr;
}

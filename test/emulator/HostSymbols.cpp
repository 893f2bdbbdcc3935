//===-- HostSymbols.cpp - functions that host code may need ---------------===//
#include "test/emulator/HostSymbols.h"
#include <bit>

using namespace vlmc::emulator;

static __bf16 narrowBrain(float x) {
  return std::bit_cast<__bf16>(floatToBrain(x));
}
static __bf16 narrowBrainWide(double x) {
  return narrowBrain(static_cast<float>(x));
}
static _Float16 narrowHalf(float x) {
  return std::bit_cast<_Float16>(floatToHalf(x));
}
static _Float16 narrowHalfWide(double x) {
  return narrowHalf(static_cast<float>(x));
}
static float widenHalf(_Float16 x) {
  return halfToFloat(std::bit_cast<uint16_t>(x));
}

std::span<const std::pair<const char *, void *>> vlmc::emulator::hostSymbols() {
  static const std::pair<const char *, void *> symbols[] = {
      {"__extendhfsf2", reinterpret_cast<void *>(&widenHalf)},
      {"__truncdfbf2", reinterpret_cast<void *>(&narrowBrainWide)},
      {"__truncdfhf2", reinterpret_cast<void *>(&narrowHalfWide)},
      {"__truncsfbf2", reinterpret_cast<void *>(&narrowBrain)},
      {"__truncsfhf2", reinterpret_cast<void *>(&narrowHalf)},
  };
  return symbols;
}

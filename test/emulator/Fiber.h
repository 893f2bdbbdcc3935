//===-- Fiber.h - stacks that take turns on a host thread -----------------===//
//
//   void *main = nullptr, *fiber = prepareStack(stack, bytes, &entry);
//   switchStack(&main, fiber);   // until something switches back to `main`
//
// Only what a call has to preserve is saved. `entry` never returns.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_FIBER_H
#define VLMC_TEST_EMULATOR_FIBER_H

#include <cstddef>

namespace vlmc::emulator {

/// Goes on at the stack `next`; what goes on with `*save` continues here.
extern "C" void vlmc_emulator_switch(void **save, void *next);

inline void switchStack(void **save, void *next) {
  vlmc_emulator_switch(save, next);
}

/// A stack that begins with a call of `entry`.
void *prepareStack(char *stack, size_t bytes, void (*entry)());

/// Anonymous memory, not yet touched; null if there is none. `isLow`: if
/// possible below 2 GiB, so that 32 bits hold an address.
char *mapMemory(size_t bytes, bool isLow = false);
void unmapMemory(char *memory, size_t bytes);

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_FIBER_H

//===-- Fiber.cpp - stacks that take turns on a host thread ---------------===//
#include "test/emulator/Fiber.h"
#include <cstdint>
#include <cstring>
#include <sys/mman.h>

using namespace vlmc::emulator;

#if defined(__x86_64__)
asm(R"(
.text
.globl vlmc_emulator_switch
.hidden vlmc_emulator_switch
.type vlmc_emulator_switch, @function
vlmc_emulator_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size vlmc_emulator_switch, .-vlmc_emulator_switch
)");

void *vlmc::emulator::prepareStack(char *stack, size_t bytes, void (*entry)()) {
  auto top = (reinterpret_cast<uintptr_t>(stack) + bytes) & ~uintptr_t{15};
  auto *slot = reinterpret_cast<void **>(top);
  *--slot = nullptr; // where `entry` would return to
  *--slot = reinterpret_cast<void *>(entry);
  for (int i = 0; i < 6; ++i)
    *--slot = nullptr;
  return slot;
}
#elif defined(__aarch64__)
asm(R"(
.text
.globl vlmc_emulator_switch
.hidden vlmc_emulator_switch
.type vlmc_emulator_switch, %function
vlmc_emulator_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size vlmc_emulator_switch, .-vlmc_emulator_switch
)");

void *vlmc::emulator::prepareStack(char *stack, size_t bytes, void (*entry)()) {
  auto top = (reinterpret_cast<uintptr_t>(stack) + bytes) & ~uintptr_t{15};
  auto *slot = reinterpret_cast<void **>(top - 160);
  memset(slot, 0, 160);
  slot[11] = reinterpret_cast<void *>(entry); // x30
  return slot;
}
#else
#error "the emulator's stack switch knows x86-64 and aarch64"
#endif

char *vlmc::emulator::mapMemory(size_t bytes, bool isLow) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *memory = MAP_FAILED;
#ifdef MAP_32BIT
  if (isLow)
    memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags | MAP_32BIT, -1, 0);
#else
  (void)isLow;
#endif
  if (memory == MAP_FAILED)
    memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<char *>(memory);
}

void vlmc::emulator::unmapMemory(char *memory, size_t bytes) {
  if (memory)
    munmap(memory, bytes);
}

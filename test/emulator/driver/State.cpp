//===-- State.cpp - what the stand-in for the driver keeps ----------------===//
#include "test/emulator/driver/State.h"
#include "test/emulator/Emulator.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

using namespace vlmc::emulator;
using namespace vlmc::emulator::driver;

const char *driver::environment(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value && *value ? value : otherwise;
}

State &State::get() {
  // Never destroyed: models may be closed after the end of main.
  static State &state = *new State();
  return state;
}

State::State() { reset(); }

void State::reset() {
  releaseAll();
  isInitialised = false;
  lost = Success;
  contextUses = 0;
  lastMessage.clear();
  chipNumber = atoi(environment("VLMC_EMULATOR_CHIP", "80"));
  capacity =
      strtoull(environment("VLMC_EMULATOR_MEMORY", "8589934592"), nullptr, 10);
  isProtected = atoi(environment("VLMC_EMULATOR_PROTECT", "0")) != 0;
  failures.clear();
  readFailures(environment("VLMC_EMULATOR_FAIL", ""));
}

size_t State::maxSharedBytes() const {
  switch (chipNumber) {
  case 80:
    return size_t{163} << 10;
  case 90:
    return size_t{227} << 10;
  default:
    return size_t{99} << 10;
  }
}

//===-- Failures ----------------------------------------------------------===//

/// How a call fails where nothing else is said.
static Result naturalFailure(const std::string &name) {
  if (name.find("Alloc") != std::string::npos)
    return OutOfMemory;
  if (name == "cuInit")
    return NoDevice;
  bool isLaunch = name == "launch" || name.find("Launch") != std::string::npos;
  return isLaunch ? LaunchFailed : Unknown;
}

void State::readFailures(const char *text) {
  std::string rest = text;
  while (!rest.empty()) {
    size_t end = std::min(rest.find(','), rest.size());
    std::string one = rest.substr(0, end);
    rest.erase(0, end + 1);
    size_t first = one.find(':');
    Failure failure{one.substr(0, first)};
    failure.result = naturalFailure(failure.name);
    if (first != std::string::npos) {
      failure.left = atol(one.c_str() + first + 1);
      if (size_t second = one.find(':', first + 1); second != std::string::npos)
        failure.result = static_cast<Result>(atoi(one.c_str() + second + 1));
    }
    failures.push_back(failure);
  }
}

Result State::injected(const std::string &name) {
  for (Failure &failure : failures)
    if (failure.name == name && --failure.left == 0)
      return failure.result;
  return Success;
}

bool driver::isSticky(Result result) {
  return result == EccUncorrectable || result == IllegalAddress ||
         (result >= 714 && result <= LaunchFailed);
}

Result State::fail(Result result, const std::string &message) {
  lastMessage = message;
  fprintf(stderr, "emulated driver: %s\n", message.c_str());
  if (lost == Success && isSticky(result))
    lost = result;
  return result;
}

//===-- Memory ------------------------------------------------------------===//

Result State::allocate(size_t bytes, MemoryKind kind, void *&out) {
  bool isOnDevice = kind != MemoryKind::Pinned;
  if (!bytes)
    return InvalidValue;
  if (isOnDevice && bytes > capacity - used)
    return OutOfMemory;
  bool isMapped = isProtected && isOnDevice;
  if (isMapped)
    out = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  else
    out = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!out || out == MAP_FAILED)
    return OutOfMemory;
  memset(out, 0xff, bytes); // NaNs
  if (isMapped && isShut())
    mprotect(out, bytes, PROT_NONE);
  memory[reinterpret_cast<uintptr_t>(out)] = {bytes, kind, isMapped};
  used += isOnDevice ? bytes : 0;
  Buffers::add(out, bytes);
  return Success;
}

Result State::registerHost(void *data, size_t bytes) {
  if (!data || !bytes)
    return InvalidValue;
  if (find(data, 1))
    return HostMemoryAlreadyRegistered;
  memory[reinterpret_cast<uintptr_t>(data)] = {bytes, MemoryKind::Registered};
  Buffers::add(data, bytes);
  return Success;
}

Result State::release(void *data, bool isHost) {
  auto found = memory.find(reinterpret_cast<uintptr_t>(data));
  if (found == memory.end())
    return InvalidValue;
  MemoryKind kind = found->second.kind;
  bool isOfHost = kind == MemoryKind::Pinned || kind == MemoryKind::Registered;
  if (isOfHost != isHost)
    return InvalidValue;
  if (!isOfHost)
    used -= found->second.bytes;
  Allocation old = found->second;
  memory.erase(found);
  Buffers::remove(data);
  if (old.isMapped)
    munmap(data, old.bytes);
  else if (kind != MemoryKind::Registered)
    free(data);
  return Success;
}

void State::releaseAll() {
  while (!memory.empty()) {
    auto first = memory.begin();
    bool isHost = first->second.kind == MemoryKind::Pinned ||
                  first->second.kind == MemoryKind::Registered;
    release(reinterpret_cast<void *>(first->first), isHost);
  }
}

void State::open(int change) {
  bool wasShut = isShut();
  openings += change;
  if (isShut() == wasShut)
    return;
  for (const auto &[address, allocation] : memory)
    if (allocation.isMapped)
      mprotect(reinterpret_cast<void *>(address), allocation.bytes,
               isShut() ? PROT_NONE : PROT_READ | PROT_WRITE);
}

const Allocation *State::find(const void *data, size_t bytes,
                              const void **begin) const {
  auto at = reinterpret_cast<uintptr_t>(data);
  auto next = memory.upper_bound(at);
  if (next == memory.begin())
    return nullptr;
  --next;
  if (at + bytes > next->first + next->second.bytes)
    return nullptr;
  if (begin)
    *begin = reinterpret_cast<const void *>(next->first);
  return &next->second;
}

//===-- Contexts ----------------------------------------------------------===//

std::vector<void *> &driver::contextStack() {
  static thread_local std::vector<void *> stack;
  return stack;
}

void *driver::primaryContext() {
  static char primary;
  return &primary;
}

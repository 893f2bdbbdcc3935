//===-- KernelRunner.cpp - runs kernels of another architecture -----------===//
//
// KernelRunner LIBRARY JOBS RESULTS: the other side of EmulatedMachine in
// Machines.cpp; compiled for the architecture and run by qemu-user.
//
//===----------------------------------------------------------------------===//
#include "runtime/abi/vlm_abi.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <string>
#include <vector>

static FILE *jobs;

static void fail(const std::string &message) {
  std::fprintf(stderr, "KernelRunner: %s\n", message.c_str());
  std::exit(1);
}

static int64_t number() {
  int64_t value = 0;
  if (std::fread(&value, sizeof value, 1, jobs) != 1)
    fail("the file of jobs ends too early");
  return value;
}

/// A block of bytes, aligned as the runtime aligns its own.
struct Block {
  char *data;
  size_t bytes;
};

static Block block() {
  auto bytes = static_cast<size_t>(number());
  auto *data =
      static_cast<char *>(std::aligned_alloc(64, (bytes + 64) / 64 * 64));
  if (bytes && std::fread(data, bytes, 1, jobs) != 1)
    fail("the file of jobs ends too early");
  return {data, bytes};
}

static void *symbol(void *library) {
  Block name = block();
  void *address = dlsym(library, std::string(name.data, name.bytes).c_str());
  if (!address)
    fail(dlerror());
  return address;
}

static void runJob(const std::vector<vlm_abi_phase> &phases, FILE *results) {
  int64_t grain = number();
  Block dims = block(), scratch = block();
  std::vector<Block> blocks(static_cast<size_t>(number()));
  std::vector<void *> buffers;
  for (Block &buffer : blocks) {
    buffer = block();
    buffers.push_back(buffer.data);
  }
  const auto *sizes = reinterpret_cast<const int64_t *>(dims.data);
  vlm_kernel_args args{buffers.data(), sizes, scratch.data};
  for (const vlm_abi_phase &phase : phases) {
    int64_t tasks = phase.tasks(sizes);
    for (int64_t begin = 0; begin < tasks; begin += grain)
      phase.run(&args, begin, std::min(begin + grain, tasks));
  }
  blocks.insert(blocks.begin(), scratch);
  for (const Block &done : blocks) {
    std::fwrite(done.data, 1, done.bytes, results);
    std::free(done.data);
  }
  std::free(dims.data);
}

int main(int argc, char **argv) {
  if (argc != 4)
    fail("usage: KernelRunner LIBRARY JOBS RESULTS");
  void *library = dlopen(argv[1], RTLD_NOW);
  if (!library)
    fail(dlerror());
  jobs = std::fopen(argv[2], "rb");
  FILE *results = std::fopen(argv[3], "wb");
  if (!jobs || !results)
    fail("a file cannot be opened");
  std::vector<vlm_abi_phase> phases(static_cast<size_t>(number()));
  for (vlm_abi_phase &phase : phases) {
    phase.run = reinterpret_cast<vlm_phase_fn>(symbol(library));
    phase.tasks = reinterpret_cast<vlm_tasks_fn>(symbol(library));
  }
  for (int64_t count = number(); count > 0; --count)
    runJob(phases, results);
  return std::fclose(results) == 0 ? 0 : 1;
}

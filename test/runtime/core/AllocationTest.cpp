// A repeated run takes no memory from the heap. This file counts the calls of
// the whole program.
#include "test/runtime/core/CoreFixture.h"

#include <atomic>
#include <cstdlib>
#include <new>

static std::atomic<int> allocations{0};

static void *counted(size_t bytes, size_t alignment) {
  ++allocations;
  bytes = (bytes + alignment - 1) / alignment * alignment;
  if (void *memory = ::aligned_alloc(alignment, bytes ? bytes : alignment))
    return memory;
  throw std::bad_alloc();
}
void *operator new(size_t bytes) { return counted(bytes, 16); }
void *operator new(size_t bytes, std::align_val_t alignment) {
  return counted(bytes, size_t(alignment));
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }
void operator delete(void *memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void *memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}

using namespace fake;
using AllocationTest = FakeTest;

TEST_F(AllocationTest, RepeatedRunsTakeNoMemory) {
  Pool pool = makePool(2);
  Model model = load(pool.get());
  const vlm_entry_t *score = entry(model, "score");
  std::vector<float> x(64 * kWidth), sum(64 * kOut);
  std::vector<int32_t> ids(64 * 16);
  int run = 0;
  for (int64_t batch : {64, 3, 64}) {
    vlm_tensor_t inputs[] = {tensor("x", x, {batch, kWidth}),
                             tensor("ids", ids, {batch, 16})};
    vlm_tensor_t output = tensor("sum", sum, {});
    int before = allocations.load();
    vlm_status_t *status = vlm_entry_run(score, inputs, 2, &output, 1);
    int after = allocations.load();
    ASSERT_OK(status);
    // The first run makes the working memory that the others use again.
    EXPECT_EQ(after == before, run++ > 0) << after - before << " allocations";
  }
}

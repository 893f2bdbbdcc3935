//===-- KernelTest.cpp - a GPU's kernels against the interpreter ----------===//
//
// Kernels as they are planned for a GPU, of odd and of even sizes, are executed
// by the emulator in check mode and compared with an interpreter in double
// precision. Operands are rounded to f16 before both.
//
//===----------------------------------------------------------------------===//
#include "test/codegen/cuda/KernelFixture.h"
#include <gtest/gtest.h>

using namespace vlmc::test;

namespace {

/// Copies of 2, 4, 8 and 16 bytes; one row and column, and some over a tile.
TEST(CudaKernels, ProductsOfEverySize) {
  for (auto [n, k] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {65, 33}, {130, 34}, {64, 36}, {200, 72}, {128, 200}}) {
    std::string x = type({0, k}), w = type({n, k}, halfRows),
                b = type({n}, vectorForm), y = type({0, n});
    std::vector<std::vector<Tensor>> cases;
    for (int64_t m : {1, 17, 128, 150})
      cases.push_back({random({m, k}, 1), random({n, k}, 2), random({n}, 3),
                       random({m, n}, 4)});
    check(kernelText("gemm",
                     "%x: " + x + ", %w: " + w + ", %b: " + b + ", %r: " + y, y,
                     "%0 = vlm.linear %x, %w bias %b : (" + x + ", " + w +
                         ", " + b + ") -> " + y +
                         "\n%1 = vlm.activation gelu_tanh %0 : " + y +
                         "\n%y = vlm.add %1, %r : " + y + ", " + y),
          cases);
  }
}

/// Rows that are taken, and a picture's patches.
TEST(CudaKernels, ProductsOfTakenRowsAndOfPatches) {
  std::string x = type({0, 9, 24}), i = type({0, 1}, "i32"),
              t = type({0, 1, 24}), w = type({40, 24}, halfRows),
              l = type({0, 1, 40}), y = type({0, 40});
  check(kernelText("gemm", "%x: " + x + ", %i: " + i + ", %w: " + w, y,
                   "%0 = vlm.take_tokens %x index %i : (" + x + ", " + i +
                       ") -> " + t + "\n%1 = vlm.linear %0, %w : (" + t + ", " +
                       w + ") -> " + l + "\n%y = vlm.squeeze %1 : (" + l +
                       ") -> " + y),
        {{random({3, 9, 24}, 1), Tensor{{3, 1}, {4, 0, 8}},
          random({40, 24}, 2)}});
  std::string p = type({0, 3, 12, 16}), v = type({70, 3, 4, 4}, halfRows),
              z = type({0, 12, 70});
  check(kernelText("gemm", "%x: " + p + ", %w: " + v, z,
                   "%y = vlm.patch_embed %x, %w : (" + p + ", " + v + ") -> " +
                       z),
        {{random({2, 3, 12, 16}, 1), random({70, 3, 4, 4}, 2)}});
}

/// Heads of odd and of wide sizes, groups of queries, masks, biases.
TEST(CudaKernels, AttentionOfEveryKind) {
  struct Case {
    int64_t heads, kvHeads, size, tokens;
    std::string options;
    bool hasFlags;
  };
  for (const Case &c : std::vector<Case>{{2, 2, 64, 70, "", false},
                                         {4, 2, 16, 130, ", causal", true},
                                         {3, 3, 7, 17, ", causal", false},
                                         {2, 1, 80, 65, "", true},
                                         {1, 1, 256, 33, ", causal", false}}) {
    int64_t wide = (c.heads + 2 * c.kvHeads) * c.size;
    int64_t first = c.heads * c.size, second = first + c.kvHeads * c.size;
    std::string x = type({0, 0, wide}), q = type({0, 0, first}),
                k = type({0, 0, c.kvHeads * c.size}), f = type({0, 0}, "i64");
    auto slice = [&](const std::string &name, int64_t begin, int64_t end,
                     const std::string &to) {
      return name + " = vlm.slice_features %x [" + std::to_string(begin) +
             ", " + std::to_string(end) + "] : (" + x + ") -> " + to + "\n";
    };
    std::string body =
        slice("%q", 0, first, q) + slice("%k", first, second, k) +
        slice("%v", second, wide, k) + "%y = vlm.attention %q, %k, %v" +
        (c.hasFlags ? " key_valid %f" : "") +
        " {num_heads = " + std::to_string(c.heads) +
        " : i64, num_kv_heads = " + std::to_string(c.kvHeads) +
        " : i64, scale = 0.3 : f64" + c.options + "} : (" + q + ", " + k +
        ", " + k + (c.hasFlags ? ", " + f : "") + ") -> " + q;
    std::vector<Tensor> operands = {random({2, c.tokens, wide}, 1)};
    if (c.hasFlags)
      operands.push_back(flags({2, c.tokens}, 2));
    check(kernelText("attention", "%x: " + x + (c.hasFlags ? ", %f: " + f : ""),
                     q, body),
          {operands});
  }
}

TEST(CudaKernels, RowsByWarps) {
  for (int64_t features : {1, 31, 64, 770}) {
    std::string x = type({0, 0, features}), v = type({features}, vectorForm);
    std::vector<std::vector<Tensor>> cases;
    for (int64_t tokens : {1, 6})
      cases.push_back({random({3, tokens, features}, 1, -3, 3),
                       random({features}, 2), random({features}, 3)});
    check(kernelText("rows", "%x: " + x + ", %g: " + v + ", %b: " + v, x,
                     "%0 = vlm.layer_norm %x, %g, %b {epsilon = 1.0e-5 : f64} "
                     ": " +
                         x + ", " + v + ", " + v +
                         "\n%y = vlm.add %0, %x : " + x + ", " + x),
          cases);
  }
}

} // namespace

// FakeModel.h: a compiled model written by hand, as codegen would write one,
// and its weights file.
//
// Entry points (B = 'batch', 1 to 64; T = 'tokens', 1 to 16):
//   score(x f32 [B, 8], ids i64 [B, T] in 0..15, mask i64 [B, T] in 0..1,
//   optional, 1)
//     -> sum f32 [B, 4] = 2 x W + sum of the rows of `table` that ids name
//     where mask is 1;  count i64 [B] = sum of mask
//   chain(x f32 [B, 8]) -> y f32 [B, 8]: 300 steps of two phases, each row
//   takes from its neighbours; any step that starts too early shows fill(size
//   i32 [B], optional flag u8 [B] = 7, optional lone i64 [T] = -3) -> flags i32
//   [B] = size + flag; lones i64 [T] = lone
//
//   FakeWeights weights(path);   // writes the file
//   vlm_model_load_linked(fakeModel(), path, ...)
#ifndef VLMC_TEST_RUNTIME_CORE_FAKEMODEL_H
#define VLMC_TEST_RUNTIME_CORE_FAKEMODEL_H

#include "runtime/abi/vlm_abi.h"

#include <cstdint>
#include <string>
#include <vector>

namespace fake {

inline constexpr int kWidth = 8, kOut = 4, kVocabulary = 16, kChain = 300;

/// The model's table; the bytes that codegen would have put into the library.
const vlm_abi_model *model();

/// The bytes of the weights file that belongs to it.
std::string weightsFile();

/// The weights, for the tests' own arithmetic: W [8, 4], table [16, 4].
std::vector<float> projection();
std::vector<float> table();

} // namespace fake

#endif // VLMC_TEST_RUNTIME_CORE_FAKEMODEL_H

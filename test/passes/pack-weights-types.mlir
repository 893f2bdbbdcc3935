// The types that matrices can be asked to be stored in.
// RUN: vlmc-opt %s --vlm-pack-weights=weights=bf16 | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: vlmc-opt %s --vlm-pack-weights=weights=f16 | FileCheck %s --check-prefixes=CHECK,F16
// RUN: vlmc-opt %s --vlm-pack-weights=weights=f32 | FileCheck %s --check-prefixes=CHECK,F32
// RUN: vlmc-opt %s --vlm-pack-weights=arch=cuda | FileCheck %s --check-prefix=CUDA
// RUN: sed -e 's/xbf16/xf32/' %s | vlmc-opt --vlm-pack-weights=arch=cuda | FileCheck %s --check-prefix=HALF
// RUN: sed -e 's/xbf16/xf32/' -e 's/= #vlm.recipe<read "b" : tensor<96xf32>>/= #vlm.recipe<convert (#vlm.recipe<read "b" : tensor<96xbf16>>) : tensor<96xf32>>/' %s | vlmc-opt --vlm-pack-weights=arch=cuda | FileCheck %s --check-prefix=MIXED
// RUN: not vlmc-opt %s --vlm-pack-weights=weights=int3 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: error: weights cannot be stored as 'int3'; there are auto, f32, bf16 and f16

// BF16: vlm.weight @w : tensor<96x64xf32, #vlm.layout<"bf16.panel16">>
// F16:  vlm.weight @w : tensor<96x64xf32, #vlm.layout<"f16.panel16">>
// F32:  vlm.weight @w : tensor<96x64xf32, #vlm.layout<"f32.panel16">>
// Tensor cores read rows of 16 bits, in f16 where the checkpoint says nothing else.
// CUDA: vlm.weight @w.cuda : tensor<96x64xf32, #vlm.layout<"bf16.rows">>
// CUDA: vlm.weight @b.cuda : tensor<96xf32, #vlm.layout<"f32.vector">>
// CUDA: vlm.get_weight @w.cuda
// One type for all kernels, with the range of the widest.
// MIXED: vlm.weight @w.cuda : tensor<96x64xf32, #vlm.layout<"bf16.rows">>
// HALF: vlm.weight @w.cuda : tensor<96x64xf32, #vlm.layout<"f16.rows">>
// CHECK: vlm.weight @b : tensor<96xf32, #vlm.layout<"f32.vector">>
vlm.weight @w : tensor<96x64xf32> = #vlm.recipe<convert (#vlm.recipe<read "w" : tensor<96x64xbf16>>) : tensor<96x64xf32>>
vlm.weight @b : tensor<96xf32> = #vlm.recipe<read "b" : tensor<96xf32>>
func.func @entry(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  %w = vlm.get_weight @w : tensor<96x64xf32>
  %b = vlm.get_weight @b : tensor<96xf32>
  %0 = vlm.call @linear(%x, %w, %b) : (tensor<?x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x96xf32>
  return %0 : tensor<?x96xf32>
}
vlm.kernel @linear(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>, %b: tensor<96xf32>) -> tensor<?x96xf32>
    attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm"} {
  %0 = vlm.linear %x, %w bias %b : (tensor<?x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x96xf32>
  vlm.yield %0 : tensor<?x96xf32>
}

// What f16 has no room for, and what must stay exact, lies in memory as f32.
// RUN: vlmc-opt %s --vlm-narrow-values | FileCheck %s --check-prefixes=CHECK,F16
// RUN: sed -e 's/f16.rows/bf16.rows/g' %s | vlmc-opt --vlm-narrow-values | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: vlmc-opt %s --vlm-narrow-values --remarks-filter=.* --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: 3 of 8 values between kernels lie in memory as f16
// REMARK: 2 values stay f32 that norms by the mean square read: sums along a decoder's layers may be beyond 65504, where f16 ends

!matrix = tensor<64x64xf32, #vlm.layout<"f16.rows">>
vlm.weight @w : !matrix = #vlm.recipe<pack "f16.rows" (#vlm.recipe<read "w" : tensor<64x64xf32>>) : !matrix>
vlm.weight @g : tensor<64xf32> = #vlm.recipe<read "g" : tensor<64xf32>>
vlm.weight @h : tensor<16xf32> = #vlm.recipe<read "h" : tensor<16xf32>>

func.func @entry(%x: tensor<1x?x64xf32> {vlm.name = "x", vlm.dims = ["", "T", ""]}, %t: tensor<1x?xi32> {vlm.name = "t", vlm.dims = ["", "T"]})
    -> (tensor<1x?x64xf32> {vlm.name = "y"}, tensor<1x?xi32> {vlm.name = "z"}) attributes {vlm.symbols = [#vlm.symbol<"T", 1, 1, 8>]} {
  %w = vlm.get_weight @w : !matrix
  %g = vlm.get_weight @g : tensor<64xf32>
  %h = vlm.get_weight @h : tensor<16xf32>
  %sum = vlm.call @linear_add(%x, %w, %x) : (tensor<1x?x64xf32>, !matrix, tensor<1x?x64xf32>) -> tensor<1x?x64xf32>
  %branch = vlm.call @norm(%sum, %g) : (tensor<1x?x64xf32>, tensor<64xf32>) -> tensor<1x?x64xf32>
  %next = vlm.call @linear_add(%branch, %w, %sum) : (tensor<1x?x64xf32>, !matrix, tensor<1x?x64xf32>) -> tensor<1x?x64xf32>
  %last = vlm.call @norm_of_some(%next, %t, %g) : (tensor<1x?x64xf32>, tensor<1x?xi32>, tensor<64xf32>) -> tensor<1x?x64xf32>
  %heads = vlm.call @linear(%last, %w) : (tensor<1x?x64xf32>, !matrix) -> tensor<1x?x64xf32>
  %y = vlm.call @norm_of_heads(%heads, %h) : (tensor<1x?x64xf32>, tensor<16xf32>) -> tensor<1x?x64xf32>
  %far = vlm.call @linear(%last, %w) : (tensor<1x?x64xf32>, !matrix) -> tensor<1x?x64xf32>
  %z = vlm.call @least(%far) : (tensor<1x?x64xf32>) -> tensor<1x?xi32>
  return %y, %z : tensor<1x?x64xf32>, tensor<1x?xi32>
}

// A sum that is added to: read from an input first, then from a sum.
// CHECK: vlm.kernel @linear_add(
// F16-SAME: storage = ["f32", "", "f32", "f32"]
// BF16-SAME: storage = ["f32", "", "f32", "bf16"]
// CHECK: vlm.kernel @linear_add_v2(
// F16-SAME: storage = ["f16", "", "f32", "f32"]
// BF16-SAME: storage = ["bf16", "", "bf16", "bf16"]
vlm.kernel @linear_add(%x: tensor<1x?x64xf32>, %w: !matrix, %r: tensor<1x?x64xf32>) -> tensor<1x?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm", tiles = {}} {
  %0 = vlm.linear %x, %w : (tensor<1x?x64xf32>, !matrix) -> tensor<1x?x64xf32>
  %1 = vlm.add %0, %r : tensor<1x?x64xf32>, tensor<1x?x64xf32>
  vlm.yield %1 : tensor<1x?x64xf32>
}
// What a norm gives is small.
// CHECK: vlm.kernel @norm(
// F16-SAME: storage = ["f32", "f32", "f16"]
vlm.kernel @norm(%x: tensor<1x?x64xf32>, %g: tensor<64xf32>) -> tensor<1x?x64xf32> attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {}} {
  %0 = vlm.rms_norm %x, %g {epsilon = 1.0e-6 : f64} : tensor<1x?x64xf32>, tensor<64xf32>
  vlm.yield %0 : tensor<1x?x64xf32>
}
// CHECK: vlm.kernel @norm_of_some(
// F16-SAME: storage = ["f32", "", "f32", "f16"]
vlm.kernel @norm_of_some(%x: tensor<1x?x64xf32>, %t: tensor<1x?xi32>, %g: tensor<64xf32>) -> tensor<1x?x64xf32> attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {}} {
  %0 = vlm.take_tokens %x index %t : (tensor<1x?x64xf32>, tensor<1x?xi32>) -> tensor<1x?x64xf32>
  %1 = vlm.rms_norm %0, %g {epsilon = 1.0e-6 : f64} : tensor<1x?x64xf32>, tensor<64xf32>
  vlm.yield %1 : tensor<1x?x64xf32>
}
// Heads of queries and keys are no sums of layers; distances are compared.
// CHECK: vlm.kernel @linear(
// F16-SAME: storage = ["f16", "", "f16"]
// CHECK: vlm.kernel @linear_v2(
// F16-SAME: storage = ["f16", "", "f32"]
// BF16-SAME: storage = ["bf16", "", "f32"]
vlm.kernel @linear(%x: tensor<1x?x64xf32>, %w: !matrix) -> tensor<1x?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm", tiles = {}} {
  %0 = vlm.linear %x, %w : (tensor<1x?x64xf32>, !matrix) -> tensor<1x?x64xf32>
  vlm.yield %0 : tensor<1x?x64xf32>
}
// CHECK: vlm.kernel @norm_of_heads(
// F16-SAME: storage = ["f16", "f32", "f32"]
vlm.kernel @norm_of_heads(%x: tensor<1x?x64xf32>, %g: tensor<16xf32>) -> tensor<1x?x64xf32> attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {}} {
  %0 = vlm.rms_norm %x, %g {epsilon = 1.0e-6 : f64} : tensor<1x?x64xf32>, tensor<16xf32>
  vlm.yield %0 : tensor<1x?x64xf32>
}
// CHECK: vlm.kernel @least(
// CHECK-SAME: storage = ["f32", ""]
vlm.kernel @least(%x: tensor<1x?x64xf32>) -> tensor<1x?xi32> attributes {anchor = #vlm<anchor_kind rows>, strategy = "elements", tiles = {}} {
  %0 = vlm.least_feature %x : (tensor<1x?x64xf32>) -> tensor<1x?xi32>
  vlm.yield %0 : tensor<1x?xi32>
}

// RUN: vlmc-opt %s --vlm-narrow-values | FileCheck %s
// RUN: vlmc-opt %s --vlm-narrow-values --vlm-plan-memory | FileCheck %s --check-prefix=SLOTS
// RUN: vlmc-opt %s --vlm-narrow-values --remarks-filter=.* --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: sed -e 's/bf16.rows/f32.rows/g' %s | vlmc-opt --vlm-narrow-values | FileCheck %s --check-prefix=WIDE

// REMARK: 1 of 4 values between kernels lie in memory as bf16

vlm.weight @w : tensor<64x64xf32, #vlm.layout<"bf16.rows">> = #vlm.recipe<pack "bf16.rows" (#vlm.recipe<read "w" : tensor<64x64xf32>>) : tensor<64x64xf32, #vlm.layout<"bf16.rows">>>

// The same kernel reads an input of the entry, and what lies between two kernels; what it makes is the one and an output.
// 16 bits: 2 * 64 bytes a row.
// SLOTS: vlm.slots = {{.*}}#vlm.size<128 * B>
// CHECK: %[[T:.+]] = vlm.call @table(
// CHECK: %[[X:.+]] = vlm.call @linear(
// CHECK: vlm.call @linear_v2(%[[X]]
// CHECK: vlm.call @turn(
func.func @entry(%x: tensor<?x64xf32> {vlm.name = "x", vlm.dims = ["B", ""]}, %p: tensor<?x1xi32> {vlm.name = "p", vlm.dims = ["B", ""]})
    -> (tensor<?x64xf32> {vlm.name = "y"}, tensor<?x4xf32> {vlm.name = "z"}) attributes {vlm.symbols = [#vlm.symbol<"B", 1, 1, 8>]} {
  %w = vlm.get_weight @w : tensor<64x64xf32, #vlm.layout<"bf16.rows">>
  %t = vlm.call @table(%p) : (tensor<?x1xi32>) -> tensor<?x1x4xf32>
  %0 = vlm.call @linear(%x, %w) : (tensor<?x64xf32>, tensor<64x64xf32, #vlm.layout<"bf16.rows">>) -> tensor<?x64xf32>
  %1 = vlm.call @linear(%0, %w) : (tensor<?x64xf32>, tensor<64x64xf32, #vlm.layout<"bf16.rows">>) -> tensor<?x64xf32>
  %2 = vlm.call @turn(%t) : (tensor<?x1x4xf32>) -> tensor<?x4xf32>
  return %1, %2 : tensor<?x64xf32>, tensor<?x4xf32>
}

// Positions keep all of their digits.
// CHECK: vlm.kernel @table
// CHECK-SAME: storage = ["", "f32"]
vlm.kernel @table(%p: tensor<?x1xi32>) -> tensor<?x1x4xf32> attributes {anchor = #vlm<anchor_kind rows>, strategy = "elements", tiles = {}} {
  %0 = vlm.rope_table %p {frequencies = array<f32: 1.0, 0.5>, scale = 1.0 : f64} : (tensor<?x1xi32>) -> tensor<?x1x4xf32>
  vlm.yield %0 : tensor<?x1x4xf32>
}
// CHECK: vlm.kernel @linear(
// CHECK-SAME: storage = ["f32", "", "bf16"]
// CHECK: vlm.kernel @linear_v2(
// CHECK-SAME: storage = ["bf16", "", "f32"]
// WIDE: vlm.kernel @linear(
// WIDE-SAME: storage = ["f32", "", "f32"]
// WIDE-NOT: @linear_v2
vlm.kernel @linear(%x: tensor<?x64xf32>, %w: tensor<64x64xf32, #vlm.layout<"bf16.rows">>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>, strategy = "gemm", tiles = {}} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32, #vlm.layout<"bf16.rows">>) -> tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
// CHECK: vlm.kernel @turn
// CHECK-SAME: storage = ["f32", "f32"]
vlm.kernel @turn(%x: tensor<?x1x4xf32>) -> tensor<?x4xf32> attributes {anchor = #vlm<anchor_kind rows>, strategy = "rows", tiles = {}} {
  %0 = vlm.squeeze %x : (tensor<?x1x4xf32>) -> tensor<?x4xf32>
  vlm.yield %0 : tensor<?x4xf32>
}

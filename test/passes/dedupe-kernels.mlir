// RUN: vlmc-opt %s --vlm-dedupe-kernels | FileCheck %s
// RUN: vlmc-opt %s --vlm-dedupe-kernels --remarks-filter=.* --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: remark: {{.*}}4 kernels of 5 remain
vlm.weight @w : tensor<64x64xf32> = #vlm.recipe<read "w" : tensor<64x64xf32>>

// CHECK-LABEL: func.func @layers
// CHECK:         vlm.call @first
// CHECK:         vlm.call @first
// CHECK:         vlm.call @other_epsilon
// CHECK:         vlm.call @by_weight
// CHECK:         vlm.call @by_value
func.func @layers(%x: tensor<?x64xf32>, %n: tensor<64xf32>, %v: tensor<64x64xf32>) -> tensor<?x64xf32> {
  %w = vlm.get_weight @w : tensor<64x64xf32>
  %0 = vlm.call @first(%x, %n) : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
  %1 = vlm.call @second(%0, %n) : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
  %2 = vlm.call @other_epsilon(%1, %n) : (tensor<?x64xf32>, tensor<64xf32>) -> tensor<?x64xf32>
  %3 = vlm.call @by_weight(%2, %w) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %4 = vlm.call @by_value(%3, %v) : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  return %4 : tensor<?x64xf32>
}

// CHECK: vlm.kernel @first
vlm.kernel @first(%x: tensor<?x64xf32>, %n: tensor<64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.layer_norm %x, %n, %n {epsilon = 1.0e-05 : f64} : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
// CHECK-NOT: vlm.kernel @second
vlm.kernel @second(%x: tensor<?x64xf32>, %n: tensor<64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.layer_norm %x, %n, %n {epsilon = 1.0e-05 : f64} : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
// CHECK: vlm.kernel @other_epsilon
vlm.kernel @other_epsilon(%x: tensor<?x64xf32>, %n: tensor<64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind rows>} {
  %0 = vlm.layer_norm %x, %n, %n {epsilon = 1.0e-06 : f64} : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
// One reads a weight, which will have a layout, the other a value.
// CHECK: vlm.kernel @by_weight
vlm.kernel @by_weight(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}
// CHECK: vlm.kernel @by_value
vlm.kernel @by_value(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {anchor = #vlm<anchor_kind gemm>} {
  %0 = vlm.linear %x, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  vlm.yield %0 : tensor<?x64xf32>
}

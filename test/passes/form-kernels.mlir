// RUN: vlmc-opt %s --vlm-form-kernels | FileCheck %s

// CHECK-LABEL: func.func @two
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<?x64xf32>, %[[W:[a-z0-9]+]]: tensor<96x64xf32>
// CHECK:         %[[A:.+]] = vlm.call @linear_gelu_64x96(%[[X]], %[[W]]) {label = "fc"} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
// CHECK:         %[[B:.+]] = vlm.call @l2_normalize(%[[A]]) : (tensor<?x96xf32>) -> tensor<?x96xf32>
// CHECK:         return %[[B]]
func.func @two(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> {
  %0 = vlm.group gemm (%a = %x, %b = %w) attributes {vlm.label = "fc"} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32> {
    %1 = vlm.linear %a, %b {vlm.label = "fc"} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
    %2 = vlm.activation gelu %1 {vlm.label = "act"} : tensor<?x96xf32>
    vlm.yield %2 : tensor<?x96xf32>
  }
  %3 = vlm.group rows (%a = %0) : (tensor<?x96xf32>) -> tensor<?x96xf32> {
    %4 = vlm.l2_normalize %a : tensor<?x96xf32>
    vlm.yield %4 : tensor<?x96xf32>
  }
  return %3 : tensor<?x96xf32>
}

// Labels are the calls', so that equal kernels are equal.
// CHECK-LABEL: vlm.kernel @linear_gelu_64x96
// CHECK-SAME:    attributes {anchor = #vlm<anchor_kind gemm>}
// CHECK-NOT:     vlm.label
// CHECK:         vlm.yield
// CHECK-LABEL: vlm.kernel @l2_normalize
// CHECK-SAME:    attributes {anchor = #vlm<anchor_kind rows>}

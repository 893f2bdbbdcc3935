// RUN: vlmc-opt %s --vlm-fuse-gate-up=arch=cuda --vlm-place-anchors --vlm-fuse-epilogue=arch=cuda | FileCheck %s
// RUN: vlmc-opt %s --vlm-fuse-gate-up --vlm-place-anchors --vlm-fuse-epilogue | FileCheck %s --check-prefix=CPU
// RUN: vlmc-opt %s --vlm-fuse-gate-up=arch=cuda --vlm-place-anchors --vlm-fuse-epilogue=arch=cuda --remarks-filter=.* --remark-format=emitRemark --verify-diagnostics -o /dev/null

vlm.weight @mlp.gate : tensor<96x64xf32> = #vlm.recipe<read "g" : tensor<96x64xf32>>
vlm.weight @mlp.up : tensor<96x64xf32> = #vlm.recipe<read "u" : tensor<96x64xf32>>
vlm.weight @bias : tensor<96xf32> = #vlm.recipe<read "b" : tensor<96xf32>>

// The gate may stand at either side; its half comes first.
// CHECK: vlm.weight @"mlp.gate+up" : tensor<192x64xf32>
// CHECK-LABEL: func.func @gated
// CHECK:         %[[W:.+]] = vlm.get_weight @"mlp.gate+up"
// CHECK:         vlm.group gemm (%[[A:[^ ]+]] = %{{.*}}, %[[B:[^ ]+]] = %[[W]])
// CHECK-NEXT:      %[[L:.+]] = vlm.linear %[[A]], %[[B]]
// CHECK-NEXT:      %[[G:.+]] = vlm.slice_features %[[L]]{{ ?}}[0, 96]
// CHECK-NEXT:      %[[U:.+]] = vlm.slice_features %[[L]]{{ ?}}[96, 192]
// CHECK-NEXT:      %[[S:.+]] = vlm.activation {{ ?}}silu %[[G]]
// CHECK-NEXT:      %[[M:.+]] = vlm.multiply %[[U]], %[[S]]
// CHECK-NEXT:      vlm.yield %[[M]]
// CPU-LABEL: func.func @gated
// CPU-COUNT-2: vlm.group gemm
// CPU:         vlm.multiply
func.func @gated(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  %g = vlm.get_weight @mlp.gate : tensor<96x64xf32>
  %u = vlm.get_weight @mlp.up : tensor<96x64xf32>
  // expected-remark@+1 {{gemm group 'gate+up' computes multiply}}
  %0 = vlm.linear %x, %g {vlm.label = "gate"} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  %1 = vlm.linear %x, %u {vlm.label = "up"} : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  %2 = vlm.activation silu %0 : tensor<?x96xf32>
  // expected-remark@+1 {{linear 'gate+up' makes both sides of multiply}}
  %3 = vlm.multiply %1, %2 : tensor<?x96xf32>
  return %3 : tensor<?x96xf32>
}

// CHECK-LABEL: func.func @apart
// CHECK-COUNT-2: vlm.group gemm
// CHECK:         vlm.multiply
func.func @apart(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  %g = vlm.get_weight @mlp.gate : tensor<96x64xf32>
  %u = vlm.get_weight @mlp.up : tensor<96x64xf32>
  %b = vlm.get_weight @bias : tensor<96xf32>
  // expected-remark@+1 {{computes activation}}
  %0 = vlm.linear %x, %g bias %b : (tensor<?x64xf32>, tensor<96x64xf32>, tensor<96xf32>) -> tensor<?x96xf32>
  %1 = vlm.linear %x, %u : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32>
  %2 = vlm.activation gelu %0 : tensor<?x96xf32>
  // expected-remark@+1 {{multiply keeps a product for each side: only some of the projections have a bias}}
  %3 = vlm.multiply %2, %1 : tensor<?x96xf32>
  return %3 : tensor<?x96xf32>
}

// RUN: vlmc-opt %s --vlm-place-anchors --vlm-fuse-epilogue | FileCheck %s
// RUN: vlmc-opt %s --vlm-place-anchors --vlm-fuse-epilogue --remarks-filter=.* --remark-format=emitRemark --verify-diagnostics -o /dev/null

vlm.weight @p : tensor<9x64xf32> = #vlm.recipe<read "p" : tensor<9x64xf32>>

// The product becomes the left operand of the residual's addition; views of the residual come along.
// CHECK-LABEL: func.func @residual
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<?x1x64xf32>, %[[Y:[a-z0-9]+]]: tensor<?x9x64xf32>, %[[W:[a-z0-9]+]]: tensor
// CHECK-NEXT:    %[[G:.+]] = vlm.group gemm (%[[A:.+]] = %[[X]], %[[B:.+]] = %[[W]], %[[C:.+]] = %[[Y]])
// CHECK:           %[[T:.+]] = vlm.take_tokens %[[C]] at 0
// CHECK:           %[[L:.+]] = vlm.linear %[[A]], %[[B]]
// CHECK:           %[[S:.+]] = vlm.activation {{ ?}}gelu %[[L]]
// CHECK:           %[[R:.+]] = vlm.add %[[S]], %[[T]]
// CHECK:           %[[Z:.+]] = vlm.squeeze %[[R]]
// CHECK:           vlm.yield %[[Z]]
// CHECK:         return %[[G]]
func.func @residual(%x: tensor<?x1x64xf32>, %y: tensor<?x9x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> {
  %0 = vlm.take_tokens %y at 0 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  // expected-remark@+3 {{gemm group 'fc' computes activation}}
  // expected-remark@+2 {{gemm group 'fc' computes add}}
  // expected-remark@+1 {{gemm group 'fc' computes squeeze}}
  %1 = vlm.linear %x, %w {vlm.label = "fc"} : (tensor<?x1x64xf32>, tensor<64x64xf32>) -> tensor<?x1x64xf32>
  %2 = vlm.activation gelu %1 : tensor<?x1x64xf32>
  %3 = vlm.add %0, %2 : tensor<?x1x64xf32>, tensor<?x1x64xf32>
  %4 = vlm.squeeze %3 : (tensor<?x1x64xf32>) -> tensor<?x64xf32>
  return %4 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @positions
// CHECK:         %[[P:.+]] = vlm.get_weight @p
// CHECK-NEXT:    vlm.group gemm
// CHECK:           vlm.add %{{.*}} : tensor<?x9x64xf32>, tensor<9x64xf32>
func.func @positions(%x: tensor<?x9x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x9x64xf32> {
  // expected-remark@+1 {{computes add}}
  %0 = vlm.linear %x, %w : (tensor<?x9x64xf32>, tensor<64x64xf32>) -> tensor<?x9x64xf32>
  %p = vlm.get_weight @p : tensor<9x64xf32>
  %1 = vlm.add %0, %p : tensor<?x9x64xf32>, tensor<9x64xf32>
  return %1 : tensor<?x9x64xf32>
}

// CHECK-LABEL: func.func @two_readers
// CHECK:         vlm.group gemm
// CHECK:         vlm.activation
func.func @two_readers(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // expected-remark@+1 {{gemm group 'fc' ends with its own result, which has several readers: activation 'act', return (result 1)}}
  %0 = vlm.linear %x, %w {vlm.label = "fc"} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %1 = vlm.activation gelu %0 {vlm.label = "act"} : tensor<?x64xf32>
  return %1, %0 : tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: func.func @repeated
// CHECK:         vlm.group gemm
// CHECK:         vlm.add
func.func @repeated(%x: tensor<9x64xf32>, %w: tensor<64x64xf32>, %y: tensor<?x9x64xf32>) -> tensor<?x9x64xf32> {
  // expected-remark@+1 {{does not compute add: its result is repeated over leading dimensions}}
  %0 = vlm.linear %x, %w : (tensor<9x64xf32>, tensor<64x64xf32>) -> tensor<9x64xf32>
  %1 = vlm.add %y, %0 : tensor<?x9x64xf32>, tensor<9x64xf32>
  return %1 : tensor<?x9x64xf32>
}

// CHECK-LABEL: func.func @no_weight
// CHECK:         vlm.group gemm
// CHECK:         vlm.add
func.func @no_weight(%x: tensor<?x9x64xf32>, %w: tensor<64x64xf32>, %y: tensor<64xf32>) -> tensor<?x9x64xf32> {
  // expected-remark@+1 {{what is added is repeated over leading dimensions, but is no weight}}
  %0 = vlm.linear %x, %w : (tensor<?x9x64xf32>, tensor<64x64xf32>) -> tensor<?x9x64xf32>
  %1 = vlm.add %0, %y : tensor<?x9x64xf32>, tensor<64xf32>
  return %1 : tensor<?x9x64xf32>
}

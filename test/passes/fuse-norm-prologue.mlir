// RUN: vlmc-opt %s --vlm-place-anchors --vlm-fuse-norm-prologue | FileCheck %s
// RUN: vlmc-opt %s --vlm-place-anchors --vlm-fuse-norm-prologue=arch=cuda | FileCheck %s --check-prefix=CUDA
// RUN: vlmc-opt %s --vlm-place-anchors --vlm-fuse-norm-prologue --remarks-filter=.* --remark-format=emitRemark --verify-diagnostics -o /dev/null
// RUN: vlmc-opt %s --vlm-place-anchors --vlm-fuse-norm-prologue=arch=cuda --remarks-filter=.* --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=TOLD

// TOLD-DAG: layer_norm is not computed by the products that read it: they are 2, and each would compute it anew
// TOLD-DAG: activation is not computed by the products that read it: on this target they take rows of memory, and norms of whole rows

// CHECK-LABEL: func.func @norm
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<?x9x64xf32>, %[[W:[a-z0-9]+]]: tensor<64x64xf32>, %[[N:[a-z0-9]+]]: tensor<64xf32>
// CHECK-NEXT:    vlm.group gemm (%[[A:.+]] = %[[X]], %[[B:.+]] = %[[N]], %[[C:.+]] = %[[W]]) attributes {vlm.label = "fc"}
// CHECK:           %[[D:.+]] = vlm.layer_norm %[[A]], %[[B]], %[[B]]
// CHECK:           %[[E:.+]] = vlm.take_tokens %[[D]] at 0
// CHECK:           vlm.linear %[[E]], %[[C]]
// CUDA-LABEL: func.func @norm
// CUDA-NEXT:    vlm.group gemm
// CUDA:           vlm.layer_norm
// CUDA:           vlm.take_tokens
// CUDA:           vlm.linear
func.func @norm(%x: tensor<?x9x64xf32>, %w: tensor<64x64xf32>, %n: tensor<64xf32>) -> tensor<?x1x64xf32> {
  %0 = vlm.layer_norm %x, %n, %n {epsilon = 1.0e-05 : f64, vlm.label = "norm"} : tensor<?x9x64xf32>, tensor<64xf32>, tensor<64xf32>
  %1 = vlm.take_tokens %0 at 0 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  // expected-remark@+2 {{gemm group 'fc' computes take_tokens}}
  // expected-remark@+1 {{gemm group 'fc' computes layer_norm 'norm'}}
  %2 = vlm.linear %1, %w {vlm.label = "fc"} : (tensor<?x1x64xf32>, tensor<64x64xf32>) -> tensor<?x1x64xf32>
  return %2 : tensor<?x1x64xf32>
}

// Two products compute the norm each by itself: nothing is stored.
// CHECK-LABEL: func.func @two_products
// CHECK-NEXT:    vlm.group gemm
// CHECK-NEXT:      vlm.layer_norm
// CHECK:         vlm.group gemm
// CHECK-NEXT:      vlm.layer_norm
// A GPU's products would normalise many rows in a pass each.
// CUDA-LABEL: func.func @two_products
// CUDA-NEXT:    vlm.layer_norm
// CUDA-NEXT:    vlm.group gemm
func.func @two_products(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>, %n: tensor<64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = vlm.layer_norm %x, %n, %n {epsilon = 1.0e-05 : f64} : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  // expected-remark@+1 {{computes layer_norm}}
  %1 = vlm.linear %0, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  // expected-remark@+1 {{computes layer_norm}}
  %2 = vlm.linear %0, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  return %1, %2 : tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: func.func @tapped
// CHECK-NEXT:    vlm.layer_norm
// CHECK-NEXT:    vlm.group gemm
func.func @tapped(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>, %n: tensor<64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // expected-remark@+1 {{layer_norm is not computed by the products that read it: it is also read outside of them (gemm group 'fc', return (result 1))}}
  %0 = vlm.layer_norm %x, %n, %n {epsilon = 1.0e-05 : f64} : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  %1 = vlm.linear %0, %w {vlm.label = "fc"} : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  return %1, %0 : tensor<?x64xf32>, tensor<?x64xf32>
}

// An activation belongs to the epilogue of the product before it, and into a prologue only where there is none.
// CHECK-LABEL: func.func @activations
// CHECK-NEXT:    vlm.group gemm
// CHECK-NEXT:      vlm.activation {{ ?}}relu
// CHECK-NEXT:      vlm.linear
// CHECK:         vlm.activation {{ ?}}gelu
// CHECK-NEXT:    vlm.group gemm
func.func @activations(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> {
  %0 = vlm.activation relu %x : tensor<?x64xf32>
  // expected-remark@+1 {{computes activation}}
  %1 = vlm.linear %0, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %2 = vlm.activation gelu %1 : tensor<?x64xf32>
  %3 = vlm.linear %2, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  return %3 : tensor<?x64xf32>
}

// A residual stream whose branches end in norms: the sum is computed once, not by each product that reads it.
// CHECK-LABEL: func.func @sums
// CHECK-NEXT:    vlm.add
// CHECK-NEXT:    vlm.group gemm
// CHECK:         vlm.group gemm
func.func @sums(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // expected-remark@+1 {{add is not computed by the products that read it: they are 2, and each would compute what is added too}}
  %0 = vlm.add %x, %x : tensor<?x64xf32>, tensor<?x64xf32>
  %1 = vlm.linear %0, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %2 = vlm.linear %0, %w : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  return %1, %2 : tensor<?x64xf32>, tensor<?x64xf32>
}

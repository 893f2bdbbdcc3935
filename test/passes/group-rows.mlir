// RUN: vlmc-opt %s --vlm-group-rows | FileCheck %s
// RUN: vlmc-opt %s --vlm-group-rows=each-op=true | FileCheck %s --check-prefix=EACH
// RUN: vlmc-opt %s --vlm-group-rows --remarks-filter=.* --remark-format=emitRemark --verify-diagnostics -o /dev/null

// CHECK-LABEL: func.func @chain
// CHECK-NEXT:    %[[G:.+]] = vlm.group rows
// CHECK-NEXT:      vlm.embedding
// CHECK-NEXT:      vlm.add
// CHECK-NEXT:      vlm.yield
// CHECK:         return %[[G]]
// EACH-LABEL: func.func @chain
// EACH:         vlm.group rows
// EACH-NEXT:      vlm.embedding
// EACH-NEXT:      vlm.yield
// EACH:         vlm.group rows
// EACH-NEXT:      vlm.add
// EACH-NEXT:      vlm.yield
func.func @chain(%ids: tensor<?x?xi64>, %t: tensor<99x64xf32>, %p: tensor<16x64xf32>) -> tensor<?x?x64xf32> {
  %0 = vlm.embedding %ids, %t {vlm.label = "tokens"} : (tensor<?x?xi64>, tensor<99x64xf32>) -> tensor<?x?x64xf32>
  // expected-remark@+1 {{rows group 'positions' computes embedding 'tokens'}}
  %1 = vlm.add %0, %p {vlm.label = "positions"} : tensor<?x?x64xf32>, tensor<16x64xf32>
  return %1 : tensor<?x?x64xf32>
}

// CHECK-LABEL: func.func @several_readers
// CHECK:         %[[A:.+]] = vlm.group rows
// CHECK-NEXT:      vlm.activation {{ ?}}relu
// CHECK:         %[[B:.+]] = vlm.group rows (%{{.*}} = %[[A]])
// CHECK-NEXT:      vlm.activation {{ ?}}gelu
// CHECK:         return %[[B]], %[[A]]
func.func @several_readers(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = vlm.activation relu %x {vlm.label = "a"} : tensor<?x64xf32>
  // expected-remark@+1 {{rows group does not compute activation 'a', which has several readers: rows group, return (result 1)}}
  %1 = vlm.activation gelu %0 : tensor<?x64xf32>
  return %1, %0 : tensor<?x64xf32>, tensor<?x64xf32>
}

// A token index is computed by itself.
// CHECK-LABEL: func.func @index
// CHECK:         vlm.group rows
// CHECK-NEXT:      vlm.token_index
// CHECK-NEXT:      vlm.yield
// CHECK:         vlm.group rows
// CHECK-NEXT:      vlm.take_tokens
func.func @index(%ids: tensor<?x?xi64>, %x: tensor<?x?x64xf32>) -> tensor<?x1x64xf32> {
  %0 = vlm.token_index argmax %ids : (tensor<?x?xi64>) -> tensor<?x1xi32>
  %1 = vlm.take_tokens %x index %0 : (tensor<?x?x64xf32>, tensor<?x1xi32>) -> tensor<?x1x64xf32>
  return %1 : tensor<?x1x64xf32>
}

// What is given back twice is copied, so that each output has a buffer.
// CHECK-LABEL: func.func @twice
// CHECK:         %[[A:.+]] = vlm.group rows
// CHECK-NEXT:      vlm.l2_normalize
// CHECK:         %[[B:.+]] = vlm.group rows (%{{.*}} = %[[A]])
// CHECK-NEXT:      vlm.slice_features %{{.*}}[0, 64]
// CHECK:         return %[[A]], %[[B]]
func.func @twice(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = vlm.l2_normalize %x : tensor<?x64xf32>
  // expected-remark@+1 {{rows group does not compute l2_normalize, which has several readers}}
  return %0, %0 : tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: func.func @pictures_as_ids
// CHECK:         vlm.group rows
// CHECK-NEXT:      vlm.group_moments
// CHECK-NEXT:      vlm.yield
// CHECK:         vlm.group rows
// CHECK-NEXT:      vlm.group_norm
// CHECK-NEXT:      vlm.activation {{ ?}}silu
// CHECK-NEXT:      vlm.yield
// CHECK:         vlm.group rows
// CHECK-NEXT:      vlm.least_feature
// CHECK-NEXT:      vlm.yield
func.func @pictures_as_ids(%x: tensor<?x64x16xf32>, %w: tensor<16xf32>) -> tensor<?x64xi32> {
  %m = vlm.group_moments %x {groups = 4 : i64, epsilon = 1.0e-06 : f64, vlm.label = "moments"} : (tensor<?x64x16xf32>) -> tensor<?x4x2xf32>
  %n = vlm.group_norm %x, %m, %w, %w {vlm.label = "norm"} : tensor<?x64x16xf32>, tensor<?x4x2xf32>, tensor<16xf32>
  // expected-remark@+1 {{rows group 'swish' computes group_norm 'norm'}}
  %y = vlm.activation silu %n {vlm.label = "swish"} : tensor<?x64x16xf32>
  %i = vlm.least_feature %y {vlm.label = "ids"} : (tensor<?x64x16xf32>) -> tensor<?x64xi32>
  return %i : tensor<?x64xi32>
}

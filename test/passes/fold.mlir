// RUN: vlmc-opt %s --vlm-fold | FileCheck %s

// Recipes are simplified, equal ones share one weight, unread ones go.
// CHECK-LABEL: module
// CHECK:      vlm.weight @read : tensor<4x8xf32> = <read "a" : tensor<4x8xf32>>
// CHECK-NEXT: vlm.weight @sliced : tensor<1x8xf32> = <slice [0, 2, 3] (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<1x8xf32>>
// CHECK-NEXT: vlm.weight @flat : tensor<16x2xf32> = <reshape (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<16x2xf32>>
// CHECK-NEXT: vlm.weight @turned : tensor<8x4xf32> = <transpose [1, 0] (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<8x4xf32>>
// CHECK-NEXT: vlm.weight @halved : tensor<4x8xf32> = <scale 5.000000e-01
// CHECK-NOT:  vlm.weight
vlm.weight @read : tensor<4x8xf32> = #vlm.recipe<read "a" : tensor<4x8xf32>>
vlm.weight @tied : tensor<4x8xf32> = #vlm.recipe<scale 1.0 (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<4x8xf32>>
vlm.weight @all : tensor<4x8xf32> = #vlm.recipe<slice [0, 0, 4] (#vlm.recipe<concat [0] (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<4x8xf32>>) : tensor<4x8xf32>>
vlm.weight @twice_turned : tensor<4x8xf32> = #vlm.recipe<transpose [1, 0] (#vlm.recipe<transpose [1, 0] (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<8x4xf32>>) : tensor<4x8xf32>>
vlm.weight @sliced : tensor<1x8xf32> = #vlm.recipe<slice [0, 1, 2] (#vlm.recipe<slice [0, 1, 3] (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<2x8xf32>>) : tensor<1x8xf32>>
vlm.weight @flat : tensor<16x2xf32> = #vlm.recipe<reshape (#vlm.recipe<reshape (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<32xf32>>) : tensor<16x2xf32>>
vlm.weight @turned : tensor<8x4xf32> = #vlm.recipe<transpose [1, 0] (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<8x4xf32>>
vlm.weight @halved : tensor<4x8xf32> = #vlm.recipe<scale 0.5 (#vlm.recipe<read "a" : tensor<4x8xf32>>) : tensor<4x8xf32>>
vlm.weight @unread : tensor<4x8xf32> = #vlm.recipe<read "b" : tensor<4x8xf32>>

// CHECK-LABEL: func.func @weights
// CHECK:         %[[A:.+]] = vlm.get_weight @read
// CHECK-NOT:     vlm.get_weight @read
// CHECK:         return %[[A]], %[[A]], %[[A]], %[[A]],
func.func @weights() -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<1x8xf32>, tensor<16x2xf32>, tensor<8x4xf32>, tensor<4x8xf32>) {
  %0 = vlm.get_weight @read : tensor<4x8xf32>
  %1 = vlm.get_weight @tied : tensor<4x8xf32>
  %2 = vlm.get_weight @all : tensor<4x8xf32>
  %3 = vlm.get_weight @twice_turned : tensor<4x8xf32>
  %4 = vlm.get_weight @sliced : tensor<1x8xf32>
  %5 = vlm.get_weight @flat : tensor<16x2xf32>
  %6 = vlm.get_weight @turned : tensor<8x4xf32>
  %7 = vlm.get_weight @halved : tensor<4x8xf32>
  return %0, %1, %2, %3, %4, %5, %6, %7 : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<1x8xf32>, tensor<16x2xf32>, tensor<8x4xf32>, tensor<4x8xf32>
}

// CHECK-LABEL: func.func @nothing_computed
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor
// CHECK-NEXT:    return %[[X]]
func.func @nothing_computed(%x: tensor<?x1x64xf32>) -> tensor<?x1x64xf32> {
  %0 = vlm.activation identity %x : tensor<?x1x64xf32>
  %1 = vlm.slice_features %0 [0, 64] : (tensor<?x1x64xf32>) -> tensor<?x1x64xf32>
  %2 = vlm.take_tokens %1 at 0 : (tensor<?x1x64xf32>) -> tensor<?x1x64xf32>
  return %2 : tensor<?x1x64xf32>
}

// CHECK-LABEL: func.func @slices
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor
// CHECK:         vlm.slice_features %[[X]][20, 24]
// CHECK-NEXT:    return
func.func @slices(%x: tensor<?x64xf32>) -> tensor<?x4xf32> {
  %0 = vlm.slice_features %x [16, 48] : (tensor<?x64xf32>) -> tensor<?x32xf32>
  %1 = vlm.slice_features %0 [4, 8] : (tensor<?x32xf32>) -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}

// What computes something stays.
// CHECK-LABEL: func.func @kept
// CHECK:         vlm.activation {{ ?}}relu
// CHECK:         vlm.take_tokens
func.func @kept(%x: tensor<?x9x64xf32>) -> tensor<?x1x64xf32> {
  %0 = vlm.activation relu %x : tensor<?x9x64xf32>
  %1 = vlm.take_tokens %0 at 0 : (tensor<?x9x64xf32>) -> tensor<?x1x64xf32>
  return %1 : tensor<?x1x64xf32>
}

// A product of weights alone is a weight; with a value in it, it stays.
// CHECK:       vlm.weight @probe.query.result : tensor<1x1x4xf32> = <linear (#vlm.recipe<read "x"
// CHECK-LABEL: func.func @constant_linear
// CHECK-SAME:    %[[V:[a-z0-9]+]]: tensor<?x1x6xf32>
// CHECK:         %[[Q:.+]] = vlm.get_weight @probe.query.result : tensor<1x1x4xf32>
// CHECK:         %[[Y:.+]] = vlm.linear %[[V]]
// CHECK:         return %[[Q]], %[[Y]]
vlm.weight @x : tensor<1x1x6xf32> = #vlm.recipe<read "x" : tensor<1x1x6xf32>>
vlm.weight @w : tensor<4x6xf32> = #vlm.recipe<read "w" : tensor<4x6xf32>>
vlm.weight @b : tensor<4xf32> = #vlm.recipe<read "b" : tensor<4xf32>>
func.func @constant_linear(%v: tensor<?x1x6xf32>) -> (tensor<1x1x4xf32>, tensor<?x1x4xf32>) {
  %x = vlm.get_weight @x : tensor<1x1x6xf32>
  %w = vlm.get_weight @w : tensor<4x6xf32>
  %b = vlm.get_weight @b : tensor<4xf32>
  %q = vlm.linear %x, %w bias %b {vlm.label = "probe.query"} : (tensor<1x1x6xf32>, tensor<4x6xf32>, tensor<4xf32>) -> tensor<1x1x4xf32>
  %y = vlm.linear %v, %w bias %b : (tensor<?x1x6xf32>, tensor<4x6xf32>, tensor<4xf32>) -> tensor<?x1x4xf32>
  return %q, %y : tensor<1x1x4xf32>, tensor<?x1x4xf32>
}
